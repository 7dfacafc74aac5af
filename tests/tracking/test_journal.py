"""Journals by themselves: cut lines, dead processes, what they say of pipelines."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mdm_prime import tracking
from mdm_prime.tracking import journal


def start(results: Path, run_id: str, **values: Any) -> None:
    described = {"stage": run_id.partition("-")[0], "name": "smoke", "parent": None, "params": {}, "tags": {}}
    journal.start(results, run_id, **(described | {"pid": os.getpid()} | values))


def states(results: Path) -> dict[str, str]:
    return {run_id: journal.status(events) for run_id, events in journal.journals(results)}


def test_importing_is_cheap() -> None:
    command = "import sys, mdm_prime.tracking; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True).stdout.split()
    assert {"mlflow", "torch", "pandas", "yaml", "sqlalchemy"}.isdisjoint(loaded)


def test_a_cut_line_costs_one_point(tmp_path: Path) -> None:
    start(tmp_path, "a")
    path = tmp_path / "tracking" / "a.jsonl"
    path.write_bytes(path.read_bytes() + b'{"event": "metrics", "ste')
    events, end = journal.read(path)
    assert [event["event"] for event in events] == ["start"]
    journal.append(tmp_path, "a", "end", status="FINISHED")
    assert [event["event"] for event in journal.read(path, end)[0]] == ["end"]


BAD_LINES = {
    "no fields": {"event": "start"},
    "another kind": {"event": "format", "time": 1},
    "a list": [1, 2],
    "no time": {"event": "end", "status": "FINISHED"},
    "a time far away": {"event": "end", "status": "FINISHED", "time": 10**30},
    "a status of its own": {"event": "end", "status": "FINE", "time": 1},
    "a word for a number": {"event": "metrics", "time": 1, "step": 1, "values": {"loss": "low"}},
    "a way out": {"event": "artifact", "time": 1, "path": "/x", "folder": "../..", "sha256": ""},
    "a root": {"event": "document", "time": 1, "name": "/etc/x", "text": ""},
    "a long name": {"event": "document", "time": 1, "name": "x" * 300, "text": ""},
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_is_no_event_is_left_out_and_said(
    tmp_path: Path, line: object, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path, "a")
    path = tmp_path / "tracking" / "a.jsonl"
    path.write_bytes(path.read_bytes() + json.dumps(line).encode() + b"\n")
    journal.append(tmp_path, "a", "end", status="FINISHED")
    assert states(tmp_path) == {"a": "FINISHED"}
    assert [event["event"] for event in journal.read(path)[0]] == ["start", "end"]
    (record,) = caplog.records
    assert "a.jsonl: a line is no event and is left out" in record.message
    assert "\n" not in record.message


def test_what_is_nested_too_deeply_is_no_event(tmp_path: Path) -> None:
    start(tmp_path, "a")
    path = tmp_path / "tracking" / "b.jsonl"
    for depth in (200, 100_000):
        params = '{"a":' * depth + "1" + "}" * depth
        head = '{"event": "start", "time": 1, "stage": "x", "name": "x", "parent": null, "tags": {}, "params": '
        path.write_text(f"{head}{params}}}\n")
        assert set(states(tmp_path)) <= {"a", "b"}


def test_a_full_disk_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.PARENT_RUN, "pipeline-x")
    (tmp_path / "results").write_text("a file where the folder should be")
    with tracking.stage(tmp_path / "results", stage="train", name="x", params={}, tags={}) as run:
        for step in range(100):
            run.metric(step, {"loss": 0.5})
    assert len(caplog.records) == 1


def test_only_what_is_known_to_be_dead_is_dead(tmp_path: Path) -> None:
    start(tmp_path, "train-x")
    ((_, (event,)),) = journal.journals(tmp_path)
    process = event["process"]
    assert journal.alive([event]) is True
    assert journal.alive([event | {"process": process | {"started": "1"}}]) is False  # its id is used again
    assert journal.alive([event | {"process": process | {"host": "elsewhere"}}]) is None
    assert journal.alive([event | {"process": process | {"started": None}}]) is None  # a system without /proc
    assert journal.alive([event | {"process": None}]) is None
    assert process["host"] == platform.node()


def test_what_was_killed_is_noted_as_killed_and_what_goes_on_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        start(tmp_path, "pipeline-x", pid=process.pid)
        start(tmp_path, "train-x", pid=process.pid, parent="pipeline-x")
        start(tmp_path, "train-y", parent="pipeline-x")  # goes on without its pipeline
        start(tmp_path, "train-z", pid=process.pid, parent="pipeline-x")
        journal.append(tmp_path, "train-z", "end", status="FAILED")
        journal.end_dead(tmp_path)
        assert states(tmp_path).pop("train-z") == "FAILED"
        assert list(states(tmp_path).values()).count("RUNNING") == 3
        process.kill()
        process.wait()
    journal.end_dead(tmp_path)
    assert states(tmp_path) == {
        "pipeline-x": "KILLED",
        "train-x": "KILLED",
        "train-y": "RUNNING",
        "train-z": "FAILED",
    }
    (last,) = [events[-1] for run_id, events in journal.journals(tmp_path) if run_id == "train-x"]
    (first,) = [events[0] for run_id, events in journal.journals(tmp_path) if run_id == "train-x"]
    assert last["time"] == first["time"]  # it wrote nothing later


def test_a_process_that_ended_and_was_not_waited_for_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        start(tmp_path, "train-x", pid=process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        ((_, events),) = journal.journals(tmp_path)
        assert journal.alive(events) is False


def test_the_end_of_a_pipeline_ends_its_stages(tmp_path: Path) -> None:
    start(tmp_path, "pipeline-x")
    start(tmp_path, "train-x", parent="pipeline-x")
    start(tmp_path, "train-y")
    journal.end(tmp_path, "pipeline-x", "FAILED")
    assert states(tmp_path) == {"pipeline-x": "FAILED", "train-x": "KILLED", "train-y": "RUNNING"}


def test_pipelines_are_summed_up(tmp_path: Path) -> None:
    start(tmp_path, "pipeline-x", tags={"engine": "dvc"}, params={"cpus": 2})
    start(tmp_path, "train-x", parent="pipeline-x")
    start(tmp_path, "train-y")
    first = next(journal.journals(tmp_path))[1][0]["time"]
    journal.append(tmp_path, "pipeline-x", "end", status="FINISHED", time=first + 90_000)
    start(tmp_path, "pipeline-y", name="default")
    done, running = journal.pipelines(tmp_path)
    assert (done.scale, done.status, done.minutes, done.stages) == ("smoke", "FINISHED", 1.5, 1)
    assert (done.started, done.tags["engine"], done.environment) == (first, "dvc", {"cpus": 2})
    assert (running.scale, running.status, running.stages) == ("default", "RUNNING", 0)
