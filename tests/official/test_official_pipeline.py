"""The commands of docs/official.md in a copy of the project, on tiny checkpoints with the embedded text and images."""

import os
import shutil
import signal
import subprocess
import time

import official_scale
import pandas as pd
import pytest

from mdm_prime.experiment import layout
from project_copy import copy_project, run, succeed

TEXT = "snakemake --cores all --config scale=official -- results/tables/official_text"
IMAGE = "snakemake --cores all --config scale=official -- results/tables/official_image"

pytestmark = pytest.mark.pipeline


def one_of_each(values):
    """A variant less: jobs take seconds each."""
    values["text"]["checkpoints"].pop("arm")
    values["text"]["checkpoints"].pop("l1")
    values["images"]["photos"]["checkpoints"].pop("l2")
    values["images"]["photos"]["sampling"]["shards"] = 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("project"))
    official_scale.write(folder, name="official", change=one_of_each)
    succeed(folder, TEXT)
    succeed(folder, IMAGE)
    return folder


def tables(folder, name):
    return [file.read_bytes() for file in layout.table_files(folder / "results", name)]


def test_the_commands_make_both_tables(finished):
    text = pd.read_csv(finished / "results/tables/official_text.csv")
    assert list(text["checkpoint"]) == ["l2"]
    assert list(text["num_samples"]) == [32]
    image = pd.read_csv(finished / "results/tables/official_image.csv")
    assert list(image["num_subtokens"]) == ["2/3"]
    assert list(image["distance_name"]) == ["fd_photos"]
    assert image[["paper_fid", "fid_less_paper"]].isna().all(axis=None)
    assert (image[["bpd_bound_stderr", "bpd_published_stderr"]] > 0).all(axis=None)


def test_a_finished_table_runs_nothing(finished):
    assert "Nothing to be done" in succeed(finished, TEXT)
    assert "Nothing to be done" in succeed(finished, IMAGE)


def test_a_limit_evaluates_again(finished):
    planned = succeed(finished, TEXT.replace("--config", "--dry-run --config").replace(" -- ", " limit=1 -- "))
    assert "rule official_likelihood" in planned
    assert "rule official_import" not in planned


def test_killed_and_gone_on_with_gives_the_same_bytes(finished, tmp_path):
    folder = copy_project(tmp_path)
    official_scale.write(folder, name="official", change=one_of_each)
    shutil.copytree(finished / "results/official/text/data", folder / "results/official/text/data")
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    started = subprocess.Popen(
        TEXT.replace("all", "1").split(), cwd=folder, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    logs = folder / "results/official/log/likelihood/text/l2"
    while len(list(logs.glob("*.txt"))) < 2 and started.poll() is None:  # one shard is made, the other begun
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    (made,) = (folder / "results/official/text/likelihood/l2").glob("[01]-of-2.json")
    when = made.stat().st_mtime_ns
    succeed(folder, "snakemake --unlock --config scale=official")
    succeed(folder, TEXT.replace("--config", "--rerun-incomplete --config"))
    assert made.stat().st_mtime_ns == when
    assert tables(folder, "official_text") == tables(finished, "official_text")


def test_a_wrong_checkpoint_is_one_line(finished, tmp_path):
    folder = copy_project(tmp_path)
    official_scale.write(folder, name="official", change=one_of_each)
    (folder / "checkpoints/text/l2.ckpt").write_text("<!DOCTYPE html><html>")
    done = run(folder, "mdm-prime --params params/official.yaml official import text/l2")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    line = "mdm-prime: checkpoints/text/l2.ckpt: an HTML page, no checkpoint; "
    assert sum(said.startswith(line) for said in done.stderr.splitlines()) == 1
    done = run(folder, TEXT)
    assert done.returncode != 0
    assert sum(said.startswith(line) for said in done.stderr.splitlines()) == 1
    assert not (folder / "results/tables").exists()


def test_wrong_params_are_one_line(finished, tmp_path):
    folder = copy_project(tmp_path)
    path = official_scale.write(folder, name="official", change=one_of_each)
    path.write_text(path.read_text().replace("carry_over", "carry"))
    done = run(folder, TEXT)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.strip())
    assert "params/official.yaml: text.checkpoints.l2.carry: unknown key" in line


def test_dry_run(finished):
    out = succeed(finished, "mdm-prime --params params/official.yaml official --dry-run")
    assert "text/l2" in out
    assert "imported" in out
