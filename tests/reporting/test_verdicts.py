"""How estimates are compared, and by how much a verdict is decided."""

from dataclasses import replace
from math import inf, nan

import pytest

from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    REFUTED,
    REPRODUCED,
    Estimate,
    agrees,
    all_below,
    both,
    compare,
    separation,
)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Estimate(1.0), Estimate(2.0), "below"),
        (Estimate(2.0), Estimate(1.0), "above"),
        (Estimate(1.0, stderr=0.3), Estimate(2.0, stderr=0.3), "below"),  # 1 exceeds 2 * 0.42
        (Estimate(1.0, stderr=0.4), Estimate(2.0, stderr=0.4), "undecided"),  # not 2 * 0.57
        (Estimate(1.0, stderr=0.3, spread=0.3), Estimate(2.0, stderr=0.3, spread=0.3), "undecided"),
        (Estimate(1.0, spread=float("nan")), Estimate(2.0), "undecided"),  # one seed
        (Estimate(1.0), Estimate(1.0), "undecided"),
    ],
)
def test_compare(first: Estimate, second: Estimate, expected: str) -> None:
    assert compare(first, second) == expected


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (Estimate(10.1, 0.1), REPRODUCED),
        (Estimate(10.3, 0.1), REFUTED),
        (Estimate(9.7, 0.1), REFUTED),
        (Estimate(10.1, 0.6), NOT_TESTABLE),  # agrees, but would agree with nearly anything
        (Estimate(10.0, 0.1, float("nan")), NOT_TESTABLE),  # one seed
    ],
)
def test_agrees(ours: Estimate, expected: str) -> None:
    assert agrees(ours, 10.0, precise=0.05).verdict == expected


@pytest.mark.parametrize(
    ("separations", "expected"),
    [
        ([3.0, 5.0], (REPRODUCED, 3.0)),
        ([inf, inf], (REPRODUCED, None)),  # no uncertainty enters
        ([-5.0, 1.0], (REFUTED, 3.0)),  # ends where the other one gets below, at 2
        ([-3.0, -9.0], (REFUTED, 7.0)),
        ([5.0, 1.5], (NOT_TESTABLE, 1.5)),
        ([5.0, -7.0], (NOT_TESTABLE, 5.0)),  # decidedly below in one case, above in another
        ([0.5, -1.0], (NOT_TESTABLE, 0.5)),
        ([2.0], (NOT_TESTABLE, 2.0)),
        ([], (NOT_TESTABLE, None)),
    ],
)
def test_all_below(separations: list[float], expected: tuple[str, float | None]) -> None:
    assert all_below(separations) == expected


def test_both() -> None:
    good, bad, vague = all_below([6.0]), all_below([-6.0]), all_below([1.0])
    assert both(good, all_below([3.0])) == (REPRODUCED, 3.0)
    assert both(good, bad).verdict == both(bad, vague).verdict == REFUTED
    assert both(good, vague) == (NOT_TESTABLE, 1.0)


def test_separation_counts_combined_uncertainties() -> None:
    assert separation(Estimate(1.0, 0.3), Estimate(2.0, 0.4)) == pytest.approx(2.0)
    assert separation(Estimate(2.0, 0.3), Estimate(1.0, 0.4)) == pytest.approx(-2.0)
    assert separation(Estimate(1.0), Estimate(2.0)) == inf
    assert separation(Estimate(1.0, spread=nan), Estimate(2.0)) == 0.0


def test_estimate_is_written_with_its_uncertainty() -> None:
    estimate = Estimate(12.345, 0.3, 0.4)
    assert estimate.text(1) == "12.3 ± 0.5"
    assert replace(estimate, spread=float("nan")).text(1) == "12.3 ± 0.3 (one seed)"
    assert Estimate(12.347).text(2) == "12.35"
