"""Data sets, each written by one function `prepare` as the files that layout.DATA_FILES names."""

from __future__ import annotations

from pathlib import Path

from mdm_prime.errors import UserError
from mdm_prime.sections import Data


def prepare(task: str, data: Data, output: Path) -> None:
    """Writes a task's data files into `output`: each whole or not at all, meta.json last.

    Raises UserError when `data` is of another kind than the task, or for what the kind's own `prepare` raises it.
    """
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
