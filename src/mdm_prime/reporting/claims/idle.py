"""Claims about idle steps (Figure 1)."""

from __future__ import annotations

from itertools import pairwise

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import (
    NOT_TESTABLE,
    REFUTED,
    REPRODUCED,
    Claim,
    Estimate,
    Tables,
    Verdict,
    compare,
    evidence,
    improves,
    rows,
)
from mdm_prime.reporting.occupancy import EVENT_PROCESS, TRAINED_SAMPLER
from mdm_prime.reporting.records import Row

EVIDENCE = evidence("idle_steps")
FIGURE_LENGTH = 1024
READING_ERROR = 10.0  # steps: what can be read from the paper's plot, whose axis ends above 1,200
FIGURE_RUNS = 10  # a point of Figure 1 is an average over ten runs
ROUNDED = 0.0051  # percent: what two decimals leave open
AGREEMENT = 4.0  # standard errors; over some thirty rows a true agreement exceeds this once in 500 tables


def mdm_share(tables: Tables) -> Claim:
    percent = published.openwebtext("MDM", 1)["idle_step_percent"]
    verdict, ours = NOT_TESTABLE, "none"
    for row in _figure_rows(tables)[:1]:
        if row["num_subtokens"] == 1:
            share, error = (100 * value / row["num_steps"] for value in (row["idle_measured"], _stderr(row)))
            ours = f"{share:.2f} % ± {error:.2f} %"
            verdict = REPRODUCED if abs(share - percent) <= AGREEMENT * error else REFUTED
    return Claim(
        claim="MDM spends about 37 % of its steps idle when it takes as many steps as there are tokens (1,024)",
        where="Figure 1, Table 1",
        published_value=f"{percent} %",
        corrected_value="",
        our_value=ours,
        verdict=verdict,
        evidence=EVIDENCE,
    )


def fewer_with_subtokens(tables: Tables) -> Claim:
    frame = _figure_rows(tables)
    steps = [Estimate(row["idle_measured"], _stderr(row)) for row in frame]
    whole_tokens = bool(frame) and frame[0]["num_subtokens"] == 1
    return Claim(
        claim="MDM-Prime has fewer idle steps than MDM, the fewer the more sub-tokens",
        where="Figure 1, Table 1",
        published_value=_listed(_shares()),
        corrected_value="",
        our_value=", ".join(
            f"{100 * row['idle_measured'] / row['num_steps']:.2f} % (l={row['num_subtokens']})" for row in frame
        )
        or "none",
        verdict=improves([compare(more, fewer) for fewer, more in pairwise(steps)]) if whole_tokens else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def table1_shares(tables: Tables) -> Claim:
    """Each share of Table 1, written with two decimals, against the exact one of our table with the same l."""
    percents = {row["num_subtokens"]: row["idle_step_percent"] for row in _shares()}
    exact = {row["num_subtokens"]: 100 * row["idle_share_exact"] for row in _figure_rows(tables)}
    differences = [abs(percents[ell] - share) for ell, share in exact.items() if ell in percents]
    verdict: Verdict = NOT_TESTABLE
    if differences:
        verdict = REPRODUCED if max(differences) <= ROUNDED else REFUTED
    return Claim(
        claim="The shares of idle steps in Table 1 are (1 - 1/T)^(L l) with T = L = 1,024",
        where="Table 1",
        published_value=_listed(_shares()),
        corrected_value="",
        our_value=", ".join(f"{share:.2f} % (l={ell})" for ell, share in exact.items()) or "none",
        verdict=verdict,
        evidence=EVIDENCE,
    )


def figure_points(tables: Tables) -> Claim:
    points = [
        row for row in rows(tables, "idle_steps", measured_by=EVENT_PROCESS) if row["published_figure1"] is not None
    ]
    differences = [abs(row["published_figure1"] - row["idle_exact"]) for row in points]
    allowed = [READING_ERROR + AGREEMENT * row["idle_exact_std"] / FIGURE_RUNS**0.5 for row in points]
    verdict: Verdict = NOT_TESTABLE
    if points:
        within = all(difference <= limit for difference, limit in zip(differences, allowed, strict=True))
        verdict = REPRODUCED if within else REFUTED
    return Claim(
        claim="The points of Figure 1 follow T(1 - 1/T)^(L l), into which no network enters",
        where="Figure 1",
        published_value="points of the plot",
        corrected_value="",
        our_value=f"{len(points)} points, largest difference {max(differences):.1f} steps" if points else "none",
        verdict=verdict,
        evidence=EVIDENCE,
    )


def event_process_exact(tables: Tables) -> Claim:
    return _measured_is_exact(tables, EVENT_PROCESS, "Idle steps of the event process equal T(1 - 1/T)^(L l)")


def sampler_exact(tables: Tables) -> Claim:
    wording = "Idle steps of trained networks' samplers equal T(1 - 1/T)^(L l): training plays no part"
    return _measured_is_exact(tables, TRAINED_SAMPLER, wording)


def _measured_is_exact(tables: Tables, measured_by: str, wording: str) -> Claim:
    measured = [row for row in rows(tables, "idle_steps", measured_by=measured_by) if row["idle_exact"] is not None]
    # The exact standard deviation, not the measured one: of ten sequences all may have no idle step by chance.
    deviations = [abs(row["idle_measured"] - row["idle_exact"]) / max(_stderr(row), 1e-9) for row in measured]
    verdict: Verdict = NOT_TESTABLE
    if measured:
        verdict = REPRODUCED if max(deviations) <= AGREEMENT else REFUTED
    return Claim(
        claim=wording,
        where="Figure 1",
        published_value="measured only",
        corrected_value="",
        our_value=f"{len(measured)} rows, largest deviation {max(deviations):.1f} standard errors"
        if measured
        else "none",
        verdict=verdict,
        evidence=EVIDENCE,
    )


def _shares() -> list[Row]:
    return [row for row in published.read("openwebtext_perplexity") if row["idle_step_percent"] is not None]


def _listed(paper: list[Row]) -> str:
    return ", ".join(f"{row['idle_step_percent']} % (l={row['num_subtokens']})" for row in paper)


def _figure_rows(tables: Tables) -> list[Row]:
    """The event process with as many steps as tokens, at the paper's length, in the order of l."""
    found = rows(tables, "idle_steps", measured_by=EVENT_PROCESS, num_steps=FIGURE_LENGTH, length=FIGURE_LENGTH)
    return sorted(found, key=lambda row: int(row["num_subtokens"]))


def _stderr(row: Row) -> float:
    return float(row["idle_exact_std"] / row["num_sequences"] ** 0.5)
