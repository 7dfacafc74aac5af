"""Where text comes from: own files, a data set read through `datasets`, or the embedded documentation of Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdm_prime.data import pydocs
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import HubText, TextData

BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".txt": "text"}
ROWS = 1000  # read at once


@dataclass(frozen=True)
class Corpus:
    """Documents that can be read several times, always in the same order, and need not fit into memory.

    Attributes:
        name: for meta.json; no folder of this machine is in it.
        read: starts from the first document again; every document has a character that is not white space.
    """

    name: str
    read: Callable[[], Iterator[str]]


def corpus(config: TextData) -> Corpus:
    """The corpus that `files` or `hub` names, the embedded one without them.

    Raises UserError, here or while reading, for a file or data set that cannot be read, holds no text, is not UTF-8 or
    lacks the column.
    """
    if config.files:
        name = ", ".join(Path(file).name for file in config.files)
        return Corpus(name, lambda: (_read_file(Path(file)) for file in config.files))
    if config.hub:
        return _hub_corpus(config.hub)
    texts = pydocs.documents()
    return Corpus(f"pydocs of Python {sys.version_info.major}.{sys.version_info.minor}", lambda: iter(texts))


def _read_file(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"text.data.files: {path}: cannot be read ({error.strerror}); give a text file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"text.data.files: {path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not text.strip():
        raise UserError(f"text.data.files: {path}: holds no text; remove it from the list")
    return text


def _hub_corpus(hub: HubText) -> Corpus:
    rows = _load(hub)

    def read() -> Iterator[str]:
        try:
            for batch in rows.iter(batch_size=ROWS):
                if hub.text_column not in batch:
                    raise UserError(
                        f"text.data.hub.text_column: {hub.path} has no column {hub.text_column!r}; "
                        f"allowed: {', '.join(batch)}"
                    )
                for text in batch[hub.text_column]:
                    if text is not None and not isinstance(text, str):
                        raise UserError(
                            f"text.data.hub.text_column: column {hub.text_column!r} of {hub.path} holds "
                            f"{type(text).__name__}, not text; allowed: a column of strings"
                        )
                    if text and text.strip():
                        yield text
        except UserError:
            raise
        except Exception as error:
            raise _unreadable(hub, error) from None

    name = Path(hub.path).name if Path(hub.path).exists() else hub.path
    return Corpus(" ".join([name, *([hub.name] if hub.name else []), hub.split]), read)


def _load(hub: HubText) -> Any:
    """A data set of the hub, downloaded once, or local files, streamed so that no copy of them is made."""
    import datasets

    path = Path(hub.path)
    local = path.exists()
    try:
        if path.is_file():
            if path.suffix not in BUILDERS:
                raise UserError(
                    f"text.data.hub.path: {path}: unknown suffix {path.suffix!r}; allowed: {', '.join(BUILDERS)}, "
                    "a folder or the name of a data set (plain text of one document belongs to text.data.files)"
                )
            return datasets.load_dataset(
                BUILDERS[path.suffix], name=hub.name, data_files={hub.split: str(path)}, split=hub.split, streaming=True
            )
        return datasets.load_dataset(hub.path, name=hub.name, split=hub.split, streaming=local)
    except UserError:
        raise
    except Exception as error:  # the library and its loaders raise errors of many kinds
        raise _unreadable(hub, error) from None


def _unreadable(hub: HubText, error: Exception) -> UserError:
    empty = isinstance(error, StopIteration)  # what the loaders raise for a file without rows
    reason = "it holds no rows" if empty else " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"text.data.hub: {hub.path} (name {hub.name}, split {hub.split}) cannot be read: {reason}; "
        "give a data set of the hub, or a folder or file on this machine"
    )
