"""All checks, and one screen that says what they found."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mdm_prime.doctor import inputs, libraries, machine, remains, stores
from mdm_prime.doctor.finding import Finding, Row, Scene, scene

Check = Callable[[Scene], Finding]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("Python", libraries.python),
    ("libraries", libraries.core_libraries),
    ("pipeline libraries", libraries.pipeline_libraries),
    ("developer tools", libraries.developer_tools),
    ("commands", libraries.commands),
    ("params", inputs.params),
    ("files in params", inputs.named_files),
    ("Inception weights", inputs.inception),
    ("Hugging Face hub", inputs.hub),
    ("torch and GPU", machine.torch),
    ("CPU", machine.processors),
    ("folders", machine.folders),
    ("disk", machine.disk),
    ("Snakemake", remains.snakemake),
    ("leftover files", remains.leftovers),
    ("MLflow store", stores.mlflow_store),
    ("port of make ui", stores.port),
    ("git", stores.git),
    ("DVC", stores.dvc),
)
COMMAND = "snakemake --cores all results/tables/"
STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}
WIDE = 110  # columns of a terminal, for a column of its own for what mends


def run(params: Path, results: Path, *, as_json: bool = False) -> int:
    """Prints what every check found; returns 1 where something would stop COMMAND, else 0."""
    rows = examine(params, results)
    if as_json:
        sys.stdout.write(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    else:
        show(rows, Console())
    return int(any(row.state == "failure" for row in rows))


def examine(params: Path, results: Path) -> list[Row]:
    """A row for each check; none raises."""
    looked_at = scene(params, results)
    return [_row(name, check, looked_at) for name, check in CHECKS]


def show(rows: Iterable[Row], console: Console) -> None:
    """One table; on a narrow terminal what mends a row stands below what was found."""
    rows = list(rows)
    wide = console.width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("check", "state", "found", "how to mend it") if wide else ("state", "found, and how to mend it"):
        table.add_column(title, overflow="fold", no_wrap=title in ("check", "state"))
    for row in rows:
        state = Text(row.state, STYLES[row.state])
        if wide:
            table.add_row(Text(row.name), state, Text(row.found), Text(row.mend, "cyan"))
        else:
            mend = Text(f"\n> {row.mend}", "cyan") if row.mend else Text()
            table.add_row(state, Text.assemble((row.name, "bold"), f": {row.found}", mend))
    console.print(table)
    console.print(Text(summary(rows)))


def summary(rows: list[Row]) -> str:
    """What it comes to, in one line."""
    failing = [row.name for row in rows if row.state == "failure"]
    warnings = [row.name for row in rows if row.state == "warning"]
    verdict = f"would fail ({', '.join(failing)})" if failing else "has what it needs"
    return f"\n{COMMAND} {verdict}" + (f"; warnings: {', '.join(warnings)}" if warnings else "")


def _row(name: str, check: Check, looked_at: Scene) -> Row:
    try:
        state, found, mend = check(looked_at)
    except Exception as error:  # a check that breaks is a finding, not the end of the others
        found = f"the check itself failed: {type(error).__name__}: {error}"
        state, mend = "failure", "report this line; the other checks are not affected"
    return Row(name, state, _presentable(found), _presentable(mend))


def _presentable(text: str) -> str:
    """One line, without the user, the password and the query that an address may hold."""
    line = " ".join(text.split())
    return re.sub(r"(://[^\s?]*)\?\S+", r"\1?***", re.sub(r"://\S*@", "://***@", line))
