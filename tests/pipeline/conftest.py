"""One pipeline of the smallest scale for all tests that look at it or change a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import forked
import project_copy
from project_copy import EVERYTHING, INSTALLED, commit, copy_under_dvc, typed
from sharing import once_for_all


@pytest.fixture(scope="package", autouse=True)
def _commands_that_start_soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project_copy, "COMMANDS", forked.commands(*forked.LIBRARIES))
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made by the README's command, recorded by DVC, committed in git; nothing is run in it any more.

    Each process of it starts from nothing: imports all that it uses, and has a hash seed of its own.
    """
    with once_for_all(tmp_path_factory, "made") as (folder, is_first), pytest.MonkeyPatch.context() as patch:
        if is_first:
            patch.setattr(project_copy, "COMMANDS", INSTALLED)
            folder.with_name("said.txt").write_text(typed(copy_under_dvc(folder), EVERYTHING))
            commit(folder, "first")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))
