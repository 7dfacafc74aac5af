"""Compares fresh tables with those of a reference run made elsewhere, where the same params give other networks.

Another processor adds up in another order, and training carries the difference on until the networks differ as those of
two seeds do. How widely that is, the reference says itself wherever it has several seeds. Elsewhere the columns declare
it. Verdicts are compared where both runs decide them by a margin.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.reporting import declared
from mdm_prime.reporting.columns import EXACT, Column
from mdm_prime.reporting.records import Row, number, read_csv
from mdm_prime.results.tables import TableFile

FEWEST = 4  # degrees of freedom: a spread over fewer seeds says too little of what other networks would give
SPREADS = 8.0  # allowed: two networks differ by sqrt(2) of them; the rest is for few seeds and hundreds of numbers
FLOOR = 0.25  # share of the declared tolerance that is allowed however alike the seeds are
TEXTS = "text_perplexity"  # the table whose json file says what the texts are
DECIDED = 4.0  # margin of a verdict, in uncertainties, from which on it is compared; it changes at 2


class Compared(NamedTuple):
    """Lines for a reader: what differs, and what was left out, because it is too close to call or of other data."""

    differences: list[str]
    left_out: list[str]


def compare(reference: Path, root: Path) -> Compared:
    """The tables of two scales' folders.

    Raises UserError when the reference holds no table.
    """
    names = [name for name in declared.tables() if layout.table_files(reference, name)[0].is_file()]
    if not names:
        raise UserError(f"{reference}/tables: holds no table to compare with; copy the tables of a run there")
    others = dict(_other_texts(reference, root))
    compared = Compared([], list(others.values()))
    for name in names:
        fresh = layout.table_files(root, name)[0]
        if not fresh.is_file():
            compared.differences.append(f"{name}.csv: missing; make it with: {hints.target(fresh)}")
            continue
        scales = [_scale(folder, name) for folder in (reference, root)]
        if scales[0] != scales[1]:
            line = f"{name}.csv: scale {scales[1]!r} cannot be compared with the reference's {scales[0]!r}"
            compared.differences.append(line)
            continue
        old, new = (
            [row for row in read_csv(path) if _task(row) not in others]
            for path in (layout.table_files(reference, name)[0], fresh)
        )
        more = compare_rows(name, old, new)
        compared.differences.extend(more.differences)
        compared.left_out.extend(more.left_out)
    return compared


def _other_texts(reference: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Tasks whose text is not the reference's, as that of another Python's documentation is, each with a line."""
    old, new = (_file(folder, TEXTS) for folder in (reference, root))
    if old is None or new is None:
        return
    tasks = [(file.model_extra or {}).get("tasks", {}) for file in (old, new)]
    for task in tasks[0]:
        if task in tasks[1] and tasks[0][task]["sha256"] != tasks[1][task]["sha256"]:
            ours, theirs = (_text(found[task]["corpus"]) for found in reversed(tasks))
            yield task, f"task {task}: verdicts only are compared: its text is {ours}; the reference's {theirs}"


def _text(corpus: dict[str, Any]) -> str:
    return f"{corpus['name']}, {corpus['bytes']:,} bytes, read by Python {corpus['python']}"


def compare_rows(name: str, reference: list[Row], fresh: list[Row]) -> Compared:
    """Two versions of a table."""
    columns = [list(rows[0]) if rows else [] for rows in (reference, fresh)]
    if columns[0] != columns[1]:
        return Compared([f"{name}.csv: columns {', '.join(columns[1])}; reference {', '.join(columns[0])}"], [])
    old, new = ({row_name(name, row): row for row in rows} for rows in (reference, fresh))
    lines = [f"{name}.csv: {key}: row is missing" for key in old if key not in new]
    lines += [f"{name}.csv: {key}: row is not in the reference" for key in new if key not in old]
    left_out = []
    declared_columns = [column for column in declared.table(name).columns if column.name in columns[0]]
    for key in (key for key in old if key in new):
        for column in declared_columns:
            difference = _difference(column, old[key], new[key], name, reference)
            if difference and column.decided_by and not _decided(column.decided_by, old[key], new[key]):
                left_out.append(f"{name}.csv: {key}: not compared, too close: {difference}")
            elif difference:
                lines.append(f"{name}.csv: {key}: {difference}")
    return Compared(lines, left_out)


def row_name(name: str, row: Row) -> str:
    """A row by the cells that tell it from the others of its table."""
    keys = declared.table(name).keys
    return ", ".join(f"{column} {row[column]}" for column in keys if row.get(column) is not None)


def _difference(column: Column, old: Row, new: Row, name: str, reference: list[Row]) -> str:
    """What is different in a cell, "" if nothing is."""
    before, after = old[column.name], new[column.name]
    tolerance = column.tolerance
    if tolerance is None or before == after or (tolerance.with_carry_over_only and old["carry_over"] == "no"):
        return ""
    if not (_is_number(before) and _is_number(after)):
        return f"{column.name} is {after!r}, reference {before!r}"
    stderr = sqrt(sum(number(row.get(f"{column.name}_stderr") or 0.0) ** 2 for row in (old, new)))
    allowed = tolerance.stderrs * stderr + _width(column, old, name, reference)
    if abs(after - before) <= allowed:
        return ""
    return f"{column.name} is {after:.6g}, reference {before:.6g}, allowed difference {allowed:.2g}"


def _width(column: Column, row: Row, name: str, reference: list[Row]) -> float:
    """How far the number of another network may lie: as the seeds of the reference do, or as declared."""
    tolerance = column.tolerance or EXACT
    declared_width = tolerance.allowed(row[column.name])
    shares = tolerance.relative > 0 and not tolerance.absolute  # then spreads are joined as shares of the values
    models = [model for model in _models(column.name, name, reference) if model.task == _task(row)]
    freedom = sum(model.seeds - 1 for model in models)
    if freedom < FEWEST:
        return declared_width
    spreads = [model.spread / abs(model.mean) if shares and model.mean else model.spread for model in models]
    pooled = sqrt(sum((m.seeds - 1) * spread**2 for m, spread in zip(models, spreads, strict=True)) / freedom)
    own = [spread for model, spread in zip(models, spreads, strict=True) if model.key == _key(name, row)]
    width = SPREADS * max([pooled, *own]) * (abs(row[column.name]) if shares else 1.0)
    return max(width, declared_width * (FLOOR if tolerance.of_networks else 1.0))


class _Model(NamedTuple):
    """What a column says of the seeds of a model."""

    task: Any
    key: str
    mean: float
    spread: float
    seeds: int


def _models(column: str, name: str, rows: list[Row]) -> Iterator[_Model]:
    """Of a table with a row for each seed, or with a column of the spread over them."""
    if not rows or "seed" not in rows[0]:
        for row in rows:
            if row.get(f"{column}_spread") is not None and row[column] is not None:
                yield _Model(_task(row), _key(name, row), row[column], row[f"{column}_spread"], row["seeds"])
        return
    values: dict[str, list[Row]] = {}
    for row in rows:
        if _is_number(row["seed"]) and _is_number(row[column]):
            values.setdefault(_key(name, row), []).append(row)
    for key, seeds in values.items():
        if len(seeds) > 1:
            numbers = [float(row[column]) for row in seeds]
            yield _Model(_task(seeds[0]), key, fmean(numbers), stdev(numbers), len(seeds))


def _key(name: str, row: Row) -> str:
    """A row by all that tells it from others but its seed."""
    return row_name(name, {column: cell for column, cell in row.items() if column != "seed"})


def _task(row: Row) -> Any:
    return row.get("task") or row.get("source")


def _decided(margin: str, *rows: Row) -> bool:
    """Whether each row decides by a margin; an empty one has no uncertainty."""
    return all(row[margin] is None or row[margin] >= DECIDED for row in rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _scale(folder: Path, name: str) -> str | None:
    """The scale in a table's json file; None without that file."""
    file = _file(folder, name)
    return None if file is None else file.scale


def _file(folder: Path, name: str) -> TableFile | None:
    path = layout.table_files(folder, name)[3]
    return TableFile.read(path) if path.is_file() else None
