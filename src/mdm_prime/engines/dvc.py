"""The stages of dvc.yaml as DVC sees them."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LOCK = Path("dvc.lock")  # what DVC knows of the stages that ran


@dataclass(frozen=True)
class Stage:
    """One stage, with paths relative to the project; a path may be a folder."""

    name: str
    command: str
    outputs: tuple[str, ...]
    dependencies: tuple[str, ...]

    def is_made_by(self, files: Collection[str]) -> bool:
        """Whether each output is among these files, or a folder with some of them."""
        return all(any(below(file, output) for file in files) for output in self.outputs)

    def files(self) -> list[str]:
        """The files of its outputs that are there."""
        found: list[Path] = []
        for output in map(Path, self.outputs):
            found += [path for path in output.rglob("*") if path.is_file()] if output.is_dir() else [output]
        return sorted(path.as_posix() for path in found if path.exists())


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
                tuple(_relative(repo, dep.fs_path) for dep in stage.deps if dep not in stage.params),
            )
            for stage in repo.index.stages
        ]


def stale(lost: bool) -> set[str]:
    """Names of the stages whose files, values or commands differ from dvc.lock. Raises DvcError.

    With `lost` also of those with an output that is as in dvc.lock but no longer in the cache, or damaged there.
    """
    with _project() as repo:
        found = dict(repo.status())
        if not lost:
            for stage in repo.index.stages:
                if _is_only_lost(found.get(stage.addressing, [])) and not any(
                    out.workspace_status() for out in stage.outs
                ):
                    del found[stage.addressing]
        return set(found)


def _is_only_lost(reasons: list[Any]) -> bool:
    """Whether DVC's reasons against a stage are files that the cache lacks, which may differ besides."""
    return bool(reasons) and all(
        isinstance(reason, dict)
        and set(reason) == {"changed outs"}
        and "not in cache" in reason["changed outs"].values()
        for reason in reasons
    )


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


def entries(lock: Path) -> dict[str, object]:
    """What a dvc.lock says of each stage; nothing where there is none."""
    try:
        content = yaml.load(lock.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise DvcError(f"{lock}: {_one_line(str(error))}") from None
    return dict((content or {}).get("stages") or {})


def with_descendants(names: set[str], stages: Iterable[Stage]) -> set[str]:
    """The stages of these names and all that depends on them."""
    result, stages = set(names), list(stages)
    while True:
        outputs = [output for stage in stages if stage.name in result for output in stage.outputs]
        more = {
            stage.name
            for stage in stages
            if stage.name not in result
            and any(below(dep, out) or below(out, dep) for dep in stage.dependencies for out in outputs)
        }
        if not more:
            return result
        result |= more


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
