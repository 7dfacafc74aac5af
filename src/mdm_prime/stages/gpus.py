"""Which of several GPUs a stage computes on: one that no other stage of the same results holds."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from mdm_prime.errors import UserError

_HELD: list[IO[str]] = []  # open for as long as this process lives; the kernel drops the locks however it ends


def take(results: Path, count: int) -> int:
    """The number of the first free GPU of `count`, which is this process's from now on.

    Raises UserError when all are held: more jobs at a time than GPUs.
    """
    results.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        lock = (results / f".gpu{number}.lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
        else:
            _HELD.append(lock)
            return number
    raise UserError(
        f"{results}: stages hold all {count} GPUs; run at most that many at a time: --resources gpu={count}"
    )
