"""A scale's parameters and the folder of its results: what every stage is given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mdm_prime import files, hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.results.data_set import DataSet
from mdm_prime.stages import gpus, memory

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and writes.

    Attributes:
        config: what the params file says.
        results: folder of all results.
        params: the params file, for hints.
    """

    config: Config
    results: Path
    params: Path

    @property
    def root(self) -> Path:
        return layout.scale_root(self.results, self.config.scale)

    def hint(self, *words: str) -> str:
        """The command line of a verb at this scale."""
        return hints.verb(self.params, *words)

    def device(self) -> torch.device:
        """Fixes the number of threads and gives the device; of several GPUs one that no other stage here computes on.

        Raises UserError for a GPU that is not there.
        """
        import torch  # here, since the stage that makes data does without, and it takes seconds

        compute = self.config.compute
        torch.set_num_threads(compute.threads)
        if compute.device == "cuda" and not torch.cuda.is_available():
            raise UserError("compute.device is 'cuda' but torch sees no GPU; allowed here: auto, cpu")
        if compute.device == "cpu" or not torch.cuda.is_available():
            memory.keep_freed()
            return torch.device("cpu")
        if (rank := os.environ.get("LOCAL_RANK")) is not None:  # one of several processes, a GPU each
            torch.cuda.set_device(int(rank))
            return torch.device("cuda", int(rank))
        if (count := torch.cuda.device_count()) == 1:
            return torch.device("cuda")
        return torch.device("cuda", *gpus.take(self.results, count))

    def tokens(self, task: str, split: str) -> NDArray[np.unsignedinteger]:
        """(N, L) memory-mapped tokens of a split. Raises UserError when they are missing or another shape."""
        path, again = layout.data_dir(self.root, task) / f"{split}.npy", self.hint("data", task)
        tokens = files.load_array(path, again)
        length = self.config.task(task).data.length  # of the data set; super-tokens are made from pixels
        if tokens.ndim != 2 or tokens.shape[1] != length:
            raise UserError(f"{path}: has shape {tokens.shape}, wanted (N, {length}); make it with: {again}")
        return tokens

    def meta(self, task: str) -> DataSet:
        """meta.json of a data set. Raises UserError when it is missing, or of another vocabulary or length."""
        path, again = layout.data_dir(self.root, task) / "meta.json", self.hint("data", task)
        meta = DataSet.read(path, again)
        for key in ("vocab_size", "length"):
            found, wanted = getattr(meta, key), getattr(self.config.task(task).data, key)
            if found != wanted:
                raise UserError(f"{path}: has {key} {found}, wanted {wanted}; make it with: {again}")
        return meta
