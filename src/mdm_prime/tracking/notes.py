"""How much of each journal is in which store (tracking/mirrored.json, written by the mirror alone), and why not."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from mdm_prime.files import write_json, write_text
from mdm_prime.tracking import journal

Notes = dict[str, Any]


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


def digest(*parts: object) -> str:
    """A text that names a store without telling a password that its address may hold."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def read(results: Path) -> Notes:
    """The notes; empty where there are none or they cannot be read, so that the store is filled again."""
    try:
        notes = json.loads(_file(results).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def write(results: Path, notes: Notes) -> None:
    write_json(_file(results), notes)


def problem(results: Path) -> str | None:
    """Why the last mirror failed; None when it did not."""
    try:
        return _problem_file(results).read_text(encoding="utf-8")
    except OSError:
        return None


def note_problem(results: Path, problem: str | None) -> None:
    """Leaves the reason of a failed mirror for those who did not wait for it."""
    try:
        if problem is None:
            _problem_file(results).unlink(missing_ok=True)
        else:
            write_text(_problem_file(results), problem)
    except OSError as error:
        journal.warn_once(f"{_problem_file(results)}: cannot be written ({error.strerror})")


def waiting(results: Path) -> Waiting:
    """What is still to be sent to the store that is in use now."""
    notes = read(results)
    uri = store_uri(results)
    database = sqlite_file(uri)
    lost = notes.get("uri") != digest(uri) or (database is not None and not database.exists())
    known = {} if lost else notes["runs"]
    runs = points = 0
    for path in sorted(journal.folder(results).glob("*.jsonl")):
        try:
            events, _ = journal.read(path, known.get(path.stem, {}).get("bytes", 0))
        except OSError:
            continue
        if events:
            runs += 1
            points += sum(len(event["values"]) for event in events if event["event"] == "metrics")
    return Waiting(runs, points)


def _file(results: Path) -> Path:
    return journal.folder(results) / "mirrored.json"


def _problem_file(results: Path) -> Path:
    return journal.folder(results) / "problem.txt"
