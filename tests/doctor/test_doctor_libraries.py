import importlib.metadata
import shutil
import sys
from pathlib import Path

import pytest
from doctor_scenes import ROOT, has_state, scene_of, with_hub

from mdm_prime.doctor import libraries


def without(monkeypatch, *names, version=None):
    """Some libraries are missing, or of a version."""
    real = importlib.metadata.version

    def version_of(name):
        if name not in names:
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", version_of)


def test_what_is_declared_is_the_same_in_a_checkout_and_installed(monkeypatch, tmp_path):
    here = libraries.declared()
    assert {"torch", "numpy"} <= {wanted.name for wanted in here.libraries[""]}
    assert libraries.LOST.keys() <= {wanted.name for wanted in here.libraries["pipeline"]}
    lines = [f"{name}{specifier}" for name, specifier in here.libraries[""]]
    lines += [f'{name}{specifier} ; extra == "dev"' for name, specifier in here.libraries["dev"]]
    monkeypatch.setattr(libraries, "ROOT", tmp_path)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    installed = libraries.declared()
    assert installed.python == here.python
    assert installed.libraries == {key: here.libraries[key] for key in ("", "dev")}


def test_python(monkeypatch):
    has_state(libraries.python(scene_of()), "ok", ">=3.11")
    monkeypatch.setattr("platform.python_version", lambda: "3.10.2")
    has_state(libraries.python(scene_of()), "failure", "3.10.2", "setup")


def test_core_libraries(monkeypatch):
    has_state(libraries.core_libraries(scene_of()), "ok", "numpy", "train, evaluate and sample")
    without(monkeypatch, "numpy", version="1.26")
    has_state(libraries.core_libraries(scene_of()), "failure", "numpy is 1.26, wanted >=2.0")
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    without(monkeypatch, "safetensors")
    assert "'safetensors>=0.5'" in libraries.core_libraries(scene_of()).mend


@pytest.mark.parametrize(
    ("missing", "change", "state", "lost"),
    [
        ("snakemake", None, "failure", "the pipeline"),
        ("mlflow", None, "warning", "MLflow"),
        ("datasets", None, "warning", "data sets"),
        ("datasets", with_hub, "failure", "data sets"),
    ],
)
def test_pipeline_libraries_tell_what_is_lost(monkeypatch, missing, change, state, lost):
    wanted = [libraries.Requirement("numpy", ">=2.0"), libraries.Requirement(missing, ">=0.1")]
    monkeypatch.setattr(libraries, "declared", lambda: libraries.Declared(">=3.11", {"pipeline": wanted}))
    without(monkeypatch, missing, version="1.0")
    has_state(libraries.pipeline_libraries(scene_of(change)), "ok")
    without(monkeypatch, missing)
    has_state(libraries.pipeline_libraries(scene_of(change)), state, f"missing: {missing}", lost)


def test_many_libraries_are_installed_by_their_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    wanted = libraries.declared().libraries["pipeline"]
    monkeypatch.setattr(libraries, "declared", lambda: libraries.Declared(">=3.11", {"pipeline": wanted}))
    without(monkeypatch, *(name for name, _ in wanted))
    assert libraries.pipeline_libraries(scene_of()).mend == f"python -m pip install --editable '{ROOT}[pipeline]'"
    monkeypatch.setattr(libraries, "ROOT", tmp_path)
    assert libraries.pipeline_libraries(scene_of()).mend == "python -m pip install 'mdm-prime[pipeline]'"


def test_developer_tools_only_warn(monkeypatch):
    has_state(libraries.developer_tools(scene_of()), "ok")
    without(monkeypatch, "ruff")
    has_state(libraries.developer_tools(scene_of()), "warning", "missing: ruff", "make test")


def test_versions_that_cannot_be_compared_are_said_to_be_so(monkeypatch):
    monkeypatch.setattr(libraries, "satisfies", lambda version, specifier: None)
    for check in (libraries.python, libraries.core_libraries, libraries.developer_tools):
        has_state(check(scene_of()), "warning", "not compared", "packaging")


def test_comparing_needs_packaging(monkeypatch):
    assert libraries.satisfies("2.6.0+cu124", ">=2.6")
    assert libraries.satisfies("2.5.1", ">=2.6") is False
    monkeypatch.setitem(sys.modules, "packaging.specifiers", None)
    assert libraries.satisfies("2.6", ">=2.6") is None


def test_commands(monkeypatch, tmp_path):
    has_state(libraries.commands(scene_of()), "failure", "no Snakefile")
    Path("Snakefile").touch()
    monkeypatch.setattr(shutil, "which", lambda command: None)
    has_state(libraries.commands(scene_of()), "failure", "snakemake, mdm-prime", "activate")
    monkeypatch.setattr(shutil, "which", lambda command: f"/elsewhere/{command}")
    has_state(libraries.commands(scene_of()), "warning", "/elsewhere", "activate")
    monkeypatch.setattr(shutil, "which", lambda command: str(Path(sys.executable).parent / command))
    has_state(libraries.commands(scene_of()), "ok")
