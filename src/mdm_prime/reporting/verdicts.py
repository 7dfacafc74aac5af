"""How numbers are compared with a claim: estimates with their uncertainty, and what is concluded from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, isnan, sqrt
from typing import Literal

from mdm_prime.reporting.records import Row

Tables = Mapping[str, list[Row]]  # by name, as read from the csv files

Verdict = Literal["reproduced", "refuted", "not testable at this scale", "withdrawn by the authors"]
REPRODUCED: Verdict = "reproduced"
REFUTED: Verdict = "refuted"
NOT_TESTABLE: Verdict = "not testable at this scale"
WITHDRAWN: Verdict = "withdrawn by the authors"  # our tables do not decide, and the errata take the numbers back

DECIDING = 2.0  # a difference counts beyond this many combined uncertainties

Comparison = Literal["below", "above", "undecided"]


@dataclass(frozen=True)
class Finding:
    """What our tables say to a claim."""

    our_value: str
    verdict: Verdict


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
        return sqrt(self.stderr**2 + self.spread**2)

    def text(self, decimals: int) -> str:
        if isnan(self.spread):
            return f"{self.value:.{decimals}f} ± {self.stderr:.{decimals}f} (one seed)"
        return f"{self.value:.{decimals}f}" + (f" ± {self.uncertainty:.{decimals}f}" if self.uncertainty else "")


def compare(first: Estimate, second: Estimate) -> Comparison:
    """Whether `first` lies below or above `second` by more than twice the combined uncertainty."""
    uncertainty = sqrt(first.uncertainty**2 + second.uncertainty**2)
    difference = first.value - second.value
    if not (isfinite(uncertainty) and isfinite(difference)) or abs(difference) <= DECIDING * uncertainty:
        return "undecided"
    return "below" if difference < 0 else "above"


def all_below(comparisons: Iterable[Comparison]) -> Verdict:
    """The verdict on 'lower in every case': all below, or some above and none below; else the numbers do not decide."""
    found = set(comparisons)
    if found == {"below"}:
        return REPRODUCED
    return REFUTED if "above" in found and "below" not in found else NOT_TESTABLE


def agrees(ours: Estimate, reference: float, precise: float) -> Verdict:
    """Reproduced within the uncertainty, if that is small enough to say anything: a share of the reference."""
    if compare(ours, Estimate(reference)) != "undecided":
        return REFUTED
    return REPRODUCED if ours.uncertainty <= precise * reference else NOT_TESTABLE


def holds(values: list[bool]) -> Verdict:
    """The verdict on exact statements: whether all hold; without any nothing can be tested."""
    return NOT_TESTABLE if not values else REPRODUCED if all(values) else REFUTED


def rows(tables: Tables, name: str, **equal: object) -> list[Row]:
    """A table's rows with the given values; none when the table or a column of it is missing."""
    return [row for row in tables.get(name, []) if all(row.get(key) == value for key, value in equal.items())]
