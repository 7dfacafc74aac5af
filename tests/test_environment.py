"""pyproject.toml, requirements.lock, environment.yml and what is installed say the same."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "requirements.lock", "environment.yml")


def project() -> dict[str, Any]:
    values: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return values


def direct() -> list[Requirement]:
    """The dependencies that pyproject.toml names, the locked extras' and the build's included."""
    values = project()
    extras = [line for lines in locked_extras(values).values() for line in lines]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [Requirement(line) for line in [*values["dependencies"], *extras, *build]]


def locked_extras(values: dict[str, Any]) -> dict[str, list[str]]:
    """Without Slurm's, which would slow every call of snakemake where no Slurm answers."""
    return {name: lines for name, lines in values["optional-dependencies"].items() if name != "slurm"}


def locked() -> dict[str, list[tuple[Requirement, int]]]:
    """Name to (pinned requirement, number of hashes): several where a version depends on the platform."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    found: dict[str, list[tuple[Requirement, int]]] = {}
    for line in text.splitlines():
        requirement, *hashes = line.split("--hash=sha256:")
        pinned = Requirement(requirement)
        found.setdefault(canonicalize_name(pinned.name), []).append((pinned, len(hashes)))
    return found


def pin(requirement: Requirement) -> Version:
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", requirement
    return Version(specifier.version)


def locked_here(name: str) -> Version:
    """The pin whose marker holds on this machine."""
    (here,) = [
        pinned for pinned, _ in locked()[canonicalize_name(name)] if not pinned.marker or pinned.marker.evaluate()
    ]
    return pin(here)


def test_every_entry_of_the_lock_is_one_version_with_hashes() -> None:
    entries = [entry for pins in locked().values() for entry in pins]
    assert len(entries) > 100
    for requirement, hashes in entries:
        assert pin(requirement)
        assert hashes > 0, requirement


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_every_dependency_is_locked_at_a_version_it_allows_and_installed_so(requirement: Requirement) -> None:
    for pinned, _ in locked()[canonicalize_name(requirement.name)]:
        assert requirement.specifier.contains(pin(pinned)), pinned
    assert Version(importlib.metadata.version(requirement.name)) == locked_here(requirement.name)


def test_no_dependency_is_named_twice() -> None:
    values = project()
    names = [
        canonicalize_name(Requirement(line).name)
        for lines in (values["dependencies"], *values["optional-dependencies"].values())
        for line in lines
    ]
    assert len(set(names)) == len(names)


def test_the_python_versions_agree() -> None:
    allowed = SpecifierSet(project()["requires-python"])
    conda = [Requirement(line.replace("=", "==")) for line in conda_environment() if isinstance(line, str)]
    (python,) = [requirement for requirement in conda if requirement.name == "python"]
    assert allowed.contains(pin(python))
    assert [specifier.version for specifier in allowed] == [str(pin(python))]  # the lock is made for the lowest one
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]
    assert mypy == str(pin(python))
    (made_for,) = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert made_for == str(pin(python))
    assert allowed.contains(".".join(str(part) for part in sys.version_info[:3]))


def conda_environment() -> list[Any]:
    dependencies: list[Any] = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return dependencies


def test_conda_installs_from_the_lock_and_nothing_else() -> None:
    names = {str(line).split("=")[0] for line in conda_environment() if isinstance(line, str)}
    pip = [line for line in conda_environment() if isinstance(line, dict)]
    assert names == {"python", "pip"}
    assert pip == [{"pip": ["-r requirements.lock"]}]


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_a_package_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|--trusted-host|\[\[?tool\.uv", text)
