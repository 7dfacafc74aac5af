"""Data sets, each written by one function `prepare` as the files that layout.data_files names."""

from __future__ import annotations

from pathlib import Path

from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import Data, ImageData


def prepare(task: str, data: Data, output: Path) -> None:
    """Writes a task's data files into `output`: each whole or not at all, meta.json last.

    Raises UserError when a task on tokens gets another task's data, or for what the kind's own `prepare` raises it.
    """
    if isinstance(data, ImageData):
        from mdm_prime.data import images

        images.prepare(task, data, output)
        return
    if data.kind != task:
        raise UserError(f"{task}.data.kind is {data.kind!r}; allowed: {task}")
    if data.kind == "known_entropy":
        from mdm_prime.data import known_entropy

        known_entropy.prepare(data, output)
    elif data.kind == "text":
        from mdm_prime.data import text

        text.prepare(data, output)
    else:
        from mdm_prime.data import toy

        toy.prepare(data, output)
