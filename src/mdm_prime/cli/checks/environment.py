"""Python, the packages that are installed, and the params file."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime import hints
from mdm_prime.cli.checks.finding import ROOT, Finding, Scene, few

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NO_TABLE_NEEDS = {"datasets", "dvc", "mlflow"}  # of the extra `pipeline`: the hub's data sets, versions, runs


def python(scene: Scene) -> Finding:
    """Whether Python is of an allowed version."""
    lowest = tuple(map(int, re.findall(r"\d+", _project()["requires-python"])))
    found = f"{platform.python_version()}, wanted {_project()['requires-python']}"
    if tuple(map(int, platform.python_version_tuple()[:2])) >= lowest:
        return Finding("ok", found)
    return Finding("failure", found, "make PYTHON=/path/to/python3.11 setup")


def packages(scene: Scene) -> Finding:
    """Installed packages against pyproject.toml (what must be) and requirements.lock (what the reference used)."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return Finding("warning", "versions not compared", "python -m pip install packaging")
    project = _project()
    extras = project["optional-dependencies"]
    needed = [Requirement(line) for line in [*project["dependencies"], *extras["pipeline"]]]
    wrong = {wanted.name: told for wanted in needed if (told := _differs(wanted))}
    if wrong.keys() - NO_TABLE_NEEDS:
        return Finding("failure", "; ".join(wrong.values()), _install(str(one) for one in needed if one.name in wrong))
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    locked = [Requirement(line.partition("--hash")[0]) for line in lines if line.strip()]
    here = [pinned for pinned in locked if not pinned.marker or pinned.marker.evaluate()]
    others = [told for pinned in here if (told := _differs(pinned))]
    if not others:
        return Finding("ok", f"all {len(here)} as in requirements.lock")
    found = f"{len(others)} not as in requirements.lock: {few(others)}. Numbers may differ from the reference's"
    return Finding("warning", found, _install(["--requirement", str(ROOT / "requirements.lock")]))


def _install(what: Iterable[str]) -> str:
    own = Path(sys.prefix) == ROOT / ".venv"
    return "make setup" if own else shlex.join(["python", "-m", "pip", "install", *what])


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _differs(wanted: Requirement) -> str:
    """In a few words how what is installed differs from what is wanted; empty where it does not."""
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted.name} is missing"
    allowed = wanted.specifier.contains(version, prereleases=True)
    return "" if allowed else f"{wanted.name} is {version}, wanted {wanted.specifier}"


def params(scene: Scene) -> Finding:
    """Whether the params file loads."""
    if isinstance(scene.loaded, str):
        return Finding(
            "failure", scene.loaded, f"correct it, and check it with: {hints.verb(scene.params, 'check-params')}"
        )
    runs = sum(1 for task in scene.loaded.tasks for _ in scene.loaded.runs(task))
    return Finding("ok", f"{scene.params}: {len(scene.loaded.tasks)} tasks, {runs} runs")
