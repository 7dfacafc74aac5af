"""Which networks a claim may be judged by: those that have learnt more than what counting gives.

The one place of this rule. It holds for every claim that compares trained networks. It does not hold for claims about
what an objective is: a network whose loss lies below the entropy is a counter-example, whatever it has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isnan

from mdm_prime.reporting.records import Row
from mdm_prime.reporting.verdicts import DECIDING, NOT_TESTABLE, Estimate, Finding, separation

MARGIN = 0.25  # share by which a network's value must lie below the baseline's: a perplexity, a distance
RULE = (
    f"A claim that compares trained networks is decided only where each of them lies at least {MARGIN:.0%} below the "
    "trivial baseline (text: the best valid perplexity below the unigram model's; images: the distance below that of "
    "independent pixels) and the difference exceeds twice its uncertainty over seeds."
).replace("%", " %")


def if_learnt(finding: Finding, networks: Mapping[str, Estimate], baselines: list[Row], column: str) -> Finding:
    """A finding about networks, or not testable, with the reason, where one of them has learnt too little.

    Args:
        finding: what the numbers say.
        networks: their values by what they are called, the lower the better.
        baselines: the row of the trivial baseline, or none.
        column: the baseline's value there.
    """
    if not networks:
        return finding
    if not baselines:
        return replace(finding, our_value=f"{finding.our_value}; no trivial baseline beside them", verdict=NOT_TESTABLE)
    baseline = baselines[0]
    limit = Estimate((1 - MARGIN) * baseline[column])
    below = {name: separation(_of_known(value), limit) for name, value in networks.items()}
    short = {name: found for name, found in below.items() if found < 0}
    if not short:
        return replace(finding, margin=_least(finding.margin, DECIDING + min(below.values())))
    named = ", ".join(f"{name} {networks[name].value:.1f}" for name in short)
    reason = f"not {MARGIN:.0%}".replace("%", " %") + f" below {baseline['model']} ({baseline[column]:.1f}): {named}"
    margin = DECIDING + max(-found for found in short.values())
    return Finding(f"{finding.our_value}; {reason}", NOT_TESTABLE, _least(None, margin))


def _of_known(value: Estimate) -> Estimate:
    """Without a spread that is not known."""
    return replace(value, spread=0.0) if isnan(value.spread) else value


def _least(first: float | None, second: float) -> float | None:
    """Of two margins the smaller one; none where no uncertainty enters."""
    if first is None or second < first:
        return None if second == float("inf") else second
    return first
