"""What the pipeline and its stages call: the runs of MLflow, written as journals."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdm_prime.files import sha256_of
from mdm_prime.tracking import journal, mirror

PARENT_RUN = "MDM_PRIME_PARENT_RUN"  # environment variable that hands a pipeline's run down to its stages
MIRROR_EVERY = 300.0  # seconds between two mirrors of a stage that is still running
PATIENCE = 10.0  # seconds that a stage may wait for the mirror when it ends


@dataclass
class StageRun:
    """A run being written; `run_id` names its journal. No method raises, whatever the state of disk and store."""

    results: Path
    run_id: str
    last_step: int = -1  # of the points in the journal: a resumed training repeats some of them
    _mirror: subprocess.Popen[str] | None = None
    _mirror_at: float = field(default_factory=lambda: time.monotonic() + MIRROR_EVERY)

    def metric(self, step: int, values: Mapping[str, float]) -> None:
        """Notes the values at a step; a step at or before the last one noted is skipped."""
        if step <= self.last_step:
            return
        self.last_step = step
        self._append("metrics", step=step, values={key: float(value) for key, value in values.items()})
        if time.monotonic() > self._mirror_at and (self._mirror is None or mirror.ended(self._mirror)):
            self._mirror_at = time.monotonic() + MIRROR_EVERY
            self._mirror = mirror.start(self.results)

    def link(self, name: str, path: str | Path) -> None:
        """Notes where a file lies (relative to the current folder) and its SHA-256 as tags; nothing is copied."""
        try:
            digest = sha256_of(path)
        except OSError as error:
            journal.warn_once(f"{path}: no link to it ({error.strerror})")
            return
        self._append("tags", values={f"{name}.path": os.path.relpath(path), f"{name}.sha256": digest})

    def artifact(self, path: str | Path, folder: str | None = None) -> None:
        """A small file, or a folder of them, that the mirror copies into the store."""
        self._append("artifact", path=str(Path(path).resolve()), folder=folder)

    def _append(self, event: str, **values: Any) -> None:
        journal.append(self.results, self.run_id, event, **values)

    def _end(self, status: journal.Status) -> None:
        self._append("end", status=status)
        if self._mirror:
            mirror.wait(self._mirror, PATIENCE)


def start_pipeline(results: Path, params: Path, scale: str) -> str:
    """Starts the run that the stages of a pipeline belong to, creates the store, and returns the run's id.

    Hand the id down in the environment variable MDM_PRIME_PARENT_RUN. An earlier pipeline that never ended is noted as
    killed: only one at a time writes into a results folder.
    """
    for run_id, events in journal.journals(results, "pipeline-*"):
        if journal.status(events) == "RUNNING":
            _end_pipeline(results, run_id, "KILLED")
    run = StageRun(results, journal.new_id("pipeline", scale))
    tags = {"stage": "pipeline", "scale": scale, "engine": "dvc" if "DVC_ROOT" in os.environ else "snakemake"}
    run._append("start", stage="pipeline", name=scale, parent=None, params=_environment(), tags=tags | _git_tags())
    run.artifact(params)
    mirror.within(results, 60.0)
    return run.run_id


def finish_pipeline(results: Path, run_id: str, status: journal.Status) -> None:
    """Ends a pipeline's run with its tables and figures; a stage of it that never ended is noted as killed."""
    run = StageRun(results, run_id)
    for folder in ("tables", "figures"):
        if (results / folder).is_dir():
            run.artifact(results / folder, folder)
    _end_pipeline(results, run_id, status)
    mirror.within(results, 120.0)


@contextmanager
def stage(
    results: Path, *, stage: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
) -> Iterator[StageRun]:
    """The run of one stage, a child of the pipeline's run where MDM_PRIME_PARENT_RUN names one.

    A stage of the same name and params that was interrupted or failed is continued: the same run, no point twice.
    An exception passes through and ends the run as FAILED.

    Args:
        results: the results folder.
        stage: what is done, such as `train`.
        name: what it is done to, such as `text/l4/seed0`.
        params: values that the run depends on; nested mappings become dotted keys.
        tags: what to find the run by: task, variant, model, num_subtokens, seed, scale, SHA-256 of the data.
    """
    params = json.loads(json.dumps(journal.flat(params), default=str))  # as it will be read back
    run = _unfinished(results, stage, name, params) or StageRun(results, journal.new_id(stage, name))
    parent = os.environ.get(PARENT_RUN)
    tags = {"stage": stage, **tags, **_git_tags()}
    run._append("start", stage=stage, name=name, parent=parent, params=params, tags=tags)
    try:
        yield run
    except BaseException:
        run._end("FAILED")
        raise
    else:
        run._end("FINISHED")
    finally:
        if parent is None:
            mirror.within(results, PATIENCE)


def _unfinished(results: Path, stage: str, name: str, params: Mapping[str, Any]) -> StageRun | None:
    for run_id, events in journal.journals(results, f"{journal.slug(stage, name)}-*"):
        start = events[0]
        same = (start["stage"], start["name"], start["params"]) == (stage, name, params)
        if same and journal.status(events) != "FINISHED":
            return StageRun(results, run_id, max(event.get("step", -1) for event in events))
    return None


def _end_pipeline(results: Path, run_id: str, status: journal.Status) -> None:
    for stage_id, events in journal.journals(results):
        if journal.last_start(events)["parent"] == run_id and journal.status(events) == "RUNNING":
            journal.append(results, stage_id, "end", status="KILLED")
    journal.append(results, run_id, "end", status=status)


def _environment() -> dict[str, Any]:
    """Versions of what numbers depend on, without importing any of it."""
    versions = {}
    for package in ("mdm-prime", "torch", "numpy", "snakemake"):
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


def _git_tags() -> dict[str, str]:
    commit = _git("rev-parse", "HEAD")
    changes = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    dirty = "unknown" if commit is None or changes is None else str(bool(changes)).lower()
    return {"git.commit": commit or "unknown", "git.dirty": dirty}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
