"""Where text comes from: own files, a data set read through `datasets`, or the embedded documentation of Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from mdm_prime.data import pydocs
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.base import Section

BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".txt": "text"}
ROWS = 1000  # read at once


class HubText(Section):
    """A text data set read through the `datasets` library; a folder of plain text has a document for each file, a
    single file one for each line.
    """

    path: str  # hub name, or a folder or file on this machine
    name: str | None = None
    split: str = "train"
    # Whose documents are held out as they are; null: heldout_fraction of split's.
    heldout_split: Annotated[str, Field(min_length=1)] | None = None
    text_column: str = "text"

    @model_validator(mode="after")
    def _another_split(self) -> HubText:
        if self.heldout_split and (shared := _shared(self.split, self.heldout_split)):
            raise ValueError(
                f"heldout_split: is {self.heldout_split}, but {', '.join(sorted(shared))} is trained on; give another "
                "one, or null"
            )
        if self.heldout_split and Path(self.path).is_file():
            raise ValueError(f"heldout_split: {self.path} is one file without splits; give a folder, or null")
        return self

    @property
    def heldout(self) -> HubText | None:
        """The documents that are held out, where a split of their own has them."""
        if self.heldout_split is None:
            return None
        return self.model_copy(update={"split": self.heldout_split, "heldout_split": None})


def _shared(split: str, other: str) -> set[str]:
    """What two splits such as `train+validation` both name; slices such as `train[:90%]` of both may be different."""
    named = [[part.strip().partition("[")[::2] for part in given.split("+")] for given in (split, other)]
    return {
        name for name, part in named[0] for same, other_part in named[1] if name == same and not (part and other_part)
    }


@dataclass(frozen=True)
class Corpus:
    """Documents that can be read several times, always in the same order, and need not fit into memory.

    Attributes:
        name: for meta.json; no folder of this machine is in it.
        read: starts from the first document again; every document has a character that is not white space.
    """

    name: str
    read: Callable[[], Iterator[str]]


def matching(pattern: str) -> list[Path]:
    """The files that a name stands for, sorted: itself, all below a folder (hidden ones apart), or those of a glob."""
    path = Path(pattern)
    relative = path.relative_to(path.anchor).as_posix()
    found = [path] if path.exists() else Path(path.anchor).glob(relative)
    below = [path for entry in found for path in (entry.rglob("*") if entry.is_dir() else [entry])]
    return sorted({path for path in below if path.is_file() and not path.name.startswith(".")})


def corpus(names: tuple[str, ...], hub: HubText | None, key: str) -> Corpus:
    """The corpus of the files that are named, or of `hub`; the embedded one without either.

    Args:
        names: files, folders and globs.
        hub: a data set of the hub.
        key: of the data in the params file, for messages.

    Raises UserError, here or while reading, for a file or data set that cannot be read, holds no text, is not UTF-8 or
    lacks the column; ValueError when there is no embedded text.
    """
    if names:
        paths = list(dict.fromkeys(path for name in names for path in matching(name) or [Path(name)]))
        return Corpus(
            ", ".join(path.name for path in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else ""),
            lambda: (_read_file(path, key) for path in paths),
        )
    if hub:
        return _hub_corpus(hub, key)
    texts = pydocs.documents()
    return Corpus(f"pydocs of Python {sys.version_info.major}.{sys.version_info.minor}", lambda: iter(texts))


def _read_file(path: Path, key: str) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{key}.files: {path}: cannot be read ({error.strerror}); give a text file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{key}.files: {path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not text.strip():
        raise UserError(f"{key}.files: {path}: holds no text; remove it from the list")
    return text


def _hub_corpus(hub: HubText, key: str) -> Corpus:
    rows = _load(hub, key)

    def read() -> Iterator[str]:
        try:
            for batch in rows.iter(batch_size=ROWS):
                if hub.text_column not in batch:
                    raise UserError(
                        f"{key}.hub.text_column: {hub.path}, split {hub.split}, has no column {hub.text_column!r}; "
                        f"allowed: {', '.join(batch)}"
                    )
                for text in batch[hub.text_column]:
                    if text is not None and not isinstance(text, str):
                        raise UserError(
                            f"{key}.hub.text_column: column {hub.text_column!r} of {hub.path} holds "
                            f"{type(text).__name__}, not text; allowed: a column of strings"
                        )
                    if text and text.strip():
                        yield text
        except UserError:
            raise
        except Exception as error:
            raise _unreadable(hub, key, error) from None

    name = Path(hub.path).name if Path(hub.path).exists() else hub.path
    return Corpus(" ".join([name, *([hub.name] if hub.name else []), hub.split]), read)


def _load(hub: HubText, key: str) -> Any:
    """A data set of the hub, downloaded once, or local files, streamed so that no copy of them is made."""
    import datasets

    path = Path(hub.path)
    local = path.exists()
    options: dict[str, Any] = {}
    try:
        if path.is_file():
            if path.suffix not in BUILDERS:
                raise UserError(
                    f"{key}.hub.path: {path}: unknown suffix {path.suffix!r}; allowed: {', '.join(BUILDERS)}, "
                    f"a folder or the name of a data set (plain text of one document belongs to {key}.files)"
                )
            builder = BUILDERS[path.suffix]
            options = {"data_files": {hub.split: str(path)}}
        else:
            builder = hub.path
        if path.is_dir() and {file.suffix for file in matching(hub.path)} & set(BUILDERS) == {".txt"}:
            options["sample_by"] = "document"  # one for each file, not for each line
        return datasets.load_dataset(builder, name=hub.name, split=hub.split, streaming=local, **options)
    except UserError:
        raise
    except Exception as error:  # the library and its loaders raise errors of many kinds
        raise _unreadable(hub, key, error) from None


def _unreadable(hub: HubText, key: str, error: Exception) -> UserError:
    empty = isinstance(error, StopIteration)  # what the loaders raise for a file without rows
    reason = "it holds no rows" if empty else " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{key}.hub: {hub.path} (name {hub.name}, split {hub.split}) cannot be read: {reason}; "
        "give a data set of the hub, or a folder or file on this machine"
    )
