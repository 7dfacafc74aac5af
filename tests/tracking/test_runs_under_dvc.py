"""A `dvc repro` is one run with its stages as children, and none of them waits for the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock, Timeout
from mlflow_store import search

from mdm_prime import tracking
from mdm_prime.tracking import endings, journal, mirror, pipelines, processes, watch

STAGE = """
import sys
from pathlib import Path
from mdm_prime import tracking
from mdm_prime.tracking import mirror
mirror.within = None  # a stage that waits for a mirror fails
name, fate = sys.argv[1:]
tracking.join_pipeline(Path("results"), "smoke", {"seeds": [0]})
with tracking.stage(Path("results"), stage="train", name=name, params={"a": {"b": 1}}, tags={"scale": "smoke"}) as run:
    run.metric(0, {"loss": 0.5})
    Path("results/tables").mkdir(exist_ok=True)
    Path("results/tables/claims.csv").write_text(name)
    Path(f"{name}.txt").write_text(name)
    if fate == "fail":
        sys.exit(1)
"""
# A process that does what dvc does: it runs stages, one after the other, in an environment that names them.
REPRO = """
import os, subprocess, sys, time
for stage in sys.argv[2:]:
    environment = {**os.environ, "DVC_ROOT": os.getcwd(), "DVC_STAGE": stage}
    subprocess.run([sys.executable, sys.argv[1], *stage.split("=")], env=environment)
print("done", flush=True)
sys.stdin.read()
"""


def repro(folder: Path, *stages: str) -> subprocess.Popen[str]:
    """A process that has run stages and goes on until its input ends; as the shell of a stage, none of DVC's."""
    (folder / "stage.py").write_text(STAGE)
    command = [sys.executable, "-c", REPRO, "stage.py", *stages]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "done\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    with process:
        process.communicate()


def until(wanted: Any) -> None:
    deadline = time.monotonic() + 120
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def watchers(results: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if str(results.resolve()) in command and any("watch.main()" in part for part in command):
            found.append(process)
    return found


def only_watcher(results: Path) -> psutil.Process:
    """The watcher, when another that came too late has ended."""
    until(lambda: len(watchers(results)) == 1)
    return watchers(results)[0]


def is_locked(results: Path, run_id: str) -> bool:
    try:
        with FileLock(results / "tracking" / f".{run_id}.lock", timeout=0):
            return False
    except Timeout:
        return True


def pipeline_of(results: Path) -> tuple[str, list[journal.Event]]:
    (found,) = journal.journals(results, "pipeline-*")
    return found


@pytest.fixture(scope="module")
def after_dvc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a real `dvc repro` of two stages, when its watcher has ended."""
    folder = tmp_path_factory.mktemp("repro")
    (folder / "stage.py").write_text(STAGE)
    stages = {name: {"cmd": f"{sys.executable} stage.py {name} end", "outs": [f"{name}.txt"]} for name in ("a", "b")}
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC", "MDM", "MLFLOW"))}
    for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command],
            cwd=folder,
            env=environment | {"DVC_NO_ANALYTICS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: not watchers(folder / "results"))
    return folder / "results"


def test_a_repro_is_the_parent_of_its_stages(after_dvc: Path) -> None:
    found = {run["name"]: run for run in search(f"sqlite:///{after_dvc / 'mlflow.db'}")}
    parent = found.pop("pipeline smoke")
    assert set(found) == {"train a", "train b"}
    assert {run["tags"]["mlflow.parentRunId"] for run in found.values()} == {parent["id"]}
    assert {run["status"] for run in found.values()} == {"FINISHED"}
    assert parent["status"] == "FINISHED"
    assert parent["tags"]["engine"] == "dvc"
    assert parent["params"]["version.dvc"]
    assert parent["end"] == max(run["end"] for run in found.values())
    assert json.loads(parent["files"]["config.json"]) == {"seeds": [0]}
    assert parent["files"]["tables/claims.csv"] == "b"
    assert json.loads(found["train a"]["files"]["config.json"]) == {"a": {"b": 1}}


def test_it_ends_with_its_process(tmp_path: Path) -> None:
    process = repro(tmp_path, "a=end")
    results = tmp_path / "results"
    run_id, _ = pipeline_of(results)
    only_watcher(results)
    assert mirror.within(results, 60)
    assert tracking.start_pipeline(results, tmp_path / "stage.py", "smoke")  # a Snakemake beside it
    endings.end_dead(results)
    assert journal.status(dict(journal.journals(results))[run_id]) == "RUNNING"
    close(process)
    until(lambda: not watchers(results))
    assert journal.status(dict(journal.journals(results))[run_id]) == "FINISHED"


def test_a_failed_stage_fails_the_pipeline_and_a_second_repro_is_another(tmp_path: Path) -> None:
    close(repro(tmp_path, "a=end", "b=fail"))
    close(repro(tmp_path, "b=end"))
    results = tmp_path / "results"
    until(lambda: not watchers(results))
    first, second = journal.journals(results, "pipeline-*")
    assert [journal.status(events) for _, events in (first, second)] == ["FAILED", "FINISHED"]
    children = dict(journal.journals(results, "train-*"))
    assert {
        journal.last_start(events)["name"]: journal.last_start(events)["parent"] for events in children.values()
    } == {
        "a": first[0],
        "b": second[0],  # the run that failed was continued, by the second
    }


def test_a_stopped_watcher_is_started_again(tmp_path: Path) -> None:
    process = repro(tmp_path, "a=end")
    results = tmp_path / "results"
    only_watcher(results).kill()
    until(lambda: not watchers(results))
    run_id, _ = pipeline_of(results)
    watcher = watch.start(results, run_id)
    assert watcher
    assert watch.start(results, run_id) is watcher
    until(lambda: is_locked(results, run_id))
    watch.start.cache_clear()
    assert watch.start(results, run_id) is None  # it has one
    close(process)
    assert watcher.wait(120) == 0
    assert journal.status(pipeline_of(results)[1]) == "FINISHED"


def test_a_store_that_fails_is_told_by_the_next_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"garbage" * 1000)
    monkeypatch.setattr(watch, "start", lambda results, run_id: None)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setattr(processes, "of_dvc", processes.this)
    assert pipelines.join_pipeline(tmp_path, "smoke")
    assert not caplog.records
    assert not mirror.within(tmp_path, 60)
    caplog.clear()
    mirror.warn_of.cache_clear()
    journal.warn_once.cache_clear()
    assert pipelines.join_pipeline(tmp_path, "smoke")
    (record,) = caplog.records
    assert "not a usable store" in record.message
    assert "1 run with 0 points so far" in record.message


def test_a_stage_that_outlives_dvc_is_not_killed(tmp_path: Path) -> None:
    dead = {**(processes.this() or {}), "pid": 2**22 + 1}
    start = {"params": {}, "tags": {}}
    journal.append(tmp_path, "pipeline-x", "start", stage="pipeline", name="x", parent=None, process=dead, **start)
    alive = processes.this()
    journal.append(tmp_path, "train-x", "start", stage="train", name="x", parent="pipeline-x", process=alive, **start)
    endings.end_dead(tmp_path)
    assert [journal.status(events) for _, events in journal.journals(tmp_path)] == ["RUNNING", "RUNNING"]
    journal.append(tmp_path, "train-x", "start", stage="train", name="x", parent="pipeline-x", process=dead, **start)
    endings.end_dead(tmp_path)
    assert {run_id: journal.status(events) for run_id, events in journal.journals(tmp_path)} == {
        "pipeline-x": "FAILED",
        "train-x": "KILLED",
    }


def test_only_what_is_known_to_be_dead_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = processes.this()
    assert mine
    assert processes.alive(mine) is True
    assert processes.alive(mine | {"created": mine["created"] - 60}) is False  # its id is used again
    assert processes.alive(mine | {"host": "elsewhere"}) is None
    assert processes.alive(None) is None
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert processes.alive(mine) is None
    assert processes.this() is None


def test_a_pipeline_of_another_host_ends_when_a_new_one_begins(tmp_path: Path) -> None:
    record = {**(processes.this() or {}), "host": "elsewhere"}
    journal.append(
        tmp_path, "pipeline-x", "start", stage="pipeline", name="x", parent=None, process=record, params={}, tags={}
    )
    endings.end_dead(tmp_path)
    assert journal.status(pipeline_of(tmp_path)[1]) == "RUNNING"
    endings.end_earlier(tmp_path)
    assert journal.status(pipeline_of(tmp_path)[1]) == "KILLED"


def test_without_psutil_a_stage_has_no_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(mirror, "within", lambda results, seconds: True)
    for _ in range(2):
        with tracking.stage(tmp_path, stage="train", name="x", params={}, tags={}):
            pass
    (record,) = caplog.records
    assert "psutil is not installed" in record.message
    assert {journal.last_start(events)["parent"] for _, events in journal.journals(tmp_path)} == {None}


def test_snakemake_in_a_stage_of_dvc_belongs_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "start", lambda results, run_id: None)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "touch")
    monkeypatch.setenv("DVC_EXP_NAME", "good-name")
    monkeypatch.setattr(processes, "of_dvc", processes.this)
    run_id = tracking.start_pipeline(tmp_path, tmp_path / "p.yaml", "smoke")
    tracking.finish_pipeline(tmp_path, run_id, "FINISHED")
    found, events = pipeline_of(tmp_path)
    assert found == run_id
    assert journal.status(events) == "RUNNING"
    assert events[0]["tags"]["dvc.experiment"] == "good-name"


@pytest.mark.parametrize(("removed", "mirrors"), [(False, 2), (True, 1)], ids=["kept", "removed by dvc exp run --temp"])
def test_what_came_during_a_mirror_is_mirrored_after_the_end(
    removed: bool, mirrors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = processes.this()
    start = {"stage": "pipeline", "name": "x", "parent": None, "params": {}, "tags": {}}
    journal.append(tmp_path, "pipeline-x", "start", process=record, **start)
    calls = []

    def within(results: Path, seconds: float) -> bool:
        calls.append(results)
        monkeypatch.setattr(processes, "alive", lambda record: False)  # dvc ends while the first mirror runs
        if removed:
            shutil.rmtree(results / "tracking")
        return True

    monkeypatch.setattr(mirror, "within", within)
    watch.watch(tmp_path, "pipeline-x")
    assert len(calls) == mirrors
