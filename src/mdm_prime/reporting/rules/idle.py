"""Rules about idle steps (Figure 1), on the table idle_steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from mdm_prime.reporting.occupancy import EVENT_PROCESS
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    NOTHING,
    Estimate,
    Finding,
    Tables,
    all_below,
    holds,
    rows,
    separation,
)

EVIDENCE = "idle_steps"
FIGURE_LENGTH = 1024
READING_ERROR = 10.0  # steps: what can be read from the paper's plot, whose axis ends above 1,200
FIGURE_RUNS = 10  # a point of Figure 1 is an average over ten runs
ROUNDED = 0.0051  # percent: what two decimals leave open
AGREEMENT = 4.0  # standard errors; over some thirty rows a true agreement exceeds this once in 500 tables


@dataclass(frozen=True)
class ShareOfWholeTokens:
    """The measured share with one sub-token per token is a percentage, within its error."""

    percent: float

    def __call__(self, tables: Tables) -> Finding:
        found = _figure_rows(tables)[:1]
        if not found or found[0]["num_subtokens"] != 1:
            return NOTHING
        share, error = (100 * value / found[0]["num_steps"] for value in (found[0]["idle_measured"], _stderr(found[0])))
        return Finding(f"{share:.2f} % ± {error:.2f} %", *holds([abs(share - self.percent) <= AGREEMENT * error]))


@dataclass(frozen=True)
class FewerWithSubtokens:
    """Each l has measurably fewer idle steps than the one before it, from whole tokens on."""

    def __call__(self, tables: Tables) -> Finding:
        found = _figure_rows(tables)
        if not found:
            return NOTHING
        steps = [Estimate(row["idle_measured"], _stderr(row)) for row in found]
        text = ", ".join(f"{100 * row['idle_measured'] / row['num_steps']:.2f} % ({_subtokens(row)})" for row in found)
        if found[0]["num_subtokens"] != 1:
            return Finding(text, NOT_TESTABLE)
        return Finding(text, *all_below(separation(more, fewer) for fewer, more in pairwise(steps)))


@dataclass(frozen=True)
class SharesAreExact:
    """Percentages of each l, written with two decimals, are the exact ones of our table."""

    percents: Mapping[int, float]

    def __call__(self, tables: Tables) -> Finding:
        exact = {row["num_subtokens"]: 100 * row["idle_share_exact"] for row in _figure_rows(tables)}
        within = [abs(self.percents[ell] - share) <= ROUNDED for ell, share in exact.items() if ell in self.percents]
        return Finding(", ".join(f"{share:.2f} % (l={ell})" for ell, share in exact.items()) or "none", *holds(within))


@dataclass(frozen=True)
class FigurePointsAreExact:
    """What was read from Figure 1 is the exact expectation, within the error of reading and of its ten runs."""

    def __call__(self, tables: Tables) -> Finding:
        events = rows(tables, EVIDENCE, measured_by=EVENT_PROCESS)
        points = [row for row in events if row["published_figure1"] is not None]
        if not points:
            return NOTHING
        differences = [abs(row["published_figure1"] - row["idle_exact"]) for row in points]
        allowed = [READING_ERROR + AGREEMENT * row["idle_exact_std"] / FIGURE_RUNS**0.5 for row in points]
        within = [difference <= limit for difference, limit in zip(differences, allowed, strict=True)]
        return Finding(f"{len(points)} points, largest difference {max(differences):.1f} steps", *holds(within))


@dataclass(frozen=True)
class MeasuredIsExact:
    """Measured idle steps are the exact expectation.

    By the exact standard deviation, not the measured one: of ten sequences all may have no idle step by chance.
    """

    measured_by: str

    def __call__(self, tables: Tables) -> Finding:
        measured = rows(tables, EVIDENCE, measured_by=self.measured_by)
        known = [row for row in measured if row["idle_exact"] is not None]
        deviations = [abs(row["idle_measured"] - row["idle_exact"]) / max(_stderr(row), 1e-9) for row in known]
        if not deviations:
            return NOTHING
        text = f"{len(known)} rows, largest deviation {max(deviations):.1f} standard errors"
        return Finding(text, *holds([max(deviations) <= AGREEMENT]))


def _figure_rows(tables: Tables) -> list[Row]:
    """The event process with as many steps as tokens, at the paper's length, in the order of l."""
    found = rows(tables, EVIDENCE, measured_by=EVENT_PROCESS, num_steps=FIGURE_LENGTH, length=FIGURE_LENGTH)
    return sorted(found, key=lambda row: int(row["num_subtokens"]))


def _stderr(row: Row) -> float:
    return float(row["idle_exact_std"] / row["num_sequences"] ** 0.5)


def _subtokens(row: Row) -> str:
    return f"l={row['num_subtokens']}"
