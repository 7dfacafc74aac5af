"""How numbers are compared with a claim: estimates with their uncertainty, and what is concluded from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import copysign, hypot, inf, isfinite, isnan
from typing import Literal, NamedTuple

from mdm_prime.reporting.records import Row

Tables = Mapping[str, list[Row]]  # by name, as read from the csv files

Verdict = Literal["reproduced", "refuted", "not testable at this scale", "withdrawn by the authors"]
REPRODUCED: Verdict = "reproduced"
REFUTED: Verdict = "refuted"
NOT_TESTABLE: Verdict = "not testable at this scale"
WITHDRAWN: Verdict = "withdrawn by the authors"  # our tables do not decide, and the errata take the numbers back

DECIDING = 2.0  # a difference counts beyond this many combined uncertainties

Comparison = Literal["below", "above", "undecided"]


class Decision(NamedTuple):
    """A verdict and by how much it is decided.

    `margin` counts uncertainties: the verdict of comparisons changes where it falls to DECIDING, and numbers that do
    not decide have less. None where no uncertainty enters: exact statements, and nothing to test.
    """

    verdict: Verdict
    margin: float | None = None


@dataclass(frozen=True)
class Finding:
    """What our tables say to a claim; the margin is that of Decision."""

    our_value: str
    verdict: Verdict
    margin: float | None = None


Rule = Callable[[Tables], Finding]
NOTHING = Finding("none", NOT_TESTABLE)


@dataclass(frozen=True)
class Estimate:
    """A number with its Monte Carlo standard error and its standard deviation over training seeds.

    `spread` is NaN when it is unknown (one seed): such an estimate decides no comparison between models.
    """

    value: float
    stderr: float = 0.0
    spread: float = 0.0

    @property
    def uncertainty(self) -> float:
        """The spread enters undivided: with two or three seeds the error of their mean is itself hardly known."""
        return hypot(self.stderr, self.spread)

    def text(self, decimals: int) -> str:
        if isnan(self.spread):
            return f"{self.value:.{decimals}f} ± {self.stderr:.{decimals}f} (one seed)"
        return f"{self.value:.{decimals}f}" + (f" ± {self.uncertainty:.{decimals}f}" if self.uncertainty else "")


def separation(first: Estimate, second: Estimate) -> float:
    """By how many combined uncertainties `first` lies below `second`; negative: above; 0 where they are not known."""
    uncertainty, difference = hypot(first.uncertainty, second.uncertainty), second.value - first.value
    if not (isfinite(uncertainty) and isfinite(difference)) or difference == 0:
        return 0.0
    return difference / uncertainty if uncertainty else copysign(inf, difference)


def compare(first: Estimate, second: Estimate) -> Comparison:
    """Whether `first` lies below or above `second` by more than twice the combined uncertainty."""
    found = separation(first, second)
    return "undecided" if abs(found) <= DECIDING else "below" if found > 0 else "above"


def all_below(separations: Iterable[float]) -> Decision:
    """On 'lower in every case': all below, or some above and none below; else the numbers do not decide."""
    found = list(separations)
    if not found:
        return Decision(NOT_TESTABLE)
    lowest, highest = min(found), max(found)
    if lowest > DECIDING:
        return _decided(REPRODUCED, lowest)
    if lowest >= -DECIDING:
        return _decided(NOT_TESTABLE, min(map(abs, found)))
    if highest > DECIDING:  # above in one case, below in another
        return _decided(NOT_TESTABLE, min(highest, -lowest))
    return _decided(REFUTED, min(-lowest, 2 * DECIDING - highest))  # it ends where the highest gets below


def both(first: Decision, second: Decision) -> Decision:
    """On two statements at once: refuted with one of them, reproduced with both."""
    if refuted := [decision for decision in (first, second) if decision.verdict == REFUTED]:
        return max(refuted, key=_margin)
    if {first.verdict, second.verdict} == {REPRODUCED}:
        return min(first, second, key=_margin)
    return min((decision for decision in (first, second) if decision.verdict == NOT_TESTABLE), key=_margin)


def agrees(ours: Estimate, reference: float, precise: float) -> Decision:
    """Reproduced within the uncertainty, if that is small enough to say anything: a share of the reference."""
    apart = abs(separation(ours, Estimate(reference)))
    if apart > DECIDING:
        return _decided(REFUTED, apart)
    enough = ours.uncertainty <= precise * reference
    return _decided(REPRODUCED, 2 * DECIDING - apart) if enough else Decision(NOT_TESTABLE, 0.0)


def holds(values: list[bool]) -> Decision:
    """On exact statements: whether all hold; without any nothing can be tested."""
    return Decision(NOT_TESTABLE if not values else REPRODUCED if all(values) else REFUTED)


def _decided(verdict: Verdict, margin: float) -> Decision:
    return Decision(verdict, margin if isfinite(margin) else None)


def _margin(decision: Decision) -> float:
    return inf if decision.margin is None else decision.margin


def rows(tables: Tables, name: str, **equal: object) -> list[Row]:
    """A table's rows with the given values; none when the table or a column of it is missing."""
    return [row for row in tables.get(name, []) if all(row.get(key) == value for key, value in equal.items())]
