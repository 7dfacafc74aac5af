"""After a run of Snakemake, DVC takes its results over: nothing is left for `dvc repro` to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from mdm_prime.engines import dvc

AGAIN = "snakemake --cores all --force results/tables/"  # makes nothing anew: a target without a command is forced


def record(params: str, files: Iterable[str]) -> None:
    """Lets DVC take files that are up to date for the results of their stages.

    A stage is taken when all its outputs are among `files` and its command has these params; others stay as they are.
    Where DVC refuses, one line says so and nothing else happens.
    """
    if not dvc.in_use():
        return
    made = set(files)
    try:
        stages = [stage for stage in dvc.stages() if f" --params {params} " in stage.command and stage.is_made_by(made)]
        dvc.commit(dvc.stale() & {stage.name for stage in stages})
    except (dvc.DvcError, OSError) as error:
        sys.stderr.write(f"mdm-prime: DVC could not take over these results ({error}); when that is mended: {AGAIN}\n")
