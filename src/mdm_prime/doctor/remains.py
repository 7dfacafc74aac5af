"""What killed runs have left behind: Snakemake's lock and half-written files, temporary files, training states."""

from __future__ import annotations

import base64
import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mdm_prime.doctor.finding import Finding, Scene
from mdm_prime.experiment import layout

NOTES = Path(".snakemake")
TEMPORARY = r"\..+-[a-z0-9_]{8}(\.\w+)*"  # as files.replacing names them
SHOWN = 3  # files
OLD = 60 * 60  # seconds: a younger file may still be written
AGAIN = "snakemake --cores all --rerun-incomplete results/tables/"


def snakemake(scene: Scene) -> Finding:
    """Whether a lock, or files that a killed run was writing, keep Snakemake from starting."""
    running = running_snakemake()
    locked = sorted((NOTES / "locks").glob("*.lock"))
    if locked and running:
        return Finding("failure", f"a Snakemake is at work in this folder (process {running})", "wait until it ends")
    if locked:
        found = f"{NOTES / 'locks'} is left of a Snakemake that was killed"
        return Finding("failure", found, "if none runs in this folder: snakemake --unlock")
    if not running and (unfinished := list(_unfinished())):
        return Finding("failure", f"perhaps half-written by a run that was killed: {_few(unfinished)}", AGAIN)
    return Finding("ok", "no lock, no half-written file")


def running_snakemake() -> int | None:
    """A process of Snakemake in this folder; None as well where /proc does not tell."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink() == Path.cwd()
            words = (process / "cmdline").read_bytes().split(b"\0") if here else []
        except OSError:  # another user's, or ended
            continue
        if any(word.rpartition(b"/")[2] == b"snakemake" for word in words):
            return int(process.name)
    return None


def _unfinished() -> Iterator[str]:
    """The files marked as incomplete that are there: a marker's path is the file's, in base64, cut where too long."""
    folder = NOTES / "incomplete"
    for marker in sorted(folder.rglob("*")):
        parts = marker.relative_to(folder).parts
        try:
            name = base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
        except ValueError:  # no marker
            continue
        if marker.is_file() and Path(name).exists():
            yield name


def leftovers(scene: Scene) -> Finding:
    """Temporary files of killed writes, and states of trainings that did not end."""
    files = [Path(folder) / name for folder, _, names in os.walk(scene.results) for name in names]
    states = [path for path in files if path.name == "state.safetensors"]
    useless = [path for path in files if re.fullmatch(TEMPORARY, path.name) and _is_old(path)]
    useless += [path for path in states if not _is_of_a_run(scene, path)]
    kept = len(set(states) - set(useless))
    going_on = f"{kept} trainings under way or interrupted; they go on from their state" if kept else ""
    if useless:
        found = f"of killed runs, or of runs that the params no longer have: {_few(map(str, useless))}"
        mend = f"rm {shlex.join(map(str, useless[:SHOWN]))}" + (" ..." if len(useless) > SHOWN else "")
        return Finding("warning", f"{found}. {going_on}".strip(), mend)
    return Finding("ok", going_on or "none")


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > OLD
    except OSError:  # it was removed since
        return False


def _is_of_a_run(scene: Scene, state: Path) -> bool:
    """Whether it is of a run of these params; states of another scale are not judged."""
    if scene.config is None or not state.is_relative_to(root := layout.scale_root(scene.results, scene.config.scale)):
        return True
    runs = [run.name for task in scene.config.tasks for run in scene.config.runs(task)]
    return state.parent in {layout.network_dir(root, run) for run in runs}


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
