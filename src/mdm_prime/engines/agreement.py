"""Keeps the two engines agreed on what is up to date.

Snakemake goes by times and by notes of its own, DVC by content. After a run of Snakemake `record` lets DVC take over
the files that are now up to date. Before one, `settle` marks for Snakemake what DVC has brought since (`dvc repro`,
`pull`, `checkout`, `exp apply`): up to date where content, values and commands are those of dvc.lock, out of date
elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from mdm_prime.engines import dvc
from mdm_prime.files import replacing

NOTES = Path(".snakemake")
SEEN = NOTES / "mdm-prime.dvc.lock"  # dvc.lock when the engines last agreed
AGAIN = "snakemake --cores all --force results/tables/"  # makes nothing anew: a target without a command is forced
SETTLING = "MDM_PRIME_SETTLING"  # environment variable: Snakemake is called from here


def record(params: str, files: Iterable[str]) -> None:
    """After a run of Snakemake: DVC takes files that are up to date for the results of their stages.

    A stage is taken when all its outputs are among `files` and its command has these params; others stay as they are.
    Where DVC refuses, one line says so and nothing else happens.
    """
    if not dvc.in_use():
        return
    made = set(files)
    try:
        candidates = [stage for stage in dvc.stages() if _is_of(params, stage) and stage.is_made_by(made)]
        dvc.commit(dvc.stale(lost=True) & {stage.name for stage in candidates})
        _note()
    except (dvc.DvcError, OSError) as error:
        _say(f"DVC could not take over these results ({error}); when that is mended: {AGAIN}")


def settle(params: str) -> None:
    """Before a run of Snakemake: marks what DVC has brought since the last one. Raises nothing; one line says it."""
    locked = NOTES / "locks"
    if SETTLING in os.environ or not dvc.in_use() or not dvc.LOCK.is_file() or _seen():
        return
    if locked.is_dir() and any(locked.iterdir()):  # another Snakemake is at work, or was killed
        return
    try:
        _mark(params)
    except (dvc.DvcError, OSError) as error:
        _say(f"DVC cannot say what is up to date ({error}); times alone decide")


def _mark(params: str) -> None:
    before, now = dvc.entries(SEEN), dvc.entries(dvc.LOCK)
    stages = [stage for stage in dvc.stages() if _is_of(params, stage)]
    stale = dvc.stale(lost=False) & {stage.name for stage in stages}
    _outdate([file for stage in stages if stage.name in stale for file in stage.files()])
    kept = [stage for stage in stages if stage.name not in dvc.with_descendants(stale, stages)]
    brought = [stage for stage in kept if now.get(stage.name) != before.get(stage.name)]
    if brought:
        _say(f"{len(brought)} stages are as DVC has them; Snakemake takes them for up to date")
        if not _touch(params, brought, kept):
            return
    _note()


def _is_of(params: str, stage: dvc.Stage) -> bool:
    return f" --params {params} " in stage.command


def _seen() -> bool:
    try:
        return SEEN.read_bytes() == dvc.LOCK.read_bytes()
    except OSError:
        return False


def _note() -> None:
    if dvc.LOCK.is_file():
        with replacing(SEEN) as temporary:
            shutil.copyfile(dvc.LOCK, temporary)


def _outdate(files: list[str]) -> None:
    """Makes files older than anything that they are made from, and lets Snakemake forget what it knows of them.

    It holds an old file for up to date whose inputs have the content that it has noted.
    """
    for file in files:
        os.utime(file, (1, 1))  # 0 would be no time at all
    if files:
        _snakemake("--cleanup-metadata", *files)


def _touch(params: str, brought: list[dvc.Stage], kept: list[dvc.Stage]) -> bool:
    """Lets Snakemake date files and note values, as if it had made them; False, after a line, where it refuses."""
    forced = [file for stage in brought for file in stage.files()]
    targets = [file for stage in kept for file in stage.files()]
    scale = Path(params).stem
    flags = ("--touch", "--no-hooks", "--quiet", "all", "--cores", "all", "--config", f"scale={scale}")
    return _snakemake(*flags, "--forcerun", *forced, "--", *targets)


def _snakemake(*arguments: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        check=False,
        env={**os.environ, SETTLING: "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        _say(f"Snakemake could not mark them ({' '.join(done.stderr.split())[-300:]}); they may run again")
    return not done.returncode


def _say(line: str) -> None:
    sys.stderr.write(f"mdm-prime: {line}\n")
