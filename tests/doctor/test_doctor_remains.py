import base64
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doctor_scenes import has_state, scene_of

from mdm_prime.doctor import remains


def test_snakemake_lock(monkeypatch):
    has_state(remains.snakemake(scene_of()), "ok")
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    has_state(remains.snakemake(scene_of()), "ok")
    (locks / "0.output.lock").write_text("results/tables/claims.csv")
    has_state(remains.snakemake(scene_of()), "failure", "snakemake --unlock")
    monkeypatch.setattr(remains, "running_snakemake", lambda: 4711)
    has_state(remains.snakemake(scene_of()), "failure", "process 4711", "wait")


@pytest.mark.parametrize("name", ["results/a.csv", "results/" + "long" * 30])
def test_half_written_files(monkeypatch, name):
    marked = base64.urlsafe_b64encode(name.encode()).decode()
    parts = [f"@{marked[:40]}", marked[40:]] if len(marked) > 40 else [marked]
    marker = Path(".snakemake/incomplete").joinpath(*parts)
    marker.parent.mkdir(parents=True)
    marker.write_text("{}")
    has_state(remains.snakemake(scene_of()), "ok")  # the file itself was never made
    Path("results").mkdir()
    Path(name).touch()
    has_state(remains.snakemake(scene_of()), "failure", name, "--rerun-incomplete")
    monkeypatch.setattr(remains, "running_snakemake", lambda: 4711)
    has_state(remains.snakemake(scene_of()), "ok")


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc")
def test_a_running_snakemake_is_seen_in_its_folder_only(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "snakemake").write_text("print(flush=True); input()")
    for folder, seen in ((tmp_path, True), (tmp_path / "other", False)):
        command = [sys.executable, str(tmp_path / "snakemake")]
        with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            assert remains.running_snakemake() == (process.pid if seen else None)
            process.communicate("\n")


def test_leftovers():
    has_state(remains.leftovers(scene_of()), "ok", "none")
    run = Path("results/mine/text/networks/l2/seed0")
    run.mkdir(parents=True)
    (run / "state.safetensors").touch()
    (run / ".weights-a1b2c3d4.safetensors").touch()  # may still be written
    has_state(remains.leftovers(scene_of()), "ok", "1 trainings")
    os.utime(run / ".weights-a1b2c3d4.safetensors", (0, time.time() - 2 * remains.OLD))
    found = remains.leftovers(scene_of())
    has_state(found, "warning", ".weights-a1b2c3d4.safetensors", "1 trainings")
    assert found.mend == f"rm {run}/.weights-a1b2c3d4.safetensors"


def test_a_state_of_a_run_that_is_no_more():
    gone, other_scale = Path("results/mine/text/networks/l9/seed0"), Path("results/paper/text/networks/l9/seed0")
    for run in (gone, other_scale):
        run.mkdir(parents=True)
        (run / "state.safetensors").touch()
    found = remains.leftovers(scene_of())
    has_state(found, "warning", "1 trainings")
    assert found.mend == f"rm {gone}/state.safetensors"
