"""Whose turn it is: a file lock for each engine, so that no table is made from parts of two runs."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Literal

from mdm_prime.errors import UserError

Engine = Literal["snakemake", "dvc"]
OTHER: dict[Engine, Engine] = {"snakemake": "dvc", "dvc": "snakemake"}


def take(results: str | Path, engine: Engine) -> IO[str]:
    """Takes the turn for as long as the returned file is open: a whole run of Snakemake, one stage of DVC.

    The kernel drops the lock when the process ends, however it ends. Several processes of one engine may hold it.

    Raises UserError while the other engine has the turn.
    """
    Path(results).mkdir(parents=True, exist_ok=True)
    mine = _file(results, engine).open("w", encoding="utf-8")
    fcntl.flock(mine, fcntl.LOCK_SH)
    with _file(results, OTHER[engine]).open("w", encoding="utf-8") as others:
        try:
            fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            mine.close()
            raise UserError(
                f"{results}: {OTHER[engine]} is at work here; wait until it has ended, then repeat the command"
            ) from None
    return mine


def _file(results: str | Path, engine: Engine) -> Path:
    return Path(results) / f".{engine}.lock"
