"""A copy of the project, and its commands typed there as a reader types them, at smoke scale."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "params", "src", "pyproject.toml", "dvc.yaml", ".dvcignore", ".gitignore")
PERSON = {
    f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", "a"), ("EMAIL", "b"))
}
EVERYTHING = "snakemake --cores all results/tables/"


def copy_project(folder: Path) -> Path:
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def copy_under_dvc(folder: Path) -> Path:
    """A copy under git and DVC, dvc.yaml changed to the smoke scale as its first lines say."""
    stages = copy_project(folder) / "dvc.yaml"
    text = stages.read_text()
    for old in ("scale: default", "params/default.yaml"):
        assert text.count(old) == 1
        text = text.replace(old, old.replace("default", "smoke"))
    stages.write_text(text)
    for command in ("git init -q", "dvc init -q", "dvc config core.analytics false"):
        succeed(folder, command)
    commit(folder, "code")
    return folder


def commit(folder: Path, message: str) -> None:
    succeed(folder, "git add -A")
    succeed(folder, f"git commit -qm {message}")


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MDM_PRIME", "MLFLOW", "DVC"))}
    return {**kept, **PERSON, "MDM_PRIME_SCALE": "smoke", "PYTHONPATH": str(folder / "src")}


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line in a copy, at smoke scale, with the copy's own modules."""
    return subprocess.run(command.split(), cwd=folder, env=environment(folder), capture_output=True, text=True)


def succeed(folder: Path, command: str) -> str:
    done = run(folder, command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path) -> set[str]:
    """The outputs that a dry run would make again."""
    lines = succeed(folder, "snakemake --dry-run --cores all results/tables/").splitlines()
    outputs = [line.removeprefix("    output: ") for line in lines if line.startswith("    output: ")]
    return {name for line in outputs for name in line.split(", ")}


def both_have_nothing_to_do(folder: Path) -> bool:
    assert "Data and pipelines are up to date" in (said := succeed(folder, "dvc status")), said
    assert "Nothing to be done" in (said := succeed(folder, "snakemake -n results/tables/")), said
    return True
