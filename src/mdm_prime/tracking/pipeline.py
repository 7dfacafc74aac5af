"""The run of a whole pipeline, and the process that mirrors journals into the store: mlflow is slow to import."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.files import write_text
from mdm_prime.tracking import journal, sqlite
from mdm_prime.tracking.events import Status

PACKAGES = ("mdm-prime", "torch", "numpy", "snakemake", "dvc")  # what numbers, or the order of the work, depend on
PRODUCTS = ("tables", "figures")  # folders of results/SCALE, copied into the run of a pipeline
LATER = 60.0  # seconds that a mirror which nobody waits for gathers runs before it sends them
_unwaited: list[subprocess.Popen[str] | None] = []  # kept: Python warns of one that is dropped while it runs
SEND = "mdm-prime pipeline send"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "PYTHONWARNINGS": "ignore",
}


def start_pipeline(
    results: Path,
    params: Path,
    scale: str,
    config: Mapping[str, Any] | None = None,
    *,
    engine: str = "snakemake",
    pid: int | None = None,
) -> str:
    """Starts the run that the stages of a pipeline belong to, creates the store, and returns the run's id.

    Hand the id down in the environment variable MDM_PRIME_PARENT_RUN. An earlier pipeline that never ended is noted as
    killed, unless its process is alive.

    Args:
        results: the results folder.
        params: the parameters as they were written.
        scale: their name.
        config: the same validated, with every default: the artifact config.json.
        engine: what runs the stages.
        pid: the process of the pipeline; the parent of this process where None.
    """
    for earlier, events in journal.journals(results, "pipeline-*"):
        if journal.status(events) == "RUNNING" and not journal.alive(events):
            journal.end(results, earlier, "KILLED")
    run_id = journal.new_id("pipeline", scale)
    journal.start(
        results,
        run_id,
        stage="pipeline",
        name=scale,
        parent=None,
        params=environment(),
        tags={"scale": scale, "engine": engine},
        pid=pid or os.getppid(),
    )
    if config is not None:
        journal.append_document(results, run_id, "config.json", config)
    journal.append_artifact(results, run_id, params)
    mirror(results, 60.0)
    return run_id


def finish_pipeline(results: Path, run_id: str, status: Status) -> None:
    """Ends a pipeline's run with its tables and figures; a stage of it that never ended is noted as killed."""
    for _, events in journal.journals(results, run_id):
        root = results / events[0]["name"]  # of the scale that the pipeline made
        for product in PRODUCTS:
            if (root / product).is_dir():
                journal.append_artifact(results, run_id, root / product, product)
    journal.end(results, run_id, status)
    mirror(results, 120.0)


def environment() -> dict[str, Any]:
    """Versions of packages and Python, and the machine; nothing is imported for it."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[f"version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | {
        "version.python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
    }


def _processor() -> str:
    """The processor's name where Linux tells it; platform.processor() is mostly empty there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


# ---- the mirror -----------------------------------------------------------------------------------------------------


def mirror(results: Path, seconds: float) -> bool:
    """Mirrors every journal for at most so many seconds; warns when that did not succeed, and says whether it did."""
    process = mirror_process(results, stdout=subprocess.PIPE, text=True)
    if process is None:
        return False
    try:
        reason, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        reason = f"the store did not answer within {seconds:g} s"
    if process.returncode:
        _warn(results, _reason(process, reason))
    return not process.returncode


def mirror_later(results: Path) -> None:
    """Mirrors in a minute, in a process that nobody waits for; what others note until then goes with it."""
    try:
        with (journal.folder(results) / ".later").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            process = mirror_process(
                results,
                str(file.fileno()),  # held by the new process as well, until it begins to read journals
                str(LATER),
                pass_fds=[file.fileno()],
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the stage, and the end of a terminal as well
            )
            _unwaited[:] = [earlier for earlier in [*_unwaited, process] if earlier and earlier.poll() is None]
    except BlockingIOError:  # another one waits
        return
    except OSError:  # nothing can be written here; the journal has said so
        return


def mirror_process(results: Path, *arguments: str, **options: Any) -> subprocess.Popen[str] | None:
    """A process that runs `store.main`; None, with a warning, where none can be started."""
    try:
        return subprocess.Popen(
            [sys.executable, "-c", "from mdm_prime.tracking import store; store.main()", str(results), *arguments],
            env=mlflow_environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )
    except OSError as error:  # no memory, no process left
        journal.warn_once(f"no mirror can be started ({error.strerror}); no run is lost")
        return None


def check_runs(results: Path, scale: str) -> None:
    """Raises UserError where there is no run, with the command that makes those of a scale."""
    if not any(journal.folder(results).glob("*.jsonl")):
        raise UserError(f"{results}: holds no run; make some with: {hints.everything(scale)}")


def send(results: Path, scale: str) -> str:
    """Sends what waits, however long it takes, and returns a line that says how much it was.

    Raises UserError when there is no run or something still waits; `scale` is named in the first case.
    """
    check_runs(results, scale)
    sqlite.check(sqlite_file(store_uri(results)))
    before = waiting(results)
    process = mirror_process(results, stdout=subprocess.PIPE, text=True)
    if process is None:
        raise UserError("no process can be started for the store of MLflow; try again")
    reason, _ = process.communicate()
    left = waiting(results)
    if process.returncode:
        raise UserError(f"{_reason(process, reason)}; {left} wait in {journal.folder(results)}; try again with: {SEND}")
    return f"{before} sent; " + (f"{left} came since and wait" if left.runs else "none waits")


def warn_of_problem(results: Path) -> None:
    """Says why the last mirror failed that nobody waited for."""
    if reason := problem(results):
        _warn(results, reason)


def mlflow_environment() -> dict[str, str]:
    """The environment of a process that imports mlflow; what the user has set stays."""
    return {**QUIET, **os.environ}


def _reason(process: subprocess.Popen[str], told: str) -> str:
    return told.strip() or f"the mirror ended with exit code {process.returncode}"


@functools.cache
def _warn(results: Path, reason: str) -> None:
    """One line for each problem: why the store was not written, what waits, and how it is sent."""
    journal.warn_once(
        f"{reason}; no run is lost: they are in journals, and a later start of the pipeline adds them, or: {SEND} "
        f"({waiting(results)} so far)"
    )


# ---- how much of each journal is in which store ----------------------------------------------------------------------


class Waiting(NamedTuple):
    """What the journals hold and the store does not."""

    runs: int
    points: int  # values of metrics

    def __str__(self) -> str:
        runs, points = ("run" if self.runs == 1 else "runs"), ("point" if self.points == 1 else "points")
        return f"{self.runs} {runs} with {self.points:,} {points}"


def store_uri(results: Path) -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results.resolve() / 'mlflow.db'}"


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, None for another store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def notes(results: Path) -> dict[str, Any]:
    """What the last mirror noted; empty where that cannot be read, so that the store is filled again."""
    try:
        noted = json.loads(notes_file(results).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def waiting(results: Path) -> Waiting:
    """What is still to be sent to the store that is in use now."""
    noted = notes(results)
    uri = store_uri(results)
    database = sqlite_file(uri)
    lost = noted.get("uri") != digest_of(uri) or (database is not None and not database.exists())
    known = {} if lost else noted["runs"]
    runs = points = 0
    for path in sorted(journal.folder(results).glob("*.jsonl")):
        try:
            events, _ = journal.read(path, known.get(path.stem, {}).get("bytes", 0))
        except OSError:
            continue
        if events and (path.stem in known or events[0]["event"] == "start"):
            runs += 1
            points += sum(len(event["values"]) for event in events if event["event"] == "metrics")
    return Waiting(runs, points)


def problem(results: Path) -> str | None:
    """Why the last mirror failed; None when it did not."""
    try:
        return _problem_file(results).read_text(encoding="utf-8")
    except OSError:
        return None


def note_problem(results: Path, reason: str | None) -> None:
    if reason is None:
        _problem_file(results).unlink(missing_ok=True)
    else:
        write_text(_problem_file(results), reason)


def _problem_file(results: Path) -> Path:
    return journal.folder(results) / "problem.txt"


def notes_file(results: Path) -> Path:
    return journal.folder(results) / "mirrored.json"


def digest_of(*parts: object) -> str:
    """A text that names a store without telling a password that its address may hold."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
