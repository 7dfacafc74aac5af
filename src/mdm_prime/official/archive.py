"""A torch checkpoint as a zip archive: its contents without numbers at first, each tensor's numbers on demand."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mdm_prime.errors import UserError
from mdm_prime.official import pickled
from mdm_prime.official.pickled import StorageHandle, TensorHandle
from mdm_prime.restricted_pickle import RefusedError

LARGEST_PICKLE = 2**26  # bytes of data.pkl: names and settings, no numbers
AGAIN = "get the file again"


class Archive:
    """An open checkpoint.

    Attributes:
        path: its file.
        root: what it holds, see pickled.load.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._file = file
        self._last: tuple[StorageHandle | None, bytearray] = None, bytearray()
        found = [name for name in file.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(found) != 1:
            raise UserError(f"{path}: a zip archive without one data.pkl, no checkpoint of torch; give another file")
        self._folder = found[0].removesuffix("data.pkl")
        if f"{self._folder}byteorder" in file.namelist() and self._entry("byteorder", 16) != b"little":
            raise UserError(f"{path}: numbers in another byte order; save it again on a little-endian machine")
        self.root = self._unpickle(self._entry("data.pkl", LARGEST_PICKLE))

    def read(self, handle: TensorHandle) -> Tensor:
        """The tensor of a handle, in memory of its own. Raises UserError when the archive is damaged."""
        storage = handle.storage
        if self._last[0] != storage:  # views of one storage follow each other
            self._last = storage, self._entry(f"data/{storage.key}", storage.nbytes, exactly=True)
        content = self._last[1]
        if not content:
            return torch.empty(handle.shape, dtype=storage.dtype)
        numbers = torch.frombuffer(content, dtype=storage.dtype)
        return numbers.as_strided(handle.shape, handle.stride, handle.offset).clone(
            memory_format=torch.contiguous_format
        )

    def _entry(self, name: str, limit: int, exactly: bool = False) -> bytearray:
        """The bytes of an entry of at most, or exactly, `limit` bytes; its checksum is compared."""
        try:
            info = self._file.getinfo(self._folder + name)
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise UserError(f"{self.path}: {info.filename} is compressed; torch writes its numbers as they are")
            if info.file_size > limit or (exactly and info.file_size != limit):
                raise UserError(f"{self.path}: {info.filename} has {info.file_size} bytes, not {limit}; {AGAIN}")
            content = bytearray(info.file_size)
            with self._file.open(info) as entry:
                filled = 0
                while filled < len(content) and (count := entry.readinto(memoryview(content)[filled:])):  # type: ignore[attr-defined]
                    filled += count
                if entry.read(1) or filled != len(content):
                    raise zipfile.BadZipFile("an entry of another length")
            return content
        except KeyError:
            raise UserError(f"{self.path}: holds no {name}; {AGAIN}") from None
        except UserError:
            raise
        except Exception as error:  # a damaged archive raises errors of several kinds
            raise UserError(f"{self.path}: {name} is damaged ({error}); {AGAIN}") from None

    def _unpickle(self, content: bytearray) -> Any:
        try:
            return pickled.load(bytes(content))
        except RefusedError as error:
            raise UserError(
                f"{self.path}: not read, because it asks for {error}, which no checkpoint needs; nothing of it was run"
            ) from None
        except Exception as error:  # a damaged pickle raises errors of any kind
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(f"{self.path}: no whole pickle ({reason}); {AGAIN}") from None


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Opens a checkpoint. Raises UserError for a file that is missing, truncated, old or something else."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the file of a checkpoint") from None
    if not start.startswith(b"PK\x03\x04"):
        raise UserError(f"{path}: {_what_else(start)}")
    try:
        archive = zipfile.ZipFile(path)
    except Exception:  # a damaged archive raises errors of several kinds
        raise UserError(f"{path}: truncated, the end of the archive is missing or damaged; {AGAIN}") from None
    with archive:
        yield Archive(path, archive)


def _what_else(start: bytes) -> str:
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        return f"an HTML page, no checkpoint; the address leads to a page about the file: {AGAIN}"
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, no checkpoint; fetch the file itself"
    if start.startswith(b"\x80"):
        return "a bare pickle, as torch before 1.6 wrote it; load it where you trust it and save it again"
    if not start:
        return f"empty; {AGAIN}"
    return "no checkpoint of torch (no zip archive); give another file"
