"""A run as a file: one JSON object per line, appended to and never rewritten, so that a kill costs one line at most."""

from __future__ import annotations

import functools
import json
import logging
import os
import platform
import re
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdm_prime.files import sha256_of
from mdm_prime.tracking.events import Status, wrong

Event = dict[str, Any]

logger = logging.getLogger("mdm_prime.tracking")


@functools.cache
def warn_once(message: str) -> None:
    """One line for each problem, however often it occurs."""
    logger.warning("tracking: %s", message)


def folder(results: Path) -> Path:
    return results / "tracking"


def slug(stage: str, name: str) -> str:
    """The part of a run's id that says what it is."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", f"{stage}-{name}")


def new_id(stage: str, name: str) -> str:
    return f"{slug(stage, name)}-{uuid.uuid4().hex[:12]}"


# ---- writing --------------------------------------------------------------------------------------------------------


def append(results: Path, run_id: str, event: str, **values: Any) -> None:
    """Adds one event with its time in milliseconds since 1970, now where `values` has none.

    A file that cannot be written gives a warning.
    """
    line = json.dumps({"event": event, "time": time.time_ns() // 1_000_000, **values}, default=str).encode()
    try:
        folder(results).mkdir(parents=True, exist_ok=True)
        with (folder(results) / f"{run_id}.jsonl").open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a kill cut the last line short
                    file.write(b"\n")
            file.write(line + b"\n")
    except OSError as error:
        warn_once(f"{folder(results)}: cannot be written ({error.strerror}); the work goes on without it")


def start(
    results: Path,
    run_id: str,
    *,
    stage: str,
    name: str,
    parent: str | None,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
    pid: int,
) -> None:
    """Notes the start of a run, or its continuation, with the commit and the process whose end ends it."""
    tags = {"stage": stage, **tags, **_git_tags()}
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = experiment
    process = {"host": platform.node(), "pid": pid, "started": _started(pid)}
    append(results, run_id, "start", stage=stage, name=name, parent=parent, params=params, tags=tags, process=process)


def append_artifact(results: Path, run_id: str, path: str | Path, into: str | None = None) -> None:
    """Notes small files, one or a folder of them, that the mirror is to copy, each with its SHA-256.

    The digest keeps a later file of the same name out of the run.
    """
    path = Path(path).resolve()
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.is_file() and not file.name.startswith("."):  # a name with a dot is still being written
                append_artifact(results, run_id, file, into)
        return
    try:
        digest = sha256_of(path)
    except OSError as error:
        warn_once(f"{path}: not kept in the run ({error.strerror})")
        return
    append(results, run_id, "artifact", path=str(path), folder=into, sha256=digest)


def append_document(results: Path, run_id: str, name: str, content: str | Mapping[str, Any]) -> None:
    """Notes a text, or a mapping as JSON, that becomes an artifact of a run without being a file."""
    text = content if isinstance(content, str) else json.dumps(content, indent=1, default=str) + "\n"
    append(results, run_id, "document", name=name, text=text)


def end(results: Path, run_id: str, status_: Status) -> None:
    """Ends a run; a stage of it that never ended is noted as killed."""
    for child, events in journals(results):
        if last_start(events)["parent"] == run_id and status(events) == "RUNNING":
            append(results, child, "end", status="KILLED")
    append(results, run_id, "end", status=status_)


def end_dead(results: Path) -> None:
    """Notes as killed what never ended and whose process is gone, with the time of its last line."""
    for run_id, events in journals(results):
        if status(events) == "RUNNING" and alive(events) is False:
            append(results, run_id, "end", status="KILLED", time=events[-1]["time"])


# ---- reading --------------------------------------------------------------------------------------------------------


def read(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events after a byte offset, and the offset after them.

    A line that a kill cut short is left out; one that is no event as well, with a warning.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    data = data[: data.rfind(b"\n") + 1]
    events = []
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if reason := wrong(event):
            warn_once(f"{path}: a line is no event and is left out ({reason})")
        else:
            events.append(event)
    return events, offset + len(data)


def journals(results: Path, pattern: str = "*") -> Iterator[tuple[str, list[Event]]]:
    """Run id and events of every journal that has a beginning, oldest first."""
    found = []
    for path in sorted(folder(results).glob(f"{pattern}.jsonl")):
        try:
            events, _ = read(path)
        except OSError as error:
            warn_once(f"{path}: cannot be read ({error.strerror})")
            continue
        if events and events[0]["event"] == "start":
            found.append((path.stem, events))
    yield from sorted(found, key=lambda journal: int(journal[1][0]["time"]))


def status(events: list[Event]) -> str:
    """The status that a run ended with, RUNNING while it goes on."""
    last = next(event for event in reversed(events) if event["event"] in ("start", "end"))
    return str(last.get("status", "RUNNING"))


def last_start(events: list[Event]) -> Event:
    """The line of the latest start: a run that was continued has several."""
    return next(event for event in reversed(events) if event["event"] == "start")


def alive(events: list[Event]) -> bool | None:
    """Whether the process of a run still runs; None where that cannot be told: another host, a system without /proc."""
    process = last_start(events).get("process") or {}
    if process.get("host") != platform.node() or process.get("started") is None:
        return None
    return bool(_started(process["pid"]) == process["started"])


@dataclass(frozen=True)
class PipelineSummary:
    """What the journals say of one run of a pipeline.

    Attributes:
        scale: the name of its params.
        status: FINISHED, FAILED, KILLED or RUNNING.
        started: milliseconds since 1970.
        minutes: from its start to its end, or to the last line so far.
        stages: how many runs of stages belong to it.
        tags: engine, git.commit, git.dirty and others.
        environment: versions and machine.
    """

    scale: str
    status: str
    started: int
    minutes: float
    stages: int
    tags: dict[str, str]
    environment: dict[str, Any]


def pipelines(results: Path) -> list[PipelineSummary]:
    """Every run of a pipeline, oldest first."""
    runs = list(journals(results))
    parents = [last_start(events)["parent"] for _, events in runs]
    return [
        PipelineSummary(
            scale=first["name"],
            status=status(events),
            started=first["time"],
            minutes=(events[-1]["time"] - first["time"]) / 60_000,
            stages=parents.count(run_id),
            tags=first["tags"],
            environment=first["params"],
        )
        for run_id, events in runs
        if (first := events[0])["stage"] == "pipeline"
    ]


# ---- process and commit ---------------------------------------------------------------------------------------------


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot: ids are used again. None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _git_tags() -> dict[str, str]:
    """The commit that is checked out, and whether a tracked file differs from it."""
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
