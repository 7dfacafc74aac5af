"""A table: a data frame, and all that a reader needs to know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: in the csv, md and json files.
        description: what it is, with its unit.
        decimals: of a number in the md and tex files; the csv keeps ten significant digits. None for text and integers.
        heading: LaTeX heading in the tex file; None leaves the column out there. A number whose standard error is in
            the frame as `name_stderr` is followed by it.
        align: LaTeX column type; "" for l (text) or r (numbers).
    """

    name: str
    description: str
    decimals: int | None = None
    heading: str | None = None
    align: str = ""


@dataclass(frozen=True)
class Table:
    """What `writing.write` writes.

    Attributes:
        name: stem of the files.
        title: one line.
        caption: a paragraph: what is measured, on what.
        columns: in the frame's order.
        frame: the rows; a missing value is NaN, None or "".
        notes: lines below the md table: how to read it, and what not to read into it.
        scale: of the params file.
        inputs: files that the rows come from, as paths below the results folder.
        extra: more for the json file, such as the corpus.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame
    scale: str
    inputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if list(self.frame.columns) != names:
            raise ValueError(f"table {self.name}: columns {list(self.frame.columns)} are not the described {names}")


def below(results: Path, files: list[Path]) -> tuple[str, ...]:
    """Paths relative to the results folder, so that a table's metadata does not depend on where that lies."""
    return tuple(file.relative_to(results).as_posix() for file in files)


def frame_of(rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> pd.DataFrame:
    """Rows as a frame with exactly the columns described; integers stay integers beside empty cells.

    Raises ValueError when a row holds a column that is not described.
    """
    unknown = {name for row in rows for name in row} - {column.name for column in columns}
    if unknown:
        raise ValueError(f"columns {sorted(unknown)} are not described")
    cells = {column.name: [row.get(column.name) for row in rows] for column in columns}
    return pd.DataFrame(
        {name: pd.array(values, dtype="Int64") if _are_whole(values) else values for name, values in cells.items()}
    )


def _are_whole(values: list[Any]) -> bool:
    kept = [value for value in values if not pd.isna(value)]
    return len(kept) > 0 and all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in kept)
