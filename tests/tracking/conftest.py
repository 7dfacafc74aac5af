from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_runs

import forked
from mdm_prime import tracking
from mdm_prime.tracking import journal, pipeline, runs
from sharing import once_for_all


@pytest.fixture(scope="package", autouse=True)
def _mirrors_that_start_soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "sys", SimpleNamespace(executable=str(forked.commands("python") / "python")))
        yield


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None from outside, time enough for a mirror on a slow machine, and no process left of a test."""
    for name in ("MLFLOW_TRACKING_URI", tracking.PARENT_RUN, "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runs, "PATIENCE", 300.0)
    journal.warn_once.cache_clear()
    pipeline._warn.cache_clear()
    yield
    for process in pipeline._unwaited:
        if process:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def small_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a pipeline that trained, evaluated and sampled three models; not to be changed."""
    with once_for_all(tmp_path_factory, "runs") as (folder, is_first):
        if is_first:
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("MLFLOW_TRACKING_URI", raising=False)
                small_runs.make(folder / "results")
            assert pipeline.mirror(folder / "results", 300.0)
    return folder / "results"
