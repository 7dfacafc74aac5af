"""A server of its own, named by MLFLOW_TRACKING_URI, that dies while a training runs: nothing is lost."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow_store import Server, search

import forked
from mdm_prime import tracking
from mdm_prime.errors import UserError
from mdm_prime.tracking import journal, pipeline, runs

PROJECT = Path(__file__).parents[2]
RUN = "known_entropy/l2/seed0"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("remote") / "server")
    yield server
    server.kill()


@pytest.fixture
def server(started: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", started.uri)
    if started.process.poll() is not None:  # an earlier test has failed while it was dead
        started.start()
    return started


def losses(server: Server) -> list[tuple[int, float]]:
    (run,) = search(server.uri, "tags.stage = 'train' and tags.num_subtokens = '2' and params.steps = '100'")
    return [(step, value) for step, value in run["history"]["loss"]]


def test_a_server_that_dies_and_comes_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    results = tmp_path / "results"
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(runs, "MIRROR_EVERY", 0.0)
    with tracking.stage(results, stage="train", name=RUN, params={"steps": 100}, tags={"num_subtokens": 2}) as run:
        for step in range(50):
            run.metric(step, {"loss": 1 / (step + 1)})
        assert pipeline.mirror(results, 300)
        assert len(losses(server)) == 50
        server.kill()
        for step in range(50, 100):
            run.metric(step, {"loss": 1 / (step + 1)})
        run.link("weights", weights)
        run.document("samples.txt", "a sample")
    lines = {record.message.partition("no run is lost")[2] for record in caplog.records}
    assert any("1 run with 50 points so far" in line and "mdm-prime pipeline send" in line for line in lines)
    with pytest.raises(UserError, match=r"1 run with 50 points wait in .*; try again with: mdm-prime pipeline send"):
        tracking.send(results, "tiny")
    server.start()
    assert tracking.send(results, "tiny") == "1 run with 50 points sent; none waits"
    assert losses(server) == [(step, 1 / (step + 1)) for step in range(100)]
    (sent,) = search(server.uri, "tags.num_subtokens = '2' and params.steps = '100'")
    assert sent["status"] == "FINISHED"
    assert sorted(sent["files"]) == ["config.json", "samples.txt"]  # through the server: no disk is shared
    assert list((server.folder / "artifacts").rglob("samples.txt"))
    assert tracking.send(results, "tiny") == "0 runs with 0 points sent; none waits"
    assert len(losses(server)) == 100


def test_a_training_goes_on_while_the_server_is_dead(server: Server, tmp_path: Path) -> None:
    values = yaml.safe_load((PROJECT / "params" / "smoke.yaml").read_text())
    shutil.copy(PROJECT / "params" / "base.yaml", tmp_path)
    values["tasks"]["known_entropy"]["training"] |= {"steps": 400, "log_every": 2, "checkpoint_every": 50}
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(values))
    results = tmp_path / "results"
    command = [str(forked.commands("mdm-prime") / "mdm-prime"), "--params", str(tmp_path / "smoke.yaml")]
    command += ["--results", str(results)]
    data = subprocess.run([*command, "data", "known_entropy"], capture_output=True, text=True)
    assert data.returncode == 0, data.stderr
    tracking.send(results, "tiny")  # the data's own run, where its stage did not wait for a slow machine
    with subprocess.Popen([*command, "train", RUN], stderr=subprocess.PIPE, text=True) as training:
        deadline = time.monotonic() + 300
        while not any(len(events) > 3 for _, events in journal.journals(results, "train-*")):
            assert training.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        server.kill()
        assert training.poll() is None
        _, told = training.communicate()
    assert training.returncode == 0, told
    (line,) = (line for line in told.splitlines() if "no run is lost" in line)
    assert "mdm-prime pipeline send" in line
    (history,) = (path for path in (results / "smoke" / "known_entropy").rglob("*.csv"))
    with history.open() as file:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    assert len(rows) == 200
    assert pipeline.waiting(results).runs == 1
    server.start()
    assert tracking.send(results, "tiny").endswith("none waits")
    (run,) = search(server.uri, "tags.stage = 'train' and tags.seed = '0' and tags.model = 'masked'")
    (name,) = (name for name in run["history"] if name == "joint_loss")
    assert [(step, value) for step, value in run["history"][name]] == rows
    assert len(run["tags"]["weights.sha256"]) == 64
    assert not list((server.folder / "artifacts").rglob("*.safetensors"))


def test_another_store_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracking.stage(tmp_path, stage="evaluate", name="x", params={}, tags={}) as run:
        run.metric(0, {"nelbo": 1.0, "joint_loss": 2.0})
    assert pipeline.waiting(tmp_path) == (0, 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    assert str(pipeline.waiting(tmp_path)) == "1 run with 2 points"
    assert tracking.send(tmp_path, "tiny") == "1 run with 2 points sent; none waits"
    (found,) = search(os.environ["MLFLOW_TRACKING_URI"], "metrics.nelbo < 1.5")
    assert found["history"] == {"nelbo": [[0, 1.0]], "joint_loss": [[0, 2.0]]}


def test_nothing_to_send(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        tracking.send(tmp_path, "tiny")
