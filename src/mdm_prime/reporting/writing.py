"""A table as csv, md, tex and json: the same bytes for the same inputs, and each file there whole or not at all."""

from __future__ import annotations

import csv
import io
from numbers import Integral
from pathlib import Path
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import write_text
from mdm_prime.reporting.columns import Column
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.table import Table, build
from mdm_prime.results.tables import TableFile

DIGITS = 10  # significant, in the csv: below the last that the order of a sum may change
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"~": r"\textasciitilde ", "^": r"\textasciicircum ", "\\": r"\textbackslash "}
)


def write_table(name: str, config: Config, root: Path) -> list[Path]:
    """Makes a table from the files of a scale and writes layout.table_files, which it returns."""
    write(build(name, config, root), root)
    return layout.table_files(root, name)


def write(table: Table, root: Path) -> None:
    """Writes layout.table_files(root, table.name)."""
    csv_file, md, tex, json = layout.table_files(root, table.name)
    write_text(csv_file, comma_separated(table))
    write_text(md, markdown(table))
    write_text(tex, latex(table))
    metadata(table).write(json)


def comma_separated(table: Table) -> str:
    """A header line and the rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    for row in table.rows:
        writer.writerow(_cell(row[column.name]) for column in table.columns)
    return text.getvalue()


def metadata(table: Table) -> TableFile:
    """What the json file holds."""
    return TableFile(
        table=table.name,
        scale=table.scale,
        title=table.title,
        caption=table.summary,
        columns={column.name: column.description for column in table.columns},
        notes=list(table.notes),
        inputs=list(table.inputs),
        **table.extra,
    )


def markdown(table: Table) -> str:
    """Title, summary, the whole table, the notes, and what each column holds."""
    from tabulate import tabulate

    cells = [[format_cell(row[column.name], column) for column in table.columns] for row in table.rows]
    align = ["right" if table.is_number(column) else "left" for column in table.columns]
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
        [f"# {table.title}\n", f"{table.summary} Scale: {table.scale}.\n", f"{body}\n", notes, f"Columns:\n\n{columns}"]
    )


def latex(table: Table) -> str:
    """A table environment (booktabs) with the columns that have a heading."""
    shown = [column for column in table.columns if column.heading is not None]
    numbers = [table.is_number(column) for column in shown]
    formats = [column.align or "lr"[number] for column, number in zip(shown, numbers, strict=True)]
    lines = [
        f"% Needs booktabs. Every column: {table.name}.csv; what it means: {table.name}.json",
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{f'{table.summary} Scale: {table.scale}.'.translate(LATEX)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{{''.join(formats)}}}",
        r"\toprule",
        " & ".join(str(column.heading) for column in shown) + r" \\",
        r"\midrule",
        *(
            " & ".join(_latex_cell(row, column, number) for column, number in zip(shown, numbers, strict=True)) + r" \\"
            for row in table.rows
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def format_cell(value: Any, column: Column) -> str:
    """A cell as text: fixed decimals for numbers, "" for a missing value."""
    if value is None:
        return ""
    if column.decimals is None or isinstance(value, str):
        return str(value)
    return "0" if value == 0 else f"{value:.{column.decimals}f}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str | Integral) else f"{value:.{DIGITS}g}"


def _latex_cell(row: Row, column: Column, is_number: bool) -> str:
    text = format_cell(row[column.name], column)
    if not is_number:
        return text.translate(LATEX)
    error = row.get(f"{column.name}_stderr")
    if text and error:
        return f"${text} \\pm {format_cell(error, column)}$"
    return f"${text}$" if text else ""
