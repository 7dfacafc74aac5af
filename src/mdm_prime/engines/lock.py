"""Snakemake's lock, when another Snakemake has it: one line that says who, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILES = Path(".snakemake") / "locks"


def explain() -> None:
    """From now on a Snakemake whose files another one has ends with exit code 2 and `why` as its last line."""
    from snakemake.persistence import PersistenceBase

    take = PersistenceBase.lock

    @contextmanager
    def take_or_explain(self: PersistenceBase) -> Iterator[None]:
        if self.locked:
            sys.stderr.write(f"mdm-prime: {'; '.join(why())}\n")
            raise SystemExit(2)  # no exception that Snakemake would explain in words of its own
        with take(self):
            yield

    PersistenceBase.lock = take_or_explain


def why() -> tuple[str, str]:
    """Who has the lock, and what to do."""
    if process := running():
        return f"a Snakemake is at work in this folder (process {process})", "wait until it has ended, then try again"
    return "a Snakemake that was killed has left its lock here", "if none runs in this folder: snakemake --unlock"


def running() -> int | None:
    """A process of Snakemake in this folder beside this one; None as well where /proc does not tell."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink() == Path.cwd() and int(process.name) != os.getpid()
            words = (process / "cmdline").read_bytes().split(b"\0")[:3] if here else []
        except OSError:  # another user's, or ended
            continue
        if words and b"python" in words[0] and any(word.rpartition(b"/")[2] == b"snakemake" for word in words[1:]):
            return int(process.name)
    return None
