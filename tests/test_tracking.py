"""Runs in MLflow: everything arrives once, and nothing that is wrong with the store stops the work."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mdm_prime import tracking
from mdm_prime.errors import UserError
from mdm_prime.tracking import journal, mirror, runs, store

READ = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name("mdm-prime").experiment_id
found = []
for run in client.search_runs([experiment], max_results=1000):
    history = {k: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, k)] for k in run.data.metrics}
    files = [f.path for d in ("", "tables") for f in client.list_artifacts(run.info.run_id, d)]
    info = {"id": run.info.run_id, "name": run.info.run_name, "status": run.info.status, "end": run.info.end_time}
    found.append(info | {"params": run.data.params, "tags": run.data.tags, "history": history, "files": files})
print(json.dumps(found))
"""
KILLED_TRAINING = """
import os, signal, sys
from pathlib import Path
from mdm_prime import tracking
with tracking.stage(Path(sys.argv[1]), stage="train", name="text/l2/seed0", params={"steps": 120}, tags={}) as run:
    for step in range(1, 71):
        run.metric(step, {"loss": 1 / step})
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", tracking.PARENT_RUN):
        monkeypatch.delenv(name, raising=False)
    journal.warn_once.cache_clear()


def in_store(results: Path) -> dict[str, dict[str, Any]]:
    """What MLflow shows, by the run's name. It is asked in a process of its own, as the pipeline does."""
    done = subprocess.run(
        [sys.executable, "-c", READ, mirror.store_uri(results)],
        env=mirror.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
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
        pipeline = tracking.start_pipeline(results, params, "smoke", {"text": {"seeds": [0]}})
        patch.setenv(tracking.PARENT_RUN, pipeline)
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
            results, "oracle-x-1", "start", stage="oracle", name="x", parent=pipeline, params={}, tags={}
        )  # killed, never resumed
        (results / "tables").mkdir()
        (results / "tables" / "claims.csv").write_text("claim\n")
        tracking.finish_pipeline(results, pipeline, "FAILED")
    return results


@pytest.fixture(scope="module")
def shown(finished: Path) -> dict[str, dict[str, Any]]:
    return in_store(finished)


def test_a_pipeline_is_the_parent_of_its_stages(shown: dict[str, dict[str, Any]]) -> None:
    parent = shown.pop("pipeline smoke")
    assert set(shown) == {"train text/l1/seed0", "train text/l2/seed0", "sample text/l1/seed0", "oracle x"}
    assert {run["tags"]["mlflow.parentRunId"] for run in shown.values()} == {parent["id"]}
    assert parent["tags"]["scale"] == "smoke"
    assert parent["tags"]["engine"] == "snakemake"
    assert parent["params"]["version.torch"]
    assert sorted(parent["files"]) == ["config.json", "smoke.yaml", "tables", "tables/claims.csv"]
    shown["pipeline smoke"] = parent


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
    assert run["files"] == ["config.json"]  # the weights are a link, not a copy


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
    assert mirror.within(finished, 60)
    assert rows(finished) == before
    (finished / "mlflow.db").unlink()
    assert mirror.within(finished, 60)
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
    assert mirror.within(tmp_path, 60)
    (shown,) = in_store(tmp_path).values()
    assert sorted(shown["files"]) == ["config.json", "kept.json"]
    assert shown["tags"]["not_copied"] == "changed or removed before it was copied: changed.json, removed.json"


def test_importing_is_cheap() -> None:
    command = "import sys, mdm_prime.tracking; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True).stdout.split()
    assert {"mlflow", "torch", "pandas", "yaml", "sqlalchemy", "filelock"}.isdisjoint(loaded)


def test_a_broken_store_is_left_alone_and_filled_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"garbage" * 1000)
    small_stage(tmp_path)
    small_stage(tmp_path)
    assert len(caplog.records) == 1
    assert "mlflow.db: not a usable store (file is not a database)" in caplog.text
    assert (tmp_path / "mlflow.db").read_bytes() == b"garbage" * 1000
    (tmp_path / "mlflow.db").unlink()
    assert mirror.within(tmp_path, 60)
    assert rows(tmp_path)["metrics"] == 6


def test_a_locked_store_delays_for_seconds_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("BEGIN EXCLUSIVE")
        small_stage(tmp_path)
    assert "database is locked" in caplog.text


@pytest.mark.parametrize("answers", [False, True], ids=["nobody listens", "accepts and says nothing"])
def test_a_dead_server_delays_for_seconds_only(
    answers: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 5.0)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{server.getsockname()[1]}")
        before = time.monotonic()
        small_stage(tmp_path)
    assert time.monotonic() - before < 8
    assert len(caplog.records) == 1
    assert "no run is lost" in caplog.text
    written = [caplog.text, *(file.read_text() for file in tmp_path.rglob("*") if file.is_file())]
    assert not [text for text in written if "hunter2" in text]


def test_no_mlflow_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    small_stage(tmp_path / "results")
    small_stage(tmp_path / "results")
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "tracking: mlflow cannot be imported (not here)"
    ]


def test_a_full_disk_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.PARENT_RUN, "pipeline-x")
    (tmp_path / "results").write_text("a file where the folder should be")
    small_stage(tmp_path / "results", points=100)
    assert len(caplog.records) == 1


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


def test_only_one_mirror_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(store, "send", done.append)
    monkeypatch.setattr(mirror, "LOCKED_FOR", 0.2)
    mirror.mirror(tmp_path)
    with FileLock(tmp_path / "tracking" / ".lock"), pytest.raises(store.StoreError, match="held by another process"):
        mirror.mirror(tmp_path)
    assert done == [tmp_path]


def test_a_cut_line_costs_one_point(tmp_path: Path) -> None:
    journal.append(tmp_path, "a", "start", stage="s", name="n", parent=None, params={}, tags={})
    path = tmp_path / "tracking" / "a.jsonl"
    path.write_bytes(path.read_bytes() + b'{"event": "metrics", "ste')
    events, end = journal.read(path)
    assert [event["event"] for event in events] == ["start"]
    journal.append(tmp_path, "a", "end", status="FINISHED")
    assert [event["event"] for event in journal.read(path, end)[0]] == ["end"]


def test_a_changed_or_finished_stage_gets_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.PARENT_RUN, "pipeline-x")
    ids = []
    for steps, fails in ((1, True), (1, True), (2, False), (1, False), (1, False)):
        try:
            with tracking.stage(tmp_path, stage="train", name="r", params={"steps": steps}, tags={}) as run:
                ids.append(run.run_id)
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    first, again, changed, resumed, anew = ids
    assert first == again == resumed
    assert len({first, changed, anew}) == 3


def test_a_long_stage_is_mirrored_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(runs, "MIRROR_EVERY", 0.0)
    monkeypatch.setenv(tracking.PARENT_RUN, "pipeline-x")
    command = [sys.executable, "-c", "import time; time.sleep(0.2)"]
    monkeypatch.setattr(
        mirror, "start", lambda results: started.append(subprocess.Popen(command, text=True)) or started[-1]
    )
    with tracking.stage(tmp_path, stage="train", name="r", params={}, tags={}) as run:
        for step in range(100):
            run.metric(step, {"loss": 0.0})
        assert len(started) == 1  # not another one while the first goes on
        assert started[0].wait() == 0
        run.metric(100, {"loss": 0.0})
        assert len(started) == 2
    assert started[1].returncode == 0  # waited for


def test_ui_lists_the_runs_on_this_machine_only(finished: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = "import sys; from pathlib import Path; from mdm_prime import tracking; "
    command += "tracking.ui(Path(sys.argv[1]), int(sys.argv[2]))"
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(finished), str(port)], stdout=subprocess.PIPE, text=True, cwd=finished
    )
    assert process.stdout
    with process, process.stdout:
        try:
            line = process.stdout.readline()
            address = re.search(rf"http://127\.0\.0\.1:{port}/#/experiments/(\w+)/runs\S+", line)
            assert address, line
            with urllib.request.urlopen(address.group(0), timeout=30) as page:  # noqa: S310
                assert "<title>MLflow</title>" in page.read().decode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search",
                json.dumps({"experiment_ids": [address.group(1)]}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                assert len(json.load(answer)["runs"]) == 5
            listening = re.findall(rf"(\w+):{port:04X} 00000000:0000 0A", Path("/proc/net/tcp").read_text())
            assert listening == ["0100007F"]
            assert f":{port:04X} 0000" not in Path("/proc/net/tcp6").read_text()
            with pytest.raises(UserError, match=f"port {port}: cannot be used"):
                tracking.ui(finished, port)
        finally:
            process.terminate()
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5)
    assert not (finished / "mlartifacts" / "mlartifacts").exists()
    assert not (finished / "mlruns").exists()


def test_ui_without_runs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run; make some with: snakemake --cores all results/tables/"):
        tracking.ui(tmp_path, 5000)


def test_ui_names_a_server_that_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    with pytest.raises(UserError, match="open its address in a browser"):
        tracking.ui(tmp_path, 5000)
