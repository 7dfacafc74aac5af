"""Saved CSV files as plain values."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from math import nan
from pathlib import Path
from typing import Any

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout

Row = dict[str, Any]  # column -> int, float, str, or None for an empty cell

_INTEGER = re.compile(r"[-+]?\d+")
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def parse(lines: Iterable[str]) -> list[Row]:
    """Rows of a CSV with a header line."""
    return [{name: _value(cell) for name, cell in row.items()} for row in csv.DictReader(lines)]


def read_csv(path: Path) -> list[Row]:
    """Raises UserError when the file cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return parse(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it with: {hints.target(path)}") from None


def read_table(root: Path, name: str) -> list[Row]:
    """The rows of a finished table of a scale."""
    return read_csv(layout.table_files(root, name)[0])


def number(value: float | None) -> float:
    """A cell as a float, NaN where it is empty."""
    return nan if value is None else float(value)


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _value(cell: str) -> Any:
    if cell == "":
        return None
    if _INTEGER.fullmatch(cell):
        return int(cell)
    return float(cell) if _FLOAT.fullmatch(cell) else cell
