"""A table as csv, md, tex and json: the same bytes for the same inputs, and each file there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from mdm_prime.experiment import layout
from mdm_prime.files import write_json, write_text
from mdm_prime.reporting.tables.table import Column, Table

CSV_FLOAT = "%.10g"  # below the last digits that the order of a sum may change


def write(table: Table, results: Path) -> None:
    """Writes layout.table_files(results, table.name)."""
    csv, md, tex, json = layout.table_files(results, table.name)
    write_text(csv, table.frame.to_csv(index=False, float_format=CSV_FLOAT, lineterminator="\n"))
    write_text(md, markdown(table))
    write_text(tex, latex(table))
    write_json(json, metadata(table))


def metadata(table: Table) -> dict[str, Any]:
    """What the json file holds; no time, machine or commit, so that equal inputs give equal bytes."""
    return {
        "table": table.name,
        "scale": table.scale,
        "title": table.title,
        "caption": table.caption,
        "columns": {column.name: column.description for column in table.columns},
        "notes": list(table.notes),
        "inputs": list(table.inputs),
        **table.extra,
    }


def markdown(table: Table) -> str:
    """Title, caption, the whole table, the notes, and what each column holds."""
    cells = [
        [format_cell(value, column) for value, column in zip(row, table.columns, strict=True)]
        for row in table.frame.itertuples(index=False)
    ]
    align = ["right" if _is_number(table, column) else "left" for column in table.columns]
    body = tabulate(
        [[cell.replace("|", "\\|") for cell in row] for row in cells],
        headers=[column.name for column in table.columns],
        tablefmt="pipe",
        colalign=align if cells else None,
        disable_numparse=True,
    )
    notes = "".join(f"- {note}\n" for note in table.notes)
    columns = "".join(f"- `{column.name}`: {column.description}\n" for column in table.columns)
    return "\n".join(
        [f"# {table.title}\n", f"{table.caption} Scale: {table.scale}.\n", f"{body}\n", notes, f"Columns:\n\n{columns}"]
    )


def latex(table: Table) -> str:
    """A table environment (booktabs) with the columns that have a heading."""
    shown = [column for column in table.columns if column.heading is not None]
    cells = pd.DataFrame(
        {column.heading: [_with_stderr(row, column, table) for _, row in table.frame.iterrows()] for column in shown}
    )
    numbers = {column.heading for column in shown if _is_number(table, column)}
    styler = cells.style.hide(axis="index")
    # Text is escaped; what was formatted from numbers holds LaTeX of its own.
    styler = styler.format(escape="latex", subset=[name for name in cells.columns if name not in numbers])
    text = styler.to_latex(
        hrules=True,
        column_format="".join(column.align or ("r" if column.heading in numbers else "l") for column in shown),
        position="htbp",
        position_float="centering",
        caption=_escape(f"{table.caption} Scale: {table.scale}."),
        label=f"tab:{table.name.replace('_', '-')}",
    )
    return f"% Needs booktabs. Every column: {table.name}.csv; what it means: {table.name}.json\n{text}"


def format_cell(value: Any, column: Column) -> str:
    """A cell as text: fixed decimals for floats, "" for a missing value."""
    if value is None or pd.isna(value) or value == "":
        return ""
    if column.decimals is None or isinstance(value, str):
        return str(value)
    return "0" if value == 0 else f"{value:.{column.decimals}f}"


def _with_stderr(row: pd.Series, column: Column, table: Table) -> str:
    text = format_cell(row[column.name], column)
    stderr = f"{column.name}_stderr"
    if text and stderr in table.frame.columns:
        error = format_cell(row[stderr], column)
        if error not in ("", "0"):
            return f"${text} \\pm {error}$"
    return f"${text}$" if text and _is_number(table, column) else text


def _is_number(table: Table, column: Column) -> bool:
    return pd.api.types.is_numeric_dtype(table.frame[column.name]) or column.decimals is not None


def _escape(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_").replace("&", r"\&")
