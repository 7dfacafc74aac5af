"""Claims about idle steps (Figure 1)."""

from __future__ import annotations

from functools import partial

from mdm_prime.reporting import published
from mdm_prime.reporting.claim import IDLE_STEPS, Claim, of_kind
from mdm_prime.reporting.occupancy import EVENT_PROCESS, TRAINED_SAMPLER
from mdm_prime.reporting.rules import idle

PERCENTS = {
    row["num_subtokens"]: row["idle_step_percent"]
    for row in published.read("openwebtext_perplexity")
    if row["idle_step_percent"] is not None
}
LISTED = ", ".join(f"{percent} % (l={ell})" for ell, percent in PERCENTS.items())
Idle = partial(Claim, section="1 idle steps", evidence=idle.EVIDENCE)

CLAIMS = (
    Idle(
        claim="MDM spends about 37 % of its steps idle when it takes as many steps as there are tokens (1,024)",
        where="Figure 1, Table 1",
        published_value=f"{PERCENTS[1]} %",
        rule=idle.ShareOfWholeTokens(PERCENTS[1]),
        needs=IDLE_STEPS,
    ),
    Idle(
        claim="MDM-Prime has fewer idle steps than MDM, the fewer the more sub-tokens",
        where="Figure 1, Table 1",
        published_value=LISTED,
        rule=idle.FewerWithSubtokens(),
        needs=IDLE_STEPS,
        headline=True,
    ),
    Idle(
        claim="The shares of idle steps in Table 1 are (1 - 1/T)^(L l) with T = L = 1,024",
        where="Table 1",
        published_value=LISTED,
        rule=idle.SharesAreExact(PERCENTS),
        needs=IDLE_STEPS,
    ),
    Idle(
        claim="The points of Figure 1 follow T(1 - 1/T)^(L l), into which no network enters",
        where="Figure 1",
        published_value="points of the plot",
        rule=idle.FigurePointsAreExact(),
        needs=IDLE_STEPS,
    ),
    Idle(
        claim="Idle steps of the event process equal T(1 - 1/T)^(L l)",
        where="Figure 1",
        published_value="measured only",
        rule=idle.MeasuredIsExact(EVENT_PROCESS),
        needs=IDLE_STEPS,
    ),
    Idle(
        claim="Idle steps of trained networks' samplers equal T(1 - 1/T)^(L l): training plays no part",
        where="Figure 1",
        published_value="measured only",
        rule=idle.MeasuredIsExact(TRAINED_SAMPLER),
        needs=of_kind("text"),
    ),
)
