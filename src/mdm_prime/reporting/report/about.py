"""How the results came to be: the pipelines that made them, machine and versions, parameters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from mdm_prime.errors import UserError
from mdm_prime.tracking import journal

COLUMNS = ("started (UTC)", "engine", "status", "minutes", "stages", "commit", "uncommitted changes")
NO_PIPELINE = "No pipeline has left a journal here: the results were copied, or their stages were run by hand."


def markdown(results: Path, params: Path, scale: str) -> str:
    """The page's text. Raises UserError when the parameters cannot be read."""
    pipelines = [run for run in journal.pipelines(results) if run.scale == scale]
    rows = [_row(run) for run in pipelines]
    machine = pipelines[-1].environment.items() if pipelines else []
    try:
        text = params.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{params}: cannot be read ({error.strerror})") from None
    return "\n".join(
        [
            f"# How the results at the scale `{scale}` came to be\n",
            "## Pipelines\n",
            f"{_table(rows, COLUMNS)}\n" if rows else f"{NO_PIPELINE}\n",
            "A pipeline runs the stages whose inputs, parameters or code have changed. `stages` counts those that it "
            "ran and that keep a journal: tables and figures keep none.\n",
            *(
                ["## Machine and versions of the last pipeline\n", _table(machine, ("what", "value")), ""]
                if rows
                else []
            ),
            f"## Parameters: `{params.name}`\n",
            f"````yaml\n{text.rstrip()}\n````\n",
        ]
    )


def _row(run: journal.PipelineSummary) -> tuple[Any, ...]:
    return (
        f"{datetime.fromtimestamp(run.started / 1000, UTC):%Y-%m-%d %H:%M}",
        run.tags.get("engine", "snakemake"),
        run.status.lower(),
        f"{run.minutes:.1f}",
        run.stages,
        run.tags["git.commit"],
        {"true": "yes", "false": "no"}.get(run.tags["git.dirty"], run.tags["git.dirty"]),
    )


def _table(rows: Iterable[Iterable[Any]], columns: tuple[str, ...]) -> str:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, headers=columns, tablefmt="pipe", disable_numparse=True)
