"""After a run of Snakemake, DVC takes its results over: nothing is left for `dvc repro` to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from mdm_prime import hints
from mdm_prime.engines import dvc


def hand_over_to_dvc(params: str, files: Iterable[str]) -> None:
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
        again = hints.everything(Path(params).stem, "--force")  # of a target without a command: nothing is made anew
        sys.stderr.write(f"mdm-prime: DVC could not take over these results ({error}); when that is mended: {again}\n")
