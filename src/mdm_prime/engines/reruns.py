"""Lets the records (made.py) decide what Snakemake runs again.

For a job whose outputs are all there Snakemake goes by the times of files and by notes of its own runs; both know
nothing of what DVC, a clone or a person has made. The answers are replaced in the running process: nothing is written
or dated, so that looking (`-n`, `--summary`) leaves everything as it was. Results are there whole or not at all, so
that its marks of unfinished files say nothing either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakemake.io import _IOFile
from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange, PersistenceBase


class OutOfDate(ParamsChange):  # type: ignore[misc]  # Snakemake has no types
    """Why a job runs again, as Snakemake prints it behind its own words for a change."""

    def __init__(self, why: str) -> None:
        super().__init__(only_new={why})

    def __str__(self) -> str:
        return ", ".join(sorted(self.only_new))


def decide(out_of_date: Mapping[str, str]) -> None:
    """From now on the jobs that make these files (path -> why), and what follows them, are out of date; no others."""

    def params_changed(self: PersistenceBase, job: Any, file: str | None = None) -> ParamsChange:
        why = next((out_of_date[path] for path in map(str, job.output) if path in out_of_date), None)
        return OutOfDate(why) if why else NO_PARAMS_CHANGE

    async def is_newer(self: _IOFile, time: float) -> bool:
        return False

    def nothing(self: PersistenceBase, job: Any, file: str | None = None) -> tuple[str, ...]:
        return ()

    async def nobody(self: PersistenceBase, job: Any) -> list[str]:
        return []

    answers: dict[str, Any] = {
        "params_changed": params_changed,
        "code_changed": nothing,
        "input_changed": nothing,
        "software_stack_changed": nothing,
        "has_metadata": lambda self, job: True,
        "has_outdated_metadata": lambda self, job: False,
        "incomplete": nobody,
    }
    for name, answer in answers.items():
        setattr(PersistenceBase, name, answer)
    _IOFile.is_newer = is_newer
