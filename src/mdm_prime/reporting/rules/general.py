"""Rules that any claim may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mdm_prime.reporting.records import Row, number
from mdm_prime.reporting.verdicts import NOT_TESTABLE, NOTHING, Estimate, Finding, Tables, all_below, rows, separation


@dataclass(frozen=True)
class NotInOurTables:
    """No table of ours can decide it, for a reason."""

    reason: str

    def __call__(self, tables: Tables) -> Finding:
        return Finding(f"none: {self.reason}", NOT_TESTABLE)


@dataclass(frozen=True)
class Lower:
    """A column is lower in the first row with some cells than in the first row with others, beyond uncertainty."""

    table: str
    column: str
    first: Mapping[str, object]
    second: Mapping[str, object]
    decimals: int = 2

    def __call__(self, tables: Tables) -> Finding:
        found = [
            estimate(row, self.column)
            for cells in (self.first, self.second)
            for row in rows(tables, self.table, **cells)[:1]
        ]
        if len(found) < 2:
            return NOTHING
        lower, other = found
        text = f"{lower.text(self.decimals)} against {other.text(self.decimals)}"
        return Finding(text, *all_below([separation(lower, other)]))


def estimate(row: Row, column: str) -> Estimate:
    """A cell with the standard error and the spread over seeds in its row; an empty spread is unknown."""
    stderr, spread = f"{column}_stderr", f"{column}_spread"
    return Estimate(
        number(row[column]),
        number(row[stderr]) if stderr in row else 0.0,
        number(row[spread]) if spread in row else 0.0,
    )
