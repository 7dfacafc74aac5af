"""Runs in MLflow: everything arrives once, and nothing that is wrong with the store stops the work."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow_store import free_port, search

from mdm_prime import tracking
from mdm_prime.errors import UserError
from mdm_prime.tracking import journal, pipeline, runs, store

KILLED_TRAINING = """
import os, signal, sys
from pathlib import Path
from mdm_prime import tracking
with tracking.stage(Path(sys.argv[1]), stage="train", name="text/l2/seed0", params={"steps": 120}, tags={}) as run:
    for step in range(1, 71):
        run.metric(step, {"loss": 1 / step})
    os.kill(os.getpid(), signal.SIGKILL)
"""


START = '{"event": "start", "time": 1, "stage": "x", "name": "x", "parent": null, "params": {}, "tags": {}}'


def in_store(results: Path) -> dict[str, dict[str, Any]]:
    """What MLflow shows, by the run's name."""
    found = search(pipeline.store_uri(results))
    assert len({run["name"] for run in found}) == len(found)
    return {run["name"]: run for run in found}


def rows(results: Path) -> dict[str, int]:
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        tables = ("runs", "metrics", "params", "tags")
        return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}  # noqa: S608


def small_stage(results: Path, points: int = 3) -> None:
    with tracking.stage(results, stage="evaluate", name="text/l1/seed0", params={"seed": 0}, tags={}) as run:
        for step in range(points):
            run.metric(step, {"loss": 0.5})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with a stage of every fate."""
    results = tmp_path_factory.mktemp("finished") / "results"
    params = results.parent / "smoke.yaml"
    params.write_text("scale: smoke\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(runs, "PATIENCE", 300.0)
        parent = tracking.start_pipeline(results, params, "smoke", {"text": {"seeds": [0]}})
        patch.setenv(tracking.PARENT_RUN, parent)
        weights = results / "weights.safetensors"
        weights.write_bytes(b"weights")
        with tracking.stage(
            results,
            stage="train",
            name="text/l1/seed0",
            params={"training": {"steps": 120, "betas": [0.9, 0.99]}, "long": "x" * 9000},
            tags={"task": "text", "num_subtokens": 1, "data.sha256": "abc"},
        ) as run:
            for step in range(1, 121):
                run.metric(step, {"loss": 1 / step, "learning_rate": 0.1})
            run.link("weights", weights)
        with (
            pytest.raises(ZeroDivisionError),
            tracking.stage(results, stage="sample", name="text/l1/seed0", params={}, tags={}),
        ):
            _ = 1 / 0
        killed = subprocess.run([sys.executable, "-c", KILLED_TRAINING, str(results)], check=False)
        assert killed.returncode == -signal.SIGKILL
        with tracking.stage(results, stage="train", name="text/l2/seed0", params={"steps": 120}, tags={}) as run:
            for step in range(51, 121):  # goes on from a checkpoint at step 50
                run.metric(step, {"loss": 1 / step})
        journal.append(
            results, "oracle-x-1", "start", stage="oracle", name="x", parent=parent, params={}, tags={}
        )  # killed, never resumed
        for scale in ("smoke", "default"):  # the tables of another scale belong to another run
            (results / scale / "tables").mkdir(parents=True)
        (results / "smoke" / "tables" / "claims.csv").write_text("claim\n")
        (results / "default" / "tables" / "idle_steps.csv").write_text("steps\n")
        tracking.finish_pipeline(results, parent, "FAILED")
        assert pipeline.mirror(results, 300)
    return results


@pytest.fixture(scope="module")
def shown(finished: Path) -> dict[str, dict[str, Any]]:
    return in_store(finished)


def test_a_pipeline_is_the_parent_of_its_stages(shown: dict[str, dict[str, Any]]) -> None:
    stages = dict(shown)
    parent = stages.pop("pipeline smoke")
    assert set(stages) == {"train text/l1/seed0", "train text/l2/seed0", "sample text/l1/seed0", "oracle x"}
    assert {run["tags"]["mlflow.parentRunId"] for run in stages.values()} == {parent["id"]}
    assert parent["tags"]["scale"] == "smoke"
    assert parent["tags"]["engine"] == "snakemake"
    assert parent["params"]["version.torch"]
    assert sorted(parent["files"]) == ["config.json", "smoke.yaml", "tables/claims.csv"]


def test_runs_end_as_their_work_did(shown: dict[str, dict[str, Any]]) -> None:
    status = {name: run["status"] for name, run in shown.items()}
    assert status == {
        "pipeline smoke": "FAILED",
        "train text/l1/seed0": "FINISHED",
        "train text/l2/seed0": "FINISHED",
        "sample text/l1/seed0": "FAILED",
        "oracle x": "KILLED",
    }
    assert all(run["end"] for run in shown.values())


def test_params_tags_and_links_arrive(shown: dict[str, dict[str, Any]], finished: Path) -> None:
    run = shown["train text/l1/seed0"]
    assert run["params"]["training.steps"] == "120"
    assert run["params"]["training.betas"] == "[0.9, 0.99]"
    assert run["params"]["long"] == "x" * store.MAX_TEXT
    expected = {"stage": "train", "task": "text", "num_subtokens": "1", "data.sha256": "abc"}
    assert expected.items() <= run["tags"].items()
    assert re.fullmatch("[0-9a-f]{40}|unknown", run["tags"]["git.commit"])
    assert run["tags"]["weights.path"] == os.path.relpath(finished / "weights.safetensors")
    assert len(run["tags"]["weights.sha256"]) == 64
    assert list(run["files"]) == ["config.json"]  # the weights are a link, not a copy


def test_every_point_arrives_once(shown: dict[str, dict[str, Any]]) -> None:
    for name in ("train text/l1/seed0", "train text/l2/seed0"):
        assert sorted(shown[name]["history"]["loss"]) == [[step, 1 / step] for step in range(1, 121)]
    assert len(shown["train text/l1/seed0"]["history"]["learning_rate"]) == 120


def test_mirroring_again_adds_nothing_and_a_lost_store_is_filled_again(finished: Path) -> None:
    before = rows(finished)
    noted = finished / "tracking" / "mirrored.json"
    content = json.loads(noted.read_text())
    for known in content["runs"].values():
        known["bytes"] = 0  # as if the mirror had been killed before it noted what it did
    content["runs"].popitem()
    noted.write_text(json.dumps(content))
    assert pipeline.mirror(finished, 300)
    assert rows(finished) == before
    (finished / "mlflow.db").unlink()
    assert pipeline.mirror(finished, 300)
    assert rows(finished) == before


def test_a_file_that_has_changed_since_is_not_copied(tmp_path: Path) -> None:
    kept, changed, removed = (tmp_path / f"{name}.json" for name in ("kept", "changed", "removed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(tracking.PARENT_RUN, "pipeline-x")  # so that it is not mirrored at its end
        with tracking.stage(tmp_path, stage="evaluate", name="x", params={}, tags={}) as run:
            for path in (kept, changed, removed):
                path.write_text("of this run")
                run.artifact(path)
    changed.write_text("of another run")
    removed.unlink()
    assert pipeline.mirror(tmp_path, 300)
    (shown,) = in_store(tmp_path).values()
    assert sorted(shown["files"]) == ["config.json", "kept.json"]
    assert shown["tags"]["not_copied"] == "changed or removed before it was copied: changed.json, removed.json"


def test_a_broken_store_is_left_alone_and_filled_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"garbage" * 1000)
    small_stage(tmp_path)
    small_stage(tmp_path)
    assert len(caplog.records) == 1
    assert "mlflow.db: not a usable store (file is not a database)" in caplog.text
    assert (tmp_path / "mlflow.db").read_bytes() == b"garbage" * 1000
    (tmp_path / "mlflow.db").unlink()
    assert pipeline.mirror(tmp_path, 300)
    assert rows(tmp_path)["metrics"] == 6


def test_a_hostile_journal_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small_stage(tmp_path)
    folder = journal.folder(tmp_path)
    fifo = {"event": "artifact", "time": 1, "path": str(tmp_path / "fifo"), "folder": None, "sha256": "0"}
    for name, lines in {
        "no-start": ['{"event": "start"}'],
        "way-out": [START, json.dumps(fifo | {"path": "/etc/hostname", "folder": "../../x"})],
        "pipe": [START, json.dumps(fifo)],
        "metric": [START, '{"event": "metrics", "time": 1, "step": 1, "values": {"a\\u0000/../b": 1.0}}'],
    }.items():
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))
    os.mkfifo(tmp_path / "fifo")
    with contextlib.suppress(UserError):  # the store itself refuses the name of a metric
        pipeline.send(tmp_path, "smoke")
    assert {run["name"] for run in search(pipeline.store_uri(tmp_path))} == {"evaluate text/l1/seed0", "x x"}
    assert pipeline.waiting(tmp_path).runs == 0
    assert any("no-start.jsonl: a line is no event" in record.message for record in caplog.records)
    assert not list(tmp_path.rglob("hostname"))


def test_a_broken_store_is_named_although_nothing_waits(tmp_path: Path) -> None:
    small_stage(tmp_path)
    assert pipeline.mirror(tmp_path, 300.0)
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    for asked in (lambda: pipeline.send(tmp_path, "smoke"), lambda: tracking.ui(tmp_path, free_port(), "smoke")):
        with pytest.raises(UserError, match=r"mlflow\.db: not a usable store \(file is not a database\); move it away"):
            asked()


def test_a_locked_store_delays_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("BEGIN EXCLUSIVE")
        small_stage(tmp_path)
    assert "database is locked" in caplog.text


@pytest.mark.parametrize("answers", [False, True], ids=["nobody listens", "accepts and says nothing"])
def test_a_dead_server_is_not_waited_for(
    answers: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answers:
        monkeypatch.setattr(runs, "PATIENCE", 1.0)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{server.getsockname()[1]}")
        small_stage(tmp_path)
    (record,) = caplog.records
    assert "no run is lost" in record.message
    assert ("the store did not answer within 1 s" in record.message) == answers
    written = [caplog.text, *(file.read_text() for file in tmp_path.rglob("*") if file.is_file())]
    assert not [text for text in written if "hunter2" in text]


def test_no_mlflow_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "sys", sys)  # a mirror that has not imported mlflow yet
    (tmp_path / "mlflow.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    small_stage(tmp_path / "results")
    small_stage(tmp_path / "results")
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "tracking: mlflow cannot be imported (not here)"
    ]


def test_two_pipelines_at_once_do_not_ruin_the_store(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("")
    command = "import sys; from pathlib import Path; from mdm_prime import tracking; "
    command += "tracking.start_pipeline(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", command, str(tmp_path / "results"), str(tmp_path / "p.yaml"), scale],
            stderr=subprocess.PIPE,
            text=True,
        )
        for scale in ("a", "b")
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0), ("", 0)]
    assert rows(tmp_path / "results")["runs"] == 2


def test_only_one_mirror_writes(tmp_path: Path) -> None:
    journal.append(tmp_path, "a", "start", stage="s", name="n", parent=None, params={}, tags={})
    with (tmp_path / "tracking" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not pipeline.mirror(tmp_path, 5)
        assert not (tmp_path / "mlflow.db").exists()
    assert pipeline.mirror(tmp_path, 300)
    assert rows(tmp_path)["runs"] == 1
