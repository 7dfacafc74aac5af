"""Whose turn it is: file locks, so that no table is made from parts of two runs."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from mdm_prime.errors import UserError

Engine = Literal["snakemake", "dvc"]
OTHER: dict[Engine, Engine] = {"snakemake": "dvc", "dvc": "snakemake"}


def hold_turn(results: str | Path, engine: Engine) -> ExitStack:
    """Takes the turn for as long as the returned stack is open: a whole run of Snakemake, one stage of DVC.

    The kernel drops the locks when the process ends, however it ends. Several processes of one engine may have the
    turn, but only one process per stage of DVC: where DVC alone was killed, the command of its stage goes on.

    Raises UserError while the other engine has the turn, or another process the stage.
    """
    folder = Path(results) / ".turn"
    folder.mkdir(parents=True, exist_ok=True)
    stage = os.environ.get("DVC_STAGE") if engine == "dvc" else None
    with ExitStack() as held, ExitStack() as asking:
        _lock(asking, folder / "asking", fcntl.LOCK_EX)  # one at a time: a question must not look like an answer
        _lock(held, folder / engine, fcntl.LOCK_SH)
        try:
            _lock(asking, folder / OTHER[engine], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{results}: {OTHER[engine]} is at work here; wait until it has ended, then repeat the command"
            ) from None
        try:
            if stage:
                _lock(held, folder / f"dvc-{stage}", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{stage}: a command of this stage is still at work here, started by a DVC that was killed; "
                "wait until it has ended, then repeat the command"
            ) from None
        return held.pop_all()


def _lock(held: ExitStack, path: Path, kind: int) -> None:
    fcntl.flock(held.enter_context(path.open("w", encoding="utf-8")), kind)
