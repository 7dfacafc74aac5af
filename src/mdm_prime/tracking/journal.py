"""A run as a file: one JSON object a line, appended to and never rewritten, so that a kill costs one line at most."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from mdm_prime.files import sha256_of

Event = dict[str, Any]
Status = Literal["FINISHED", "FAILED", "KILLED"]

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


def now() -> int:
    """Milliseconds since 1970, the time of MLflow."""
    return time.time_ns() // 1_000_000


def append(results: Path, run_id: str, event: str, **values: Any) -> None:
    """Adds one event with its time in milliseconds, now where `values` has none.

    A file that cannot be written gives a warning.
    """
    line = json.dumps({"event": event, "time": now(), **values}, default=str).encode()
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


def read(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events after a byte offset, and the offset after them; lines that a kill cut short are left out."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    data = data[: data.rfind(b"\n") + 1]
    events = []
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
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


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result
