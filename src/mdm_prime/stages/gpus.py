"""Which of several GPUs a stage computes on: those that no other stage of the same results holds."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from mdm_prime.errors import UserError

_HELD: dict[int, IO[str]] = {}  # open for as long as this process lives; the kernel drops the locks however it ends


def take(results: Path, count: int, wanted: int = 1) -> list[int]:
    """The numbers of the first free GPUs of `count`, as many as wanted, which are this process's from now on.

    Those that it holds already come first. Raises UserError where so many are not there, or are held by others: more
    jobs at a time than GPUs.
    """
    if wanted > count:
        raise UserError(f"devices: is {wanted}; this machine has {count} GPUs; allowed here: at most {count}")
    results.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        if len(_HELD) >= wanted:
            break
        if number not in _HELD:
            lock = (results / f".gpu{number}.lock").open("w", encoding="utf-8")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
            else:
                _HELD[number] = lock
    if len(_HELD) < wanted:
        raise UserError(
            f"{results}: other stages hold the {count} GPUs; run at most that many at a time: --resources gpu={count}"
        )
    return list(_HELD)[:wanted]
