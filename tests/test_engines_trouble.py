"""What people and machines do to a tree of two engines: kills, damage, losses, clones, experiments. Two tiny stages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from project_copy import PERSON, PROJECT

FILES = {
    "work.py": """\
import json, os, pathlib, sys, time
import yaml
from mdm_prime import engines

try:
    turn = engines.take("results", "dvc") if "DVC_STAGE" in os.environ else None
except engines.turn.UserError as error:
    sys.exit(str(error))
rate = yaml.safe_load(open("params/tiny.yaml"))["model"]["rate"]
print(sys.argv[-1], file=open("ran.log", "a"))
while pathlib.Path("wait").exists():
    time.sleep(0.05)
out = pathlib.Path("results")
out.joinpath("tables").mkdir(parents=True, exist_ok=True)
if sys.argv[-1] == "first":
    out.joinpath("first.bin").write_bytes(str(rate).encode() * 1000)
else:
    size = out.joinpath("first.bin").stat().st_size
    out.joinpath("tables", "second.json").write_text(json.dumps({"size": size}))
""",
    "params/tiny.yaml": "# kept\nmodel: {rate: 0.5, name: x}\n",
    "dvc.yaml": """\
stages:
  first:
    cmd: python work.py --params params/tiny.yaml first
    deps: [work.py]
    params: [params/tiny.yaml: [model]]
    outs: [results/first.bin]
  second:
    cmd: python work.py --params params/tiny.yaml second
    deps: [results/first.bin]
    metrics: [results/tables/second.json: {cache: false}]
""",
    "Snakefile": """\
import yaml
from mdm_prime import engines

PARAMS = "params/tiny.yaml"
engines.settle(PARAMS)

onsuccess:
    unfinished = set(workflow.dag.needrun_jobs())
    engines.record(PARAMS, [file for job in workflow.dag.jobs if job not in unfinished for file in job.output])

rule:
    name: "results/tables/"
    input: "results/tables/second.json"

rule first:
    input: "work.py"
    output: "results/first.bin"
    params: yaml.safe_load(open(PARAMS))["model"]
    shell: "python work.py --params params/tiny.yaml first"

rule second:
    input: "results/first.bin"
    output: "results/tables/second.json"
    shell: "python work.py --params params/tiny.yaml second"
""",
    ".gitignore": ".snakemake/\nran.log\nresults/*\n!results/tables/\n",
}
SNAKEMAKE = "snakemake --cores all results/tables/"


def environment() -> dict[str, str]:
    ours = ("DVC", "MDM_PRIME", "GIT_", "MAKE", "MFLAGS")  # `make test` has variables for a make inside it
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return {**kept, **PERSON, "PYTHONPATH": str(PROJECT / "src"), "PATH": path, "SHELL": "/bin/sh"}


def typed(folder: Path, command: str, status: int = 0) -> str:
    """What a command says; its exit status must be this one."""
    done = subprocess.run(command.split(), cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.stdout + done.stderr


def is_clean(folder: Path) -> bool:
    """Whether both engines say that nothing is to be done."""
    assert "Data and pipelines are up to date" in (said := typed(folder, "dvc status")), said
    assert "Nothing to be done" in (said := typed(folder, "snakemake -n results/tables/")), said
    return True


def ran(folder: Path) -> list[str]:
    """The stages that have run since the last call."""
    log = folder / "ran.log"
    found = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def cached(folder: Path) -> Path:
    """first.bin in the cache."""
    (file,) = (
        path for path in (folder / ".dvc/cache/files/md5").rglob("*") if path.is_file() and path.stat().st_size > 999
    )
    return file


def damage(file: Path) -> None:
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[100] ^= 255
    file.write_bytes(content)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages run by Snakemake, recorded by DVC, committed in git."""
    folder = tmp_path_factory.mktemp("finished")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    for command in ("git init -q", "dvc init -q", "dvc config core.analytics false", SNAKEMAKE, "git add -A"):
        typed(folder, command)
    typed(folder, "git commit -qm first")
    assert ran(folder) == ["first", "second"]
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))


def change_rate(folder: Path, rate: str = "0.25") -> None:
    params = folder / "params/tiny.yaml"
    params.write_text(params.read_text().replace("0.5", rate))


def wait_for(found: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not found():
        assert time.monotonic() < until
        time.sleep(0.05)


# ---- kills -----------------------------------------------------------------------------------------------------------


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`dvc repro`, in a session of its own, until its first stage waits."""
    (folder / "wait").touch()
    process = subprocess.Popen(["dvc", "repro"], cwd=folder, env=environment(), start_new_session=True)
    wait_for((folder / "ran.log").exists)
    return process


def test_a_killed_dvc_leaves_a_stage_at_work(project: Path) -> None:
    change_rate(project)
    with start(project) as process:
        process.kill()
    assert "first: a command of this stage is still at work here" in typed(project, "dvc repro", 255)
    (project / "wait").unlink()
    wait_for((project / "results/first.bin").exists)
    assert "Removed" not in typed(project, "dvc repro")
    assert ran(project) == ["first", "first", "second"]
    assert is_clean(project)


def test_after_an_interrupt_dvc_goes_on(project: Path) -> None:
    change_rate(project)
    with start(project) as process:
        os.killpg(process.pid, signal.SIGKILL)
    assert not (project / "results/first.bin").exists()
    (project / "wait").unlink()
    assert "had been killed. Auto removed it from the lock file" in typed(project, "dvc repro")
    assert is_clean(project)


def test_two_dvc_at_once(project: Path) -> None:
    change_rate(project)
    with start(project) as process:
        assert "results/first.bin' is busy, it is being blocked by:" in typed(project, "dvc repro", 255)
        (project / "wait").unlink()
    assert process.returncode == 0
    assert ran(project) == ["first", "second"]
    assert is_clean(project)


# ---- the cache: full, lost, damaged ----------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written(project: Path) -> None:
    change_rate(project)
    (project / "full").touch()
    typed(project, "dvc cache dir --local full/cache")  # in a file, no folder can be made
    said = typed(project, SNAKEMAKE)
    assert "mdm-prime: DVC could not take over these results ([Errno 20] Not a directory" in said
    assert "when that is mended: snakemake --cores all --force results/tables/\n" in said
    assert ran(project) == ["first", "second"]
    (project / ".dvc/config.local").unlink()
    typed(project, "snakemake --cores all --force results/tables/")
    assert ran(project) == []
    assert is_clean(project)


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_a_cache_that_is_lost_runs_nothing_again(project: Path, how: str) -> None:
    if how == "lost":
        shutil.rmtree(project / ".dvc/cache")
    else:
        damage(cached(project))
    assert "not in cache:       results/first.bin" in typed(project, "dvc status")
    with (project / "dvc.lock").open("a") as lock:
        lock.write("# pulled\n")
    assert "Nothing to be done" in typed(project, SNAKEMAKE)
    typed(project, "snakemake --cores all --force results/tables/")
    assert ran(project) == []
    assert is_clean(project)
    assert cached(project).read_bytes() == (project / "results/first.bin").read_bytes()


def test_a_changed_result_runs_again_though_the_cache_is_lost(project: Path) -> None:
    shutil.rmtree(project / ".dvc/cache")
    damage(project / "results/first.bin")
    with (project / "dvc.lock").open("a") as lock:
        lock.write("# pulled\n")
    typed(project, SNAKEMAKE)
    assert ran(project) == ["first", "second"]
    assert is_clean(project)


def test_a_damaged_result_comes_back_from_the_cache(project: Path) -> None:
    before = (project / "results/first.bin").read_bytes()
    damage(project / "results/first.bin")
    assert "modified:           results/first.bin" in typed(project, "dvc status")
    assert "Can't remove the following unsaved files" in typed(project, "dvc checkout", 255)
    typed(project, "dvc checkout --force")
    assert (project / "results/first.bin").read_bytes() == before
    assert is_clean(project)


# ---- no git, no DVC --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [".git", "dvc.yaml", "dvc.lock"])
def test_snakemake_goes_on_where_dvc_cannot(project: Path, damaged: str) -> None:
    with (project / "dvc.lock").open("a") as lock:
        lock.write("# pulled\n")
    if damaged == ".git":
        shutil.rmtree(project / ".git")
    else:
        (project / damaged).write_text("<<<<<<< HEAD: [\n")
    said = typed(project, SNAKEMAKE)
    assert "mdm-prime: DVC cannot say what is up to date (" in said
    assert "; times alone decide\n" in said
    assert "Nothing to be done" in said


# ---- a remote, a clone, older commits --------------------------------------------------------------------------------


def make(folder: Path, arguments: str, status: int = 0) -> str:
    """A target of the project's Makefile, here, without the environment that it would make first."""
    return typed(folder, f"make -f {PROJECT / 'Makefile'} -o setup {arguments}", status)


def test_a_clone_has_nothing_to_do(project: Path, tmp_path: Path) -> None:
    assert make(project, "remote", 2).startswith("error: a folder is needed: make remote DIR=/path\n")
    make(project, "remote DIR=../kept")
    assert str((tmp_path / "kept").resolve()) in (project / ".dvc/config.local").read_text()
    assert typed(project, "git status --porcelain") == ""
    assert "1 file pushed" in typed(project, "dvc push")
    typed(tmp_path, "git clone -q project clone")
    make(tmp_path / "clone", "remote DIR=../kept")
    assert "1 file fetched" in typed(tmp_path / "clone", "dvc pull")
    assert is_clean(tmp_path / "clone")
    assert ran(tmp_path / "clone") == []


def test_an_older_commit_has_nothing_to_do(project: Path) -> None:
    change_rate(project)
    typed(project, "dvc repro")
    typed(project, "git commit -qam second")
    assert is_clean(project)
    ran(project)
    typed(project, "git checkout -q HEAD~1")
    typed(project, "dvc checkout")
    assert is_clean(project)
    assert ran(project) == []


def test_what_gc_removed_is_named(project: Path) -> None:
    change_rate(project, "0.125")
    typed(project, "dvc repro")
    typed(project, "git commit -qam second")
    typed(project, "dvc gc --workspace --force")
    typed(project, "git checkout -q HEAD~1")
    assert "results/first.bin\nIs your cache up to date?" in typed(project, "dvc checkout --force", 255)
    typed(project, "dvc repro")
    assert is_clean(project)


def test_folders_of_dvc_are_ignored_by_git(tmp_path: Path) -> None:
    """Else DVC writes a .gitignore into the folder above, which a clone does not have."""
    shutil.copy(PROJECT / ".gitignore", tmp_path)
    typed(tmp_path, "git init -q")
    for name in ("text/data", "digits/features", "text/samples/l1/seed0"):
        (tmp_path / "results/default" / name).mkdir(parents=True)
        typed(tmp_path, f"git check-ignore -q results/default/{name}")
    for name in ("tables/claims.csv", "metrics/text/l1.json", "default/text/likelihood/l1/seed0.json"):
        typed(tmp_path, f"git check-ignore -q results/{name}", 1)


# ---- comparing, experiments ------------------------------------------------------------------------------------------


def test_comparing_and_experiments(project: Path, tmp_path: Path) -> None:
    (project / "params/tiny.yaml").write_text("# kept\nmodel: {rate: 0.125, name: x}\n")
    typed(project, "dvc repro")
    differences = typed(project, "dvc params diff").split()
    assert differences[-4:] == ["params/tiny.yaml", "model.rate", "0.5", "0.125"]
    assert typed(project, "dvc metrics show").split()[-2:] == ["results/tables/second.json", "5000"]
    assert typed(project, "dvc metrics diff").split()[-4:] == ["size", "3000", "5000", "2000"]
    typed(project, "git checkout -q .")
    typed(project, "dvc checkout")
    refused = typed(project, "dvc exp run -S params/tiny.yaml:model.width=8", 255)
    assert "To append to your config use +model.width=8" in refused
    typed(project, "dvc exp run -n wide -S params/tiny.yaml:+model.width=8 -S params/tiny.yaml:model.rate=0.25")
    assert is_clean(project)
    assert "# kept" in (project / "params/tiny.yaml").read_text()
    shown = typed(project, "dvc exp show --csv --keep name")
    assert "wide" in shown
    typed(project, "git checkout -q .")
    typed(project, "dvc checkout")
    assert is_clean(project)
    ran(project)
    typed(project, "dvc exp apply wide")
    assert "width: 8" in (project / "params/tiny.yaml").read_text()
    assert is_clean(project)
    assert ran(project) == []
