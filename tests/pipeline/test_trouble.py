"""What people and machines do to a tree of two engines: kills, damage, losses, two engines at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from project_copy import (
    EVERYTHING,
    INSTALLED,
    PROJECT,
    both_have_nothing_to_do,
    change,
    environment,
    planned,
    run,
    typed,
)

pytestmark = pytest.mark.pipeline

WEIGHTS = "results/tiny/toy/networks/l2/seed0/weights.safetensors"
STATE = "results/tiny/toy/networks/l2/seed0/state.safetensors"
STOPPED = "steps: 4", "steps: 1000000"  # a training that goes on until it is stopped


def wait_for(found: Callable[[], object]) -> None:
    until = time.monotonic() + 600
    while not found():
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def at_work(folder: Path, command: str) -> Iterator[subprocess.Popen[bytes]]:
    """An engine, in a session of its own, in the middle of an endless training; killed with all it has begun."""
    change(folder, "params/tiny.yaml", *STOPPED)
    null = subprocess.DEVNULL
    installed = environment(folder, commands=INSTALLED)  # all of it in one session, to be killed
    process = subprocess.Popen(
        command.split(), cwd=folder, env=installed, start_new_session=True, stdout=null, stderr=null
    )
    try:
        wait_for((folder / STATE).exists)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        change(folder, "params/tiny.yaml", *reversed(STOPPED))


@pytest.mark.parametrize("model", ["l2-$(touch F)", "l2;touch F;", "l2' && touch F '"])
def test_what_a_shell_would_run_reaches_none(project: Path, model: str) -> None:
    """DVC puts the names of models into commands; the stage that reads the params comes first, and refuses them."""
    change(project, "params/tiny.yaml", "models: [l2]", f'models: [l2, "{model}"]')
    try:
        done = run(project, "dvc repro")
        assert done.returncode != 0
        assert "params/tiny.yaml: tasks.toy.models" in done.stderr
        assert not (project / "F").exists()
    finally:
        change(project, "params/tiny.yaml", f'models: [l2, "{model}"]', "models: [l2]")


def test_while_dvc_is_at_work_and_after_it_was_killed(project: Path) -> None:
    """Nobody else begins; a stage that outlives its DVC is waited for; then DVC goes on."""
    with at_work(project, "dvc repro") as process:
        assert "dvc is at work here; wait until it has ended" in typed(project, EVERYTHING, 2)
        assert "is busy, it is being blocked by:" in typed(project, "dvc repro", 255)
        process.kill()
        process.wait()
        said = typed(project, "dvc repro", 255)
        assert "had been killed. Auto removed it from the lock file" in said
        assert "a command of this stage is still at work here" in said
    assert not (project / WEIGHTS).exists()
    typed(project, "dvc repro")
    assert both_have_nothing_to_do(project)


def test_while_snakemake_is_at_work_and_after_it_was_killed(project: Path) -> None:
    """DVC does not begin; Snakemake goes on, and DVC takes its results over."""
    change(project, "params/tiny.yaml", "num_samples: 50, batch_size: 50", "num_samples: 40, batch_size: 40")
    likelihood = ["bound_validity", "claims", "toy_likelihood"]
    expected = [
        "evaluate_toy",
        "figure_bound_validity",
        "metrics",
        "settings",
        *(f"table_{name}" for name in likelihood),
    ]
    assert planned(project) == sorted(expected)
    with at_work(project, EVERYTHING) as process:
        said = typed(project, "dvc repro -f table_claims", 255)
        assert "snakemake is at work here; wait until it has ended" in said
        line = "mdm-prime: a Snakemake is at work in this folder (process {}); wait until it has ended, then try again"
        assert last_word(project, EVERYTHING) == line.format(process.pid)
        assert "Nothing" not in typed(project, f"{EVERYTHING} --dry-run")
    change(project, "params/tiny.yaml", "steps: 4", "steps: 5")
    assert last_word(project, EVERYTHING).endswith(
        "left its lock here; if none runs in this folder: snakemake --unlock"
    )
    change(project, "params/tiny.yaml", "steps: 5", "steps: 4")
    typed(project, "snakemake --unlock")
    typed(project, EVERYTHING)
    assert both_have_nothing_to_do(project)


def last_word(folder: Path, command: str) -> str:
    """The last line of a command that is refused; as installed, since it looks for others of its name."""
    env = environment(folder, commands=INSTALLED)
    done = subprocess.run(command.split(), cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    return done.stderr.rstrip().splitlines()[-1]


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_a_cache_that_is_lost_runs_nothing_again(project: Path, how: str) -> None:
    cache = project / ".dvc/cache/files/md5"
    if how == "lost":
        shutil.rmtree(cache)
    else:
        for file in (file for file in cache.rglob("*") if file.is_file()):
            file.chmod(0o644)
            file.write_bytes(b"damaged")
    assert "not in cache" in typed(project, "dvc status")
    assert "Nothing to be done" in typed(project, EVERYTHING)
    typed(project, "snakemake --cores all --force results/tables/")
    assert both_have_nothing_to_do(project)


def test_a_cache_that_cannot_be_written(project: Path) -> None:
    (project / "results/tiny/made/metrics.json").unlink()  # the quickest that DVC has in its cache
    (project / "full").touch()
    typed(project, "dvc cache dir --local full/cache")  # in a file, no folder can be made
    said = typed(project, EVERYTHING)
    assert "mdm-prime: DVC could not take over these results ([Errno 20] Not a directory" in said
    (project / ".dvc/config.local").unlink()
    typed(project, "snakemake --cores all --force results/tables/")
    assert both_have_nothing_to_do(project)


@pytest.mark.parametrize("damaged", [".git", "dvc.yaml", "dvc.lock"])
def test_snakemake_goes_on_where_dvc_cannot(project: Path, damaged: str) -> None:
    if damaged == ".git":
        shutil.rmtree(project / ".git")
    else:
        (project / damaged).write_text("<<<<<<< HEAD: [\n")
    assert "Nothing to be done" in typed(project, "snakemake -n results/tables/")
    (project / "results/tiny/settings.json").write_text("{}")  # the quickest that there is to make again
    assert "mdm-prime: DVC could not take over these results (" in typed(project, EVERYTHING)


def test_a_failing_stage_has_the_last_word(project: Path) -> None:
    change(project, "params/tiny.yaml", "image: china.jpg", "image: own.jpg")
    (project / "own.jpg").write_text("no image")
    last = run(project, EVERYTHING).stderr.rstrip().splitlines()[-1]
    assert last.startswith("mdm-prime: data toy: ")
    assert "own.jpg" in last


def test_a_remote_by_make(project: Path, tmp_path: Path) -> None:
    make = f"make -f {PROJECT / 'Makefile'} -o setup"
    assert typed(project, f"{make} remote", 2).startswith("error: a folder is needed: make remote DIR=/path\n")
    typed(project, f"{make} remote DIR={tmp_path / 'kept'}")
    assert str((tmp_path / "kept").resolve()) in (project / ".dvc/config.local").read_text()
    assert "pushed" in typed(project, "dvc push")
