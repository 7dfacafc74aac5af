"""What the command line asks of the table of stages: records, settings, dvc.yaml, and what results/tables shows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mdm_prime import files, hints
from mdm_prime.engines import dvc_file
from mdm_prime.engines.made import Made
from mdm_prime.engines.settings import settings
from mdm_prime.engines.stages import Repetition, Stage, needed, stages
from mdm_prime.errors import UserError
from mdm_prime.experiment import config as params_files
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.problems import allowed

SHOWN = ("tables", "figures")  # of the scale that was made last: links in results/


@contextmanager
def recorded(config: Config, results: Path, command: str, params: Path | None = None) -> Iterator[list[Path]]:
    """Notes what a stage is made of while the block runs it, and writes it down when the block succeeds.

    Yields the stage's output files; none, and no record, for a run of the scale that no table or figure asks for, such
    as samples of a second seed. Raises UserError where no stage of this scale has the command, and for an input that is
    not as it was made; `params` is the file of the command that makes it again.
    """
    root = layout.scale_root(results, config.scale)
    every = stages(config)
    found = repetition_of(config, every, command)
    if found is None:
        yield []
        return
    made = Made(root, every, settings(config, [found.stage]))  # the others for the hashes that they have noted
    _check_content(made, found.inputs, params or params_files.params_file(config.scale))
    begun = made.begin(found)
    (root / found.made).unlink(missing_ok=True)
    yield [root / path for path in found.outputs]
    made.finish(found, begun)
    if found.stage.name.startswith(("table_", "figure_")):
        show(config, results)


def done(config: Config, results: Path) -> set[str]:
    """The commands of the stages of runs that have been made as the present params, code and inputs make them."""
    root, every = layout.scale_root(results, config.scale), [stage for stage in stages(config) if stage.runs]
    made = Made(root, stages(config), settings(config, every))
    return {
        repetition.command
        for stage in every
        for repetition in stage.repetitions()
        if (root / repetition.made).is_file() and made.why(repetition) is None
    }


def check_made(config: Config, results: Path, params: Path) -> None:
    """Raises UserError for a table, figure or metric that is not as it was made: before they are shown or kept."""
    made = Made(layout.scale_root(results, config.scale), stages(config), {})
    shown = ("table_", "figure_", "metrics")
    paths = [
        path
        for repetition in made.repetitions
        if repetition.stage.name.startswith(shown)
        for path in repetition.outputs
    ]
    _check_content(made, paths, params)


def _check_content(made: Made, paths: list[str], params: Path) -> None:
    if found := made.damaged(paths):
        path, producer = found
        again = hints.verb(params, *producer.command.split())
        raise UserError(f"{made.root / path}: is not as `{producer.command}` made it; make it again: {again}")


def repetition_of(config: Config, every: list[Stage], command: str) -> Repetition | None:
    """The repetition of a stage that a command makes; None where no table or figure asks for the command's run.

    Raises UserError where the command names nothing of this scale.
    """
    commands = {repetition.command: repetition for stage in every for repetition in stage.repetitions()}
    if command in commands:
        return commands[command]
    verb, _, name = command.partition(" ")
    names = [other.partition(" ")[2] for other in commands if other.partition(" ")[0] == verb]
    task, slash, _ = name.partition("/")
    if slash:
        config.task(task)
        if any(other.startswith(f"{task}/") for other in names):
            config.run(name)
            return None
    said = allowed(name, names) if names else f"it has nothing for {verb}"
    raise UserError(f"{verb}: {name!r} is not in scale {config.scale!r}; {said}")


def write_settings(config: Config, results: Path) -> Path:
    """Writes layout.settings_file and returns it; results/tables shows this scale from then on."""
    path = layout.settings_file(layout.scale_root(results, config.scale))
    files.write_json(path, settings(config, stages(config)))
    show(config, results)
    return path


def write_dvc_yaml(params: Path, results: Path) -> None:
    """Writes dvc.yaml for the scale of a params file."""
    config = params_files.load(params)
    files.write_text(
        "dvc.yaml",
        dvc_file.text(config, needed(stages(config)), params_files.layers(params), results.as_posix()),
    )


def show(config: Config, results: Path) -> None:
    """Lets results/tables and results/figures show a scale.

    Raises UserError where one of them is a folder of its own.
    """
    for name in SHOWN:
        link = results / name
        if link.is_dir() and not link.is_symlink():
            raise UserError(f"{link}: is a folder, not a link to the scale that was made last; move it away")
        if shows(results, name) != config.scale:
            temporary = results / f".{name}-{os.getpid()}"  # stages side by side may both be the first
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(Path(config.scale, name), target_is_directory=True)
            os.replace(temporary, link)  # noqa: PTH105 (Path.replace follows the link's target on some systems)


def where_it_is(config: Config, params: Path, results: Path) -> str:
    """One line: which scale was made, where its tables and figures are, and what makes the report."""
    folders = " and ".join((layout.scale_root(results, config.scale) / name).as_posix() for name in SHOWN)
    links = " and ".join((results / name).as_posix() for name in SHOWN)
    return f"scale {config.scale}: {folders}, shown in {links}; on one page: {hints.verb(params, 'report')}"


def out_of_date(config: Config, every: list[Stage], current: Mapping[str, Any], results: str) -> dict[str, str]:
    """The outputs that are there but would be made otherwise now, each with why; for Snakemake."""
    root = layout.scale_root(results, config.scale)
    found = {
        (root / repetition.outputs[0]).as_posix(): why
        for repetition, why in Made(root, every, current).out_of_date().items()
    }
    written = layout.settings_file(root)
    if written.is_file() and written.read_text(encoding="utf-8") != files.as_json(current):
        found[written.as_posix()] = "params or code have changed"
    elif any(shows(Path(results), name) != config.scale for name in SHOWN):
        found[written.as_posix()] = f"{results}/{SHOWN[0]} shows another scale"
    return found


def shows(results: Path, name: str) -> str | None:
    """The scale that results/tables or results/figures shows; None for none."""
    link = results / name
    return link.readlink().parts[0] if link.is_symlink() else None
