"""The verb `official`: stages on the authors' checkpoints, and what they would take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from mdm_prime.errors import UserError
from mdm_prime.experiment import config, layout

if TYPE_CHECKING:
    pass

FORMS = {  # of the argument after a stage
    "data": "TASK",
    "import": "TASK/CHECKPOINT",
    "likelihood": "TASK/CHECKPOINT/SHARD",
    "features": "TASK",
    "sample": "TASK/CHECKPOINT/SAMPLER/SHARD",
    "quality": "TASK/CHECKPOINT",
    "table": "TABLE",
}
GIB, HOUR = 2**30, 3600


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    verb.add_argument("stage", nargs="?", choices=tuple(FORMS), help="one stage; Snakemake calls them in order")
    verb.add_argument("name", nargs="?", help="; ".join(f"{stage}: {form}" for stage, form in FORMS.items()))
    verb.add_argument("--limit", type=int, metavar="N", help="at most N batches in every evaluation of likelihoods")
    verb.add_argument("--dry-run", action="store_true", help="downloads, disk and time of everything; does nothing")


def run(options: argparse.Namespace) -> None:
    """Shows what evaluating would take, or runs one stage. Raises UserError for a name of another form."""
    official = config.load_official(options.params).limited(options.limit)
    if options.dry_run:
        _show_plan(official, options)
        return
    if options.stage is None:
        raise UserError("official: no stage; give --dry-run, or make results/tables/official_text with Snakemake")
    form, parts = FORMS[options.stage], (options.name or "").split("/")
    numbers = parts[2:]
    if len(parts) != form.count("/") + 1 or not all(parts) or not all(number.isdecimal() for number in numbers):
        raise UserError(f"official {options.stage}: name is {options.name!r}; should be of the form {form}")
    from mdm_prime.stages.official import OfficialPlace

    _stages()[options.stage](OfficialPlace(official, options.results), "/".join(parts[:2]), *map(int, numbers))


def _stages() -> dict[str, Callable[..., None]]:
    from mdm_prime.stages import features, official, official_images, prepare

    return {
        "data": prepare.prepare_data,
        "import": official.import_official,
        "likelihood": official.likelihoods,
        "features": features.features,
        "sample": official_images.sample,
        "quality": official_images.quality,
    }


def _show_plan(official: config.Official, options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from mdm_prime.official import plan

    root = layout.scale_root(options.results, official.scale)
    weights = {
        f"{task}/{key}": layout.imported_files(root, f"{task}/{key}")[1]
        for task, settings in official.tasks.items()
        for key in settings.checkpoints
    }
    lines = plan.lines(official.repository, official.tasks, weights)
    table = Table("checkpoint", "state", title=f"{options.params}: nothing is downloaded or written by this command")
    for heading in ("download GiB", "weights GiB", "hours"):
        table.add_column(heading, justify="right")
    table.add_column("source", overflow="fold")
    for line in lines:
        download = "unknown" if line.download is None else f"{line.download / GIB:.2f}"
        table.add_row(
            line.name, line.state, download, f"{line.disk / GIB:.2f}", f"{line.seconds / HOUR:.2f}", line.address
        )
    unknown = sum(line.download is None for line in lines)
    known = sum(line.download or 0 for line in lines)
    more = f" and {unknown} of unknown size" if unknown else ""
    disk, hours = sum(line.disk for line in lines), sum(line.seconds for line in lines) / HOUR
    table.add_section()
    table.add_row("all", "", f"{known / GIB:.2f}{more}", f"{disk / GIB:.2f}", f"{hours:.2f}", "")
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    for task, settings in official.tasks.items():
        assumed = settings.assumed
        console.print(
            f"Assumed of {task}, not measured ({config.section_of(task)}.assumed in params): "
            f"{assumed.passes_per_second:g} forward passes a second on one device, {assumed.parameters:,} weights.",
            highlight=False,
            soft_wrap=True,
        )
    console.print("Data sets, and features of images, are not counted. A download stays in the hub's cache as well.")
