"""Parts of a long computation, each kept once it is finished, so that a run goes on after a kill where it stood."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.stages.networks import Loaded

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shards:
    """Finished parts, 0 to count - 1, of one computation: a file of arrays each.

    Attributes:
        folder: holds them until `remove`; no declared output.
        count: how many there are when all are finished.
    """

    folder: Path
    count: int

    def missing(self) -> Iterator[int]:
        """Those that are not finished, in rising order."""
        return (index for index in range(self.count) if not self._file(index).exists())

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
        """Removes the folder, once the result is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, index: int) -> Path:
        return self.folder / f"{index}.npz"


def resume(folder: Path, identity: Mapping[str, Any], count: int) -> Shards:
    """What is finished in `folder` of the computation with this identity; parts of any other one are removed.

    Args:
        folder: next to the result, and of this computation alone.
        identity: everything that the parts depend on, as JSON values.
        count: how many parts there are.
    """
    text = json.dumps({**identity, "count": count}, sort_keys=True)
    path = folder / "identity.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        files.write_text(path, text)
    return Shards(folder, count)


def ranges(total: int, size: int | None) -> list[range]:
    """0 to total - 1 in pieces of `size`; one piece for None."""
    return [range(start, min(start + (size or total), total)) for start in range(0, total, size or total)]


def identity(loaded: Loaded, **settings: Any) -> dict[str, Any]:
    """What parts that a network computes depend on, apart from the code: its run, data and weights, and settings."""
    return {"digest": loaded.described["digest"], "weights": weights_hash(loaded.network), **settings}


def weights_hash(network: nn.Module) -> str:
    """Hex SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
