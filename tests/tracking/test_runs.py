"""The run of a stage: continued or new, mirrored on the way and at its end, by hand and under a bare `dvc repro`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow_store import search

from mdm_prime import tracking
from mdm_prime.tracking import journal, pipeline, runs

STAGE = """
import sys
from pathlib import Path
from mdm_prime import tracking
from mdm_prime.tracking import pipeline
pipeline.LATER = 1.0
pipeline.mirror = None  # a stage that waits for a mirror fails
name = sys.argv[1]
with tracking.stage(Path("results"), stage="train", name=name, params={"a": {"b": 1}}, tags={"scale": "smoke"}) as run:
    run.metric(0, {"loss": 0.5})
    Path(f"{name}.txt").write_text(name)
"""


def until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
    monkeypatch.setattr(runs, "MIRROR_EVERY", 0.0)
    monkeypatch.setattr(pipeline, "LATER", 0.0)
    monkeypatch.setenv(tracking.PARENT_RUN, "pipeline-x")
    with tracking.stage(tmp_path, stage="train", name="r", params={}, tags={}) as run:
        for step in range(100):
            run.metric(step, {"loss": 0.0})
        until(lambda: pipeline.notes(tmp_path).get("runs", {}).get(run.run_id, {}).get("bytes", 0) > 0)


def test_one_mirror_waits_for_many_stages_and_takes_what_all_of_them_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    real = pipeline.mirror_process

    def counted(*arguments: Any, **options: Any) -> subprocess.Popen[str] | None:
        if process := real(*arguments, **options):
            started.append(process)
        return process

    def stage(name: str) -> None:
        with tracking.stage(tmp_path, stage="train", name=name, params={}, tags={}):
            pass

    monkeypatch.setattr(pipeline, "mirror_process", counted)
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setattr(pipeline, "LATER", 10_000.0)
    for number in range(5):
        stage(str(number))
    (waiting,) = started
    waiting.kill()
    waiting.wait()
    monkeypatch.setattr(pipeline, "LATER", 0.0)
    stage("last")  # a mirror that was killed is in nobody's way
    assert [process.wait(300) for process in started] == [-signal.SIGKILL, 0]
    assert pipeline.waiting(tmp_path) == (0, 0)
    assert len(pipeline.notes(tmp_path)["runs"]) == 6


@pytest.fixture(scope="module")
def after_dvc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a bare `dvc repro` of two stages, when nothing waits."""
    folder = tmp_path_factory.mktemp("repro")
    (folder / "stage.py").write_text(STAGE)
    stages = {name: {"cmd": f"{sys.executable} stage.py {name}", "outs": [f"{name}.txt"]} for name in ("a", "b")}
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC", "MDM", "MLFLOW"))}
    for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command],
            cwd=folder,
            env=environment | {"DVC_NO_ANALYTICS": "1", "DVC_EXP_NAME": "good-name"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        until(lambda: pipeline.waiting(folder / "results").runs == 0)
    return folder / "results"


def test_a_bare_repro_has_its_stages_in_the_store(after_dvc: Path) -> None:
    found = {run["name"]: run for run in search(f"sqlite:///{after_dvc / 'mlflow.db'}")}
    assert set(found) == {"train a", "train b"}
    assert {run["status"] for run in found.values()} == {"FINISHED"}
    assert not [run for run in found.values() if "mlflow.parentRunId" in run["tags"]]
    assert found["train a"]["history"] == {"loss": [[0, 0.5]]}
    assert found["train a"]["tags"]["dvc.experiment"] == "good-name"
    assert json.loads(found["train a"]["files"]["config.json"]) == {"a": {"b": 1}}


def test_a_store_that_fails_is_told_by_the_next_stage_of_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"garbage" * 1000)
    monkeypatch.setattr(pipeline, "LATER", 0.0)
    monkeypatch.setenv("DVC_STAGE", "train")
    with tracking.stage(tmp_path, stage="train", name="x", params={}, tags={}):
        pass
    assert not caplog.records
    until(lambda: pipeline.problem(tmp_path) is not None)
    for _ in range(2):
        with tracking.stage(tmp_path, stage="train", name="x", params={}, tags={}):
            pass
    (record,) = caplog.records
    assert "not a usable store" in record.message
    assert "1 run with 0 points so far" in record.message


def test_what_was_removed_is_not_made_again_by_a_late_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `dvc exp run --temp` removes its folder."""
    journal.append(tmp_path, "a", "start", stage="s", name="n", parent=None, params={}, tags={})
    (tmp_path / "tracking").rename(tmp_path / "elsewhere")
    with (tmp_path / "lock").open("w") as lock:
        process = pipeline.mirror_process(tmp_path, str(lock.fileno()), "0", pass_fds=[lock.fileno()])
    assert process
    assert process.wait(300) == 0
    assert not (tmp_path / "tracking").exists()
