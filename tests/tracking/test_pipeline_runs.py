"""The run of a pipeline: `make repro` opens and closes one, and one that was killed does not stay open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow_store import search

import forked
from mdm_prime import tracking
from mdm_prime.tracking import journal, pipeline
from project_copy import INSTALLED, PROJECT

STAGE = """
import sys, time
from pathlib import Path
from mdm_prime import tracking
name, fate = sys.argv[1:]
with tracking.stage(Path("results"), stage="train", name=name, params={}, tags={"scale": "smoke"}):
    Path("results/smoke/tables").mkdir(parents=True, exist_ok=True)
    Path("results/smoke/tables/claims.csv").write_text(name)
    Path(f"{name}.txt").write_text(name)
    if fate == "wait":
        time.sleep(1000)
    if fate == "fail":
        sys.exit(1)
"""


def project(folder: Path, **fates: str) -> Path:
    """A folder in which `make repro` runs these stages."""
    shutil.copytree(PROJECT / "params", folder / "params")
    (folder / "stage.py").write_text(STAGE)
    stages = {
        name: {"cmd": f"{sys.executable} stage.py {name} {fate}", "outs": [f"{name}.txt"]}
        for name, fate in fates.items()
    }
    (folder / "dvc.yaml").write_text(f"vars:\n  - params/smoke.yaml\nstages: {json.dumps(stages)}\n")
    subprocess.run([forked.commands("dvc") / "dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=True)
    return folder


def repro(folder: Path, commands: Path) -> subprocess.Popen[str]:
    command = ["make", "-f", str(PROJECT / "Makefile"), "-o", "setup", "repro"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC", "MDM", "MLFLOW", "MAKE"))}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=kept | {"PATH": os.pathsep.join([str(commands), str(INSTALLED), kept["PATH"]])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def status_of(results: Path) -> dict[str, str]:
    return {run.tags["engine"]: run.status for run in journal.pipelines(results)}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("repro"), a="end", b="end")
    with repro(folder, forked.commands(*forked.LIBRARIES)) as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told
    assert "scale smoke: results/smoke/tables and results/smoke/figures, shown in results/tables" in told
    return folder / "results"


def test_make_repro_is_the_parent_of_its_stages(reproduced: Path) -> None:
    assert pipeline.mirror(reproduced, 300)
    found = {run["name"]: run for run in search(f"sqlite:///{reproduced / 'mlflow.db'}")}
    parent = found.pop("pipeline smoke")
    assert set(found) == {"train a", "train b"}
    assert {run["tags"]["mlflow.parentRunId"] for run in found.values()} == {parent["id"]}
    assert {run["status"] for run in (parent, *found.values())} == {"FINISHED"}
    assert parent["tags"]["engine"] == "dvc"
    assert parent["params"]["version.dvc"]
    assert json.loads(parent["files"]["config.json"])["scale"] == "smoke"
    assert parent["files"]["tables/claims.csv"] in ("a", "b")


def test_a_failure_fails_the_run_and_keeps_its_status(tmp_path: Path) -> None:
    folder = project(tmp_path, a="fail")
    with repro(folder, forked.commands(*forked.LIBRARIES)) as process:
        told, _ = process.communicate()
    assert process.returncode == 2, told  # make's own, for a recipe that failed
    assert "Error 255" in told  # dvc's
    assert status_of(folder / "results") == {"dvc": "FAILED"}


def test_a_run_that_was_killed_ends_as_killed(tmp_path: Path) -> None:
    results = project(tmp_path, a="wait") / "results"
    with repro(tmp_path, INSTALLED) as process:  # all of it in one session
        deadline = time.monotonic() + 300
        while not list((results / "tracking").glob("train-*")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        assert pipeline.mirror(results, 300)
        assert status_of(results) == {"dvc": "RUNNING"}
        os.killpg(
            process.pid, signal.SIGKILL
        )  # of make and its shell, which are the pipeline; dvc and its stage go too
        process.communicate()
    assert pipeline.mirror(results, 300)
    assert status_of(results) == {"dvc": "KILLED"}
    found = {run["name"]: run["status"] for run in search(f"sqlite:///{results / 'mlflow.db'}")}
    assert found["pipeline smoke"] == "KILLED"


def test_a_pipeline_of_another_host_ends_when_a_new_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "mirror", lambda results, seconds: True)
    start = {"stage": "pipeline", "name": "x", "parent": None, "params": {}, "tags": {"engine": "elsewhere"}}
    process = {"host": "elsewhere", "pid": os.getpid(), "started": "1"}
    journal.append(tmp_path, "pipeline-x", "start", process=process, **start)
    (tmp_path / "p.yaml").touch()
    journal.end_dead(tmp_path)
    assert status_of(tmp_path) == {"elsewhere": "RUNNING"}
    tracking.start_pipeline(tmp_path, tmp_path / "p.yaml", "smoke", engine="one")
    assert status_of(tmp_path) == {"elsewhere": "KILLED", "one": "RUNNING"}
    tracking.start_pipeline(tmp_path, tmp_path / "p.yaml", "smoke", engine="another")
    assert status_of(tmp_path) == {"elsewhere": "KILLED", "one": "RUNNING", "another": "RUNNING"}  # both go on
