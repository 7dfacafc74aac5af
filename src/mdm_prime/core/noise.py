"""Random numbers that belong to examples: the same, whoever computes an example and with which others beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor


class Noise(Protocol):
    """Random numbers of B examples."""

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """(B, *shape) in [0, 1): the next numbers of each example."""
        ...


class BatchNoise:
    """That of some examples of a batch: drawn for the whole batch, of which the others' numbers are left out.

    So neither the number of processes that share a batch nor the number of passes it is accumulated in changes them.

    Args:
        generator: of the batch; whoever takes part in the batch has it in the same state.
        batch_size: examples of the whole batch.
        rows: those of them, in this order, whose numbers these are; None: all.
    """

    def __init__(self, generator: torch.Generator, batch_size: int, rows: range | None = None) -> None:
        self.generator, self.batch_size = generator, batch_size
        self.rows = range(batch_size) if rows is None else rows

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """See Noise."""
        device = self.generator.device
        drawn = torch.rand((self.batch_size, *shape), generator=self.generator, device=device, dtype=dtype)
        return drawn[self.rows.start : self.rows.stop : self.rows.step].contiguous()

    def part(self, rows: range) -> BatchNoise:
        """That of fewer examples, from here on; the numbers of the batch itself stay where they are."""
        return BatchNoise(self.generator.clone_state(), self.batch_size, rows)


class ExampleNoise:
    """A generator for each example, for few of them at a time: 20 microseconds each.

    Args:
        seeds: 0 to 2^64 - 1, one for each example.
        device: where the numbers are wanted.
    """

    def __init__(self, seeds: Iterable[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(int(seed)) for seed in seeds]

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """See Noise."""
        return torch.stack([torch.rand(shape, generator=g, device=g.device, dtype=dtype) for g in self._generators])
