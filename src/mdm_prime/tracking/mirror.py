"""Journals into the store, in a process of its own: mlflow is slow to import, and a store may be far or broken."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from pathlib import Path

from mdm_prime.errors import UserError
from mdm_prime.tracking import endings, journal, notes, store
from mdm_prime.tracking.notes import store_uri as store_uri

LOCKED_FOR = 30.0  # seconds to wait for another mirror
SEND = "mdm-prime pipeline send"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "PYTHONWARNINGS": "ignore",
}


def start(results: Path) -> subprocess.Popen[str] | None:
    """Starts mirroring every journal of a results folder; None, with a warning, where no process can be started."""
    try:
        return subprocess.Popen(
            [sys.executable, "-c", "from mdm_prime.tracking import mirror; mirror.main()", str(results)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError as error:  # no memory, no process left
        journal.warn_once(f"no mirror can be started ({error.strerror}); no run is lost")
        return None


def wait(results: Path, process: subprocess.Popen[str], seconds: float) -> bool:
    """Waits for a mirror, stops it when it takes longer, and warns when it did not succeed."""
    try:
        reason, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        reason = f"the store did not answer within {seconds:g} s"
    if process.returncode:
        reason = reason.strip() or f"the mirror ended with exit code {process.returncode}"
        notes.note_problem(results, reason)
        warn_of(results, reason)
    return not process.returncode


@functools.cache
def warn_of(results: Path, problem: str) -> None:
    """One line for each problem: why the store was not written, what waits, and how it is sent."""
    journal.warn_once(
        f"{problem}; no run is lost: they are in journals, and a later start of the pipeline adds them, or: {SEND} "
        f"({notes.waiting(results)} so far)"
    )


def ended(results: Path, process: subprocess.Popen[str]) -> bool:
    """Whether a mirror has ended; warns when it did not succeed."""
    return process.poll() is not None and (wait(results, process, 1.0) or True)


def within(results: Path, seconds: float) -> bool:
    """Mirrors, for at most so many seconds, and says whether it succeeded."""
    process = start(results)
    return process is not None and wait(results, process, seconds)


def send(results: Path) -> str:
    """Sends what waits, however long it takes, and returns a line that says how much it was.

    Raises UserError when there is no journal or something still waits.
    """
    if not any(journal.folder(results).glob("*.jsonl")):
        raise UserError(f"{results}: holds no run; make some with: snakemake --cores all results/tables/")
    before = notes.waiting(results)
    process = start(results)
    if process is None:
        raise UserError("no process can be started for the store of MLflow; try again")
    reason, _ = process.communicate()
    left = notes.waiting(results)
    if process.returncode:
        reason = reason.strip() or f"the mirror ended with exit code {process.returncode}"
        raise UserError(f"{reason}; {left} wait in {journal.folder(results)}; try again with: {SEND}")
    return f"{before} sent; " + (f"{left} came since and wait" if left.runs else "none waits")


def environment() -> dict[str, str]:
    """The environment of a process that imports mlflow; what the user has set stays."""
    return {**QUIET, **os.environ}


def mirror(results: Path) -> None:
    """Ends the pipelines that died, and adds to the store what the journals hold beyond it. Raises StoreError.

    Of many that wait for one another only the first has anything to do, and the others do not import mlflow.
    """
    from filelock import FileLock, Timeout

    journal.folder(results).mkdir(parents=True, exist_ok=True)
    lock = journal.folder(results) / ".lock"
    try:
        with FileLock(lock, timeout=LOCKED_FOR):
            endings.end_dead(results)
            if notes.waiting(results).runs or not notes.read(results).get("runs"):
                store.send(results)
            notes.note_problem(results, None)
    except Timeout:
        raise store.StoreError(f"{lock}: held by another process for {LOCKED_FOR:g} s") from None


def main() -> None:
    """Mirrors the results folder in sys.argv[1]; prints one line and exits with 1 when that fails."""
    results = Path(sys.argv[1])
    try:
        with contextlib.redirect_stdout(sys.stderr):
            mirror(results)
    except Exception as error:  # whatever mlflow and its drivers may raise
        sys.stdout.write(str(error) if isinstance(error, store.StoreError) else store.one_line(error))
        sys.exit(1)
