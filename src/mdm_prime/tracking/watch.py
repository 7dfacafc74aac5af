"""A process that mirrors while `dvc repro` runs, so that none of its many short stages waits for a mirror.

One for each process of DVC: started by its first stage, by a later one if it was stopped. It outlives DVC, sends what
is left with the end of the pipeline's run, and ends.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

from mdm_prime.tracking import endings, journal, mirror

MIRROR_EVERY = 60.0  # seconds
LOOK_EVERY = 1.0  # seconds between two looks at the process of DVC
PATIENCE = 600.0  # seconds for one mirror


@functools.cache
def start(results: Path, run_id: str) -> subprocess.Popen[bytes] | None:
    """Starts the watcher of a pipeline, unless it has one; a process tries once."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(_lock(results, run_id), timeout=0):
            pass
    except Timeout:
        return None  # it has one
    except OSError:  # nothing can be written here; the journal has said so
        return None
    command = "from mdm_prime.tracking import watch; watch.main()"
    try:
        return subprocess.Popen(
            [sys.executable, "-c", command, str(results.resolve()), run_id],
            env=mirror.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for dvc, and the end of a terminal as well
        )
    except OSError as error:
        journal.warn_once(f"no mirror can be started ({error.strerror}); no run is lost")
        return None


def watch(results: Path, run_id: str) -> None:
    """Mirrors until the pipeline's run has ended; who mirrors ends it when the process of DVC is dead."""
    while True:
        mirror.within(results, PATIENCE)
        again = time.monotonic() + MIRROR_EVERY
        while _goes_on(results, run_id) and time.monotonic() < again:
            time.sleep(LOOK_EVERY)
        if not _path(results, run_id).exists():  # the folder was removed: dvc exp run --temp does
            return
        if not _goes_on(results, run_id):
            mirror.within(results, PATIENCE)
            return


def main() -> None:
    """Watches the pipeline sys.argv[2] in the results folder sys.argv[1], unless another process does."""
    from filelock import FileLock, Timeout

    results, run_id = Path(sys.argv[1]), sys.argv[2]
    try:
        with FileLock(_lock(results, run_id), timeout=LOOK_EVERY):  # a stage that looks holds it for a moment
            watch(results, run_id)
    except Timeout:
        return


def _goes_on(results: Path, run_id: str) -> bool:
    """Whether the pipeline or a stage of it lives."""
    try:
        events, _ = journal.read(_path(results, run_id))
    except OSError:
        return False
    return journal.status(events) == "RUNNING" and not endings.dead(results, run_id, events)


def _path(results: Path, run_id: str) -> Path:
    return journal.folder(results) / f"{run_id}.jsonl"


def _lock(results: Path, run_id: str) -> Path:
    return journal.folder(results) / f".{run_id}.lock"
