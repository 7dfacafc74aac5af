"""What the report shows: the tables and figures of a scale, a page about the run, and their captions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import write_text
from mdm_prime.reporting import declared
from mdm_prime.reporting.declared import NOT_IN_PAPER, RUN, Declared

ABOUT = "about"  # the page beside those of the tables
PAGE_ABOUT = Declared(
    label="Commit, machine, versions, parameters",
    category=RUN,
    paper=NOT_IN_PAPER,
    caption="How the results at the scale *{{ snakemake.params.scale }}* came to be: the pipelines that ran with their "
    "commits, the machine and the versions of the last one, and the file of parameters. Not in the paper.",
    needs=lambda _: [],
)


def pages(config: Config) -> dict[str, Declared]:
    """What is shown as a page: the tables that a scale has, and ABOUT."""
    tables = {name: table for name, table in declared.tables().items() if table.applies(config)}
    return {**tables, ABOUT: PAGE_ABOUT}


def pictures(config: Config) -> dict[str, Declared]:
    """The figures that a scale has."""
    return {name: figure for name, figure in declared.figures().items() if figure.applies(config)}


def entries(config: Config) -> Mapping[str, Declared]:
    """All of it, by the folder and name of its caption: tables/NAME, figures/NAME."""
    return {f"tables/{name}": entry for name, entry in pages(config).items()} | {
        f"figures/{name}": entry for name, entry in pictures(config).items()
    }


def page(root: str | Path, name: str) -> Path:
    """The page of a table, or ABOUT: there only while a report is being made."""
    return _folder(root) / f"{name}.html"


def caption_file(root: str | Path, name: str) -> Path:
    """The caption of tables/NAME or figures/NAME, there only while a report is being made."""
    return _folder(root) / "captions" / f"{name}.rst"


def write_captions(config: Config, root: Path) -> None:
    """Writes caption_file of every entry."""
    for name, entry in entries(config).items():
        write_text(caption_file(root, name), f"{entry.caption}\n")


def report_file(results: str | Path, scale: str) -> Path:
    return Path(results) / f"report-{scale}.html"


def files(config: Config, root: str | Path) -> list[Path]:
    """Every file of the tables and figures that a report shows."""
    found = [file for name in pages(config) if name != ABOUT for file in layout.table_files(root, name)]
    return found + [file for name in pictures(config) for file in layout.figure_files(root, name)]


def _folder(root: str | Path) -> Path:
    return Path(root) / "report"
