"""`mdm-prime doctor`: what would fail on this machine, and how to mend it, before anything runs.

What a stage refuses in one line by itself is not looked for here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mdm_prime import hints
from mdm_prime.cli.checks import environment, hardware, leftovers
from mdm_prime.cli.checks.finding import Finding, Scene, State

STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}
WIDE = 110  # columns of a terminal, for a column of its own for what mends

CHECKS: tuple[tuple[str, Callable[[Scene], Finding]], ...] = (
    ("Python", environment.python),
    ("packages", environment.packages),
    ("params", environment.params),
    ("torch and GPU", hardware.torch),
    ("disk", hardware.disk),
    ("Snakemake", leftovers.snakemake),
    ("leftover files", leftovers.leftovers),
    ("MLflow store", leftovers.mlflow_store),
)


class Row(NamedTuple):
    """A finding under the name of its check."""

    name: str
    state: State
    found: str
    mend: str


def run(params: Path, results: Path, *, as_json: bool = False) -> int:
    """Prints what every check found; returns 1 where something would stop the pipeline, else 0."""
    rows = examine(params, results)
    if as_json:
        sys.stdout.write(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    else:
        show(rows, Console(), hints.everything(params.stem))
    return int(any(row.state == "failure" for row in rows))


def examine(params: Path, results: Path) -> list[Row]:
    """A row for each check; none raises."""
    scene = Scene(params, results)
    return [_row(name, check, scene) for name, check in CHECKS]


def _row(name: str, check: Callable[[Scene], Finding], scene: Scene) -> Row:
    try:
        state, found, mend = check(scene)
    except Exception as error:  # a check that breaks is a finding, not the end of the others
        found = f"the check itself failed: {type(error).__name__}: {error}"
        state, mend = "failure", "report this line; the other checks are not affected"
    return Row(name, state, _presentable(found), _presentable(mend))


def _presentable(text: str) -> str:
    """One line, without the user, the password and the query that an address may hold."""
    line = " ".join(text.split())
    return re.sub(r"(://[^\s?]*)\?\S+", r"\1?***", re.sub(r"://\S*@", "://***@", line))


def show(rows: Iterable[Row], console: Console, command: str) -> None:
    """One table, and what it means for a command; on a narrow terminal what mends a row stands below what was found."""
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
    console.print(Text(summary(rows, command)))


def summary(rows: list[Row], command: str) -> str:
    """What it comes to for a command, in one line."""
    failing = [row.name for row in rows if row.state == "failure"]
    warnings = [row.name for row in rows if row.state == "warning"]
    verdict = f"would fail ({', '.join(failing)})" if failing else "has what it needs"
    return f"\n{command} {verdict}" + (f"; warnings: {', '.join(warnings)}" if warnings else "")
