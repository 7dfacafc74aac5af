"""Parts of a long computation, each kept once it is finished, so that a run goes on after a kill where it stood.

Where the parts do not depend on one another, several processes of the same command share them. Locks of the kernel say
who works on what; they end with their process, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.stages.networks import Loaded

POLL = 1.0  # seconds between two looks at what other processes are doing

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shards:
    """Finished parts, 0 to count - 1, of one computation: a file of arrays each. Several processes may share them.

    Attributes:
        folder: holds them until `remove`; no declared output.
        count: how many there are when all are finished.
        lock: a descriptor of the folder with a shared lock, which says that it is in use; None where none is held.
    """

    folder: Path
    count: int
    lock: int | None = None

    def missing(self) -> Iterator[int]:
        """Those that are not finished, in rising order."""
        return (index for index in range(self.count) if not self._file(index).exists())

    def claimed(self) -> Iterator[int]:
        """Those that are missing and that no other process works on, until all are finished.

        Each is this process's until the next is asked for; what a process that died had claimed is free again.
        """
        while waiting := list(self.missing()):
            for index in waiting:
                with (self.folder / f"{index}.lock").open("w", encoding="utf-8") as claim:
                    try:
                        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    if not self._file(index).exists():
                        yield index
            if any(True for _ in self.missing()):
                time.sleep(POLL)

    def save(self, index: int, **arrays: NDArray[Any]) -> None:
        """Keeps a finished part, whole or not at all."""
        files.save_arrays(self._file(index), **arrays)

    def load(self, index: int) -> Arrays:
        """The arrays of a finished part. Raises UserError for one that is damaged, and removes it."""
        path = self._file(index)
        try:
            return files.load_arrays(path)
        except UserError as error:
            path.unlink(missing_ok=True)
            reason = str(error).removeprefix(f"{path}: ").partition("; ")[0]
            raise UserError(f"{path}: was damaged ({reason}) and is removed; the same command makes it again") from None

    def joined(self) -> Arrays:
        """The arrays of all parts, one after the other along their first axis."""
        parts = [self.load(index) for index in range(self.count)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def remove(self) -> None:
        """Removes the folder, once the result is written, unless another process uses it: the last one removes it."""
        if self.lock is not None:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # without success the shared lock is lost as well
            except BlockingIOError:
                return
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, index: int) -> Path:
        return self.folder / f"{index}.npz"


def resume(folder: Path, identity: Mapping[str, Any], count: int) -> Shards:
    """What is finished in `folder` of the computation with this identity; parts of any other one are removed.

    Args:
        folder: next to the result, and of this computation alone.
        identity: everything that the parts depend on, as JSON values.
        count: how many parts there are.

    Raises UserError while another process uses the folder for another computation.
    """
    text = json.dumps({**identity, "count": count}, sort_keys=True)
    known = folder / "identity.json"
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # the last one that used it has just removed it
            continue
        shards = Shards(folder, count, lock)
        weakref.finalize(shards, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
            alone = False
        if not _is_there(folder, lock):
            continue
        if alone and (not known.is_file() or known.read_text(encoding="utf-8") != text):
            for file in folder.iterdir():
                file.unlink()
            files.write_text(known, text)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if known.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{folder}: another process computes this with other parameters, data or weights; wait until it has "
                "ended, then try again"
            )
        return shards


def remove_unused(folder: Path) -> None:
    """Removes the folders of parts in a folder that no process uses, also of other samplers before, and then itself."""
    for kept in list(folder.glob("*")):
        with suppress(FileNotFoundError):  # another process has just removed it
            descriptor = os.open(kept, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(kept)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
    with suppress(OSError):  # another process draws the rest
        folder.rmdir()


def _is_there(folder: Path, descriptor: int) -> bool:
    """Whether a path still leads to the folder that was opened there."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


def ranges(total: int, size: int | None) -> list[range]:
    """0 to total - 1 in pieces of `size`; one piece for None."""
    return [range(start, min(start + (size or total), total)) for start in range(0, total, size or total)]


def fair_size(total: int, batch_size: int, devices: int) -> int | None:
    """How many each of several devices computes, in whole batches; None for one device, which needs no parts."""
    return None if devices == 1 else -(-total // (batch_size * devices)) * batch_size


def identity(loaded: Loaded, **settings: Any) -> dict[str, Any]:
    """What parts that a network computes depend on, apart from the code: its run, data and weights, and settings."""
    return {"digest": loaded.digest, "weights": weights_hash(loaded.network), **settings}


def weights_hash(network: nn.Module) -> str:
    """Hex SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
