"""The stages of dvc.yaml as DVC sees them."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One stage, with paths relative to the project; a path may be a folder."""

    name: str
    command: str
    outputs: tuple[str, ...]

    def is_made_by(self, files: Collection[str]) -> bool:
        """Whether each output is among these files, or a folder with some of them."""
        return all(any(below(file, output) for file in files) for output in self.outputs)


class DvcError(Exception):
    """DVC refused; `str(error)` is its reason in one line."""


def in_use() -> bool:
    """Whether this folder is a DVC project and DVC is installed."""
    return Path(".dvc").is_dir() and Path("dvc.yaml").is_file() and importlib.util.find_spec("dvc") is not None


def below(path: str, folder: str) -> bool:
    """Whether a path is `folder` or lies in it."""
    return path == folder or path.startswith(folder + "/")


def stages() -> list[Stage]:
    """Every stage of dvc.yaml, templates filled in. Raises DvcError."""
    with _project() as repo:
        return [
            Stage(
                stage.addressing,
                stage.cmd,
                tuple(_relative(repo, out.fs_path) for out in stage.outs),
            )
            for stage in repo.index.stages
        ]


def stale() -> set[str]:
    """Names of the stages whose files, values or commands differ from dvc.lock, or are no longer in the cache.

    Raises DvcError.
    """
    with _project() as repo:
        return set(repo.status())


def commit(names: Collection[str]) -> None:
    """Takes the present files of these stages for their results, as `dvc commit --force --no-relink` does.

    That command reads all of dvc.yaml again for each name, which is a minute for fifty. Nothing is linked, so that no
    file looks newer than it is. Raises DvcError.
    """
    with _project() as repo, repo.lock:
        chosen = [stage for stage in repo.index.stages if stage.addressing in names]
        for stage in chosen:
            stage.save()
            stage.commit(relink=False)
        for dvcfile in {stage.dvcfile for stage in chosen}:
            dvcfile.dump_stages([stage for stage in chosen if stage.dvcfile == dvcfile], update_pipeline=False)


@contextmanager
def _project() -> Iterator[Any]:
    """The DVC project of this folder; waits for another command of DVC to end."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".", _wait_for_lock=True) as repo:
            yield repo
    except DvcException as error:
        raise DvcError(_one_line(str(error))) from None


def _relative(repo: Any, path: str) -> str:
    return str(repo.fs.relpath(path, repo.root_dir))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
