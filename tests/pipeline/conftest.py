"""One pipeline of the smallest scale for all tests that look at it or change a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from project_copy import EVERYTHING, commit, copy_under_dvc, typed
from sharing import once_for_all


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made by the README's command, recorded by DVC, committed in git; nothing is run in it any more."""
    with once_for_all(tmp_path_factory, "made") as (folder, is_first):
        if is_first:
            folder.with_name("said.txt").write_text(typed(copy_under_dvc(folder), EVERYTHING))
            commit(folder, "first")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))
