"""Compares fresh tables with those of a reference run, within the tolerances that their columns declare."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.files import read_json
from mdm_prime.reporting import declared
from mdm_prime.reporting.columns import Column
from mdm_prime.reporting.records import Row, number, read_csv


def compare(reference: Path, root: Path) -> list[str]:
    """Differences between the tables of two scales' folders beyond the tolerances: a readable line for each.

    Raises UserError when the reference holds no table.
    """
    names = [name for name in declared.tables() if layout.table_files(reference, name)[0].is_file()]
    if not names:
        raise UserError(f"{reference}/tables: holds no table to compare with; copy the tables of a run there")
    lines: list[str] = []
    for name in names:
        fresh = layout.table_files(root, name)[0]
        if not fresh.is_file():
            lines.append(f"{name}.csv: missing; make it with: {hints.target(fresh)}")
            continue
        scales = [_scale(folder, name) for folder in (reference, root)]
        if scales[0] != scales[1]:
            lines.append(f"{name}.csv: scale {scales[1]!r} cannot be compared with the reference's {scales[0]!r}")
            continue
        lines += compare_rows(name, read_csv(layout.table_files(reference, name)[0]), read_csv(fresh))
    return lines


def compare_rows(name: str, reference: list[Row], fresh: list[Row]) -> list[str]:
    """Differences between two versions of a table."""
    columns = [list(rows[0]) if rows else [] for rows in (reference, fresh)]
    if columns[0] != columns[1]:
        return [f"{name}.csv: columns {', '.join(columns[1])}; reference {', '.join(columns[0])}"]
    old, new = ({row_name(name, row): row for row in rows} for rows in (reference, fresh))
    lines = [f"{name}.csv: {key}: row is missing" for key in old if key not in new]
    lines += [f"{name}.csv: {key}: row is not in the reference" for key in new if key not in old]
    declared_columns = [column for column in declared.table(name).columns if column.name in columns[0]]
    for key, row in old.items():
        differences = [_difference(column, row, new[key]) for column in declared_columns] if key in new else []
        lines += [f"{name}.csv: {key}: {difference}" for difference in differences if difference]
    return lines


def row_name(name: str, row: Row) -> str:
    """A row by the cells that tell it from the others of its table."""
    keys = declared.table(name).keys
    return ", ".join(f"{column} {row[column]}" for column in keys if row.get(column) is not None)


def _difference(column: Column, old: Row, new: Row) -> str:
    """What is different in a cell, "" if nothing is."""
    before, after = old[column.name], new[column.name]
    tolerance = column.tolerance
    if tolerance is None or before == after or (tolerance.with_carry_over_only and old["carry_over"] == "no"):
        return ""
    if not (_is_number(before) and _is_number(after)):
        return f"{column.name} is {after!r}, reference {before!r}"
    stderr = sqrt(sum(number(row.get(f"{column.name}_stderr") or 0.0) ** 2 for row in (old, new)))
    allowed = tolerance.allowed(before, stderr)
    if abs(after - before) <= allowed:
        return ""
    return f"{column.name} is {after:.6g}, reference {before:.6g}, allowed difference {allowed:.2g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _scale(folder: Path, name: str) -> Any:
    """The scale in a table's json file; None without that file."""
    path = layout.table_files(folder, name)[3]
    return read_json(path).get("scale") if path.is_file() else None
