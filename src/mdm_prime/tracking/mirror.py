"""Journals into the MLflow store, in a process of its own.

The only importer of mlflow. Mirroring again adds nothing: how much of a journal is in the store is noted beside the
journals, and MLflow ignores a point that it has (same key, step, time and value).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.files import replacing, write_json
from mdm_prime.tracking import journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "mdm-prime"
LOCKED_FOR = 30.0  # seconds to wait for another mirror
REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")  # of one run, not of the whole store
MAX_METRICS, MAX_ITEMS, MAX_TEXT = 1000, 100, 5000  # limits of MLflow: metrics and tags of one call, one value
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "PYTHONWARNINGS": "ignore",
}


class StoreError(Exception):
    """The store cannot be written; `str(error)` is one line that says why."""


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


def wait(process: subprocess.Popen[str], seconds: float) -> bool:
    """Waits for a mirror, stops it when it takes longer, and warns when it did not succeed."""
    try:
        reason, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        reason = f"the store did not answer within {seconds:g} s"
    if process.returncode:
        reason = reason.strip() or f"the mirror ended with exit code {process.returncode}"
        journal.warn_once(
            f"{reason}; no run is lost: they are in journals, and a later start of the pipeline adds them"
        )
    return not process.returncode


def ended(process: subprocess.Popen[str]) -> bool:
    """Whether a mirror has ended; warns when it did not succeed."""
    return process.poll() is not None and (wait(process, 1.0) or True)


def within(results: Path, seconds: float) -> bool:
    """Mirrors, for at most so many seconds, and says whether it succeeded."""
    process = start(results)
    return process is not None and wait(process, seconds)


def environment() -> dict[str, str]:
    """The environment of a process that imports mlflow; what the user has set stays."""
    return {**QUIET, **os.environ}


def store_uri(results: Path) -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results.resolve() / 'mlflow.db'}"


def mirror(results: Path) -> None:
    """Adds to the store what the journals hold beyond it. Raises StoreError."""
    from filelock import FileLock, Timeout

    journal.folder(results).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(journal.folder(results) / ".lock", timeout=LOCKED_FOR):
            _mirror(results)
    except Timeout:
        raise StoreError(f"{journal.folder(results) / '.lock'}: held by another process for {LOCKED_FOR:g} s") from None


def _mirror(results: Path) -> None:
    client, experiment, identity = _open(results)
    noted = _noted(results)
    if noted.get("store") != identity:  # another store, or a new one in its place: begin again
        noted = {"store": identity, "experiment": experiment, "runs": {}}
    write_json(_noted_file(results), noted)
    refused = []
    found = list(journal.journals(results))
    for run_id, events in sorted(found, key=lambda run: run[1][0]["stage"] != "pipeline"):  # parents first
        path = journal.folder(results) / f"{run_id}.jsonl"
        known = noted["runs"].setdefault(run_id, {"run": None, "bytes": 0})
        if path.stat().st_size > known["bytes"]:
            known["run"] = known["run"] or _run(client, experiment, run_id, events[0])
            try:
                known["bytes"] = _add(client, known["run"], path, known["bytes"], noted["runs"])
            except Exception as error:
                if getattr(error, "error_code", None) not in REFUSED:
                    raise
                refused.append(f"{run_id}: refused by the store ({_one_line(error)})")
                known["bytes"] = path.stat().st_size  # a run deleted by hand stays deleted
            write_json(_noted_file(results), noted)
    if refused:
        raise StoreError(refused[0] + (f" and {len(refused) - 1} more" if refused[1:] else ""))


def experiment_id(results: Path) -> str | None:
    """The experiment that was mirrored into, None before the first mirror."""
    found = _noted(results).get("experiment")
    return None if found is None else str(found)


def _noted_file(results: Path) -> Path:
    return journal.folder(results) / "mirrored.json"


def _noted(results: Path) -> dict[str, Any]:
    try:
        noted = json.loads(_noted_file(results).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _open(results: Path) -> tuple[MlflowClient, str, str]:
    """A client, the experiment's id, and a text that no other experiment of any store has."""
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise StoreError(f"mlflow cannot be imported ({error}); add the extra mdm-prime[pipeline]") from None
    uri = store_uri(results)
    artifacts = None
    if uri.startswith("sqlite:///"):
        artifacts = (results.resolve() / "mlartifacts").as_uri()
        _check_sqlite(Path(uri.removeprefix("sqlite:///")), artifacts)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        experiment = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
    identity = hashlib.sha256(f"{uri} {experiment.experiment_id} {experiment.creation_time}".encode()).hexdigest()
    return client, str(experiment.experiment_id), identity


def _check_sqlite(path: Path, artifacts: str) -> None:
    """Creates the database, whole or not at all, where there is none; raises StoreError for one that cannot be used."""
    from mlflow import MlflowClient

    if not path.exists() or not path.stat().st_size:
        with replacing(path) as temporary:
            MlflowClient(tracking_uri=f"sqlite:///{temporary}").create_experiment(EXPERIMENT, artifacts)
        return
    try:  # mlflow itself would try a broken file for minutes and a locked one for 20 s
        with closing(sqlite3.connect(path, timeout=3.0, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: not a usable store ({error}); move it away to begin a new one") from None


def _run(client: MlflowClient, experiment: str, run_id: str, first: journal.Event) -> str:
    """The MLflow run of a journal; a mirror that was killed may have created it."""
    for run in client.search_runs([experiment], f"tags.journal = '{run_id}'", max_results=1):
        return str(run.info.run_id)
    name = f"{first['stage']} {first['name']}"
    run = client.create_run(experiment, first["time"], {"journal": run_id}, run_name=name)
    return str(run.info.run_id)


def _add(client: MlflowClient, run: str, path: Path, offset: int, runs: Mapping[str, Any]) -> int:
    """Adds a journal from a byte offset on to its run, and returns the offset of its end."""
    from mlflow.entities import Metric

    events, end = journal.read(path, offset)
    starts = [event for event in events if event["event"] == "start"]
    if offset == 0:
        _log_params(client, run, starts[0]["params"])
    elif starts:
        client.update_run(run, status="RUNNING")  # continued
    tags: dict[str, Any] = {}
    metrics = []
    for event in events:
        if event["event"] == "start":
            parent = runs.get(event["parent"], {}).get("run")
            tags |= event["tags"] | ({"mlflow.parentRunId": parent} if parent else {})
        elif event["event"] == "tags":
            tags |= event["values"]
        elif event["event"] == "metrics":
            values = event["values"].items()
            metrics += [Metric(key, value, event["time"], event["step"]) for key, value in values]
        elif event["event"] == "artifact":
            _log_artifact(client, run, Path(event["path"]), event["folder"])
    for chunk in _chunks(metrics, MAX_METRICS):
        client.log_batch(run, metrics=chunk)
    _log_tags(client, run, tags)
    last = [event for event in events if event["event"] in ("start", "end")][-1:]
    if last and last[0]["event"] == "end":
        client.set_terminated(run, last[0]["status"], end_time=last[0]["time"])
    return end


def _log_params(client: MlflowClient, run: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    for chunk in _chunks([Param(key, str(value)[:MAX_TEXT]) for key, value in params.items()], MAX_ITEMS):
        client.log_batch(run, params=chunk)


def _log_tags(client: MlflowClient, run: str, tags: Mapping[str, Any]) -> None:
    from mlflow.entities import RunTag

    for chunk in _chunks([RunTag(key, str(value)[:MAX_TEXT]) for key, value in tags.items()], MAX_ITEMS):
        client.log_batch(run, tags=chunk)


def _log_artifact(client: MlflowClient, run: str, path: Path, folder: str | None) -> None:
    if path.is_dir():
        client.log_artifacts(run, str(path), folder)
    elif path.is_file():  # else it was removed since
        client.log_artifact(run, str(path), folder)


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _one_line(error: BaseException) -> str:
    """What went wrong, without the user and the password that an address may hold."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return re.sub(r"//[^/@\s]+@", "//***@", text)[:400]


def main() -> None:
    """Mirrors the results folder in sys.argv[1]; prints one line and exits with 1 when that fails."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            mirror(Path(sys.argv[1]))
    except Exception as error:  # whatever mlflow and its drivers may raise
        sys.stdout.write(str(error) if isinstance(error, StoreError) else _one_line(error))
        sys.exit(1)
