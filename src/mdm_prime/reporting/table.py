"""A table with its rows, made from its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from numbers import Real
from pathlib import Path
from typing import Any

from mdm_prime.experiment.config import Config
from mdm_prime.reporting import declared
from mdm_prime.reporting.columns import Column
from mdm_prime.reporting.declared import Content, DeclaredTable
from mdm_prime.reporting.records import Row


@dataclass(frozen=True)
class Table:
    """What `writing.write` writes.

    Attributes:
        name: stem of the files.
        title: one line.
        summary: what is measured, on what.
        columns: in order.
        rows: every column of each; a missing value is None.
        notes: lines below the md table.
        scale: of the params file.
        inputs: files that the rows come from, as paths below the scale's folder.
        extra: more for the json file.
    """

    name: str
    title: str
    summary: str
    columns: tuple[Column, ...]
    rows: list[Row]
    notes: tuple[str, ...]
    scale: str
    inputs: tuple[str, ...]
    extra: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, table: DeclaredTable, config: Config, content: Content) -> Table:
        """Raises ValueError when a row has a column that is not declared."""
        known = [column.name for column in table.columns]
        if unknown := sorted({cell for row in content.rows for cell in row} - set(known)):
            raise ValueError(f"table {name}: columns {unknown} are not declared")
        return cls(
            name=name,
            title=table.title,
            summary=content.summary or table.summary,
            columns=table.columns,
            rows=[{column: known_value(row.get(column)) for column in known} for row in content.rows],
            notes=(*content.notes, *table.notes),
            scale=config.scale,
            inputs=tuple(path for files in table.needs(config) for path in files.paths()),
            extra=content.extra,
        )

    def is_number(self, column: Column) -> bool:
        """Whether a column holds numbers: it has decimals, or its cells are numbers as far as there are any."""
        cells = [row[column.name] for row in self.rows if row[column.name] is not None]
        return column.decimals is not None or (bool(cells) and all(isinstance(cell, Real) for cell in cells))


def known_value(value: Any) -> Any:
    """None for what is missing: None, NaN, an empty text."""
    missing = value is None or value == "" or (isinstance(value, Real) and isnan(value))
    return None if missing else value


def build(name: str, config: Config, root: Path) -> Table:
    """The table called `name` from the files of a scale. Raises UserError for a missing or unreadable one."""
    table = declared.table(name)
    return Table.of(name, table, config, table.build(config, root))
