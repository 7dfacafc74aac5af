"""Sampling by block diffusion: block after block, inside of each by any sampler (BD3-LM, arXiv 2503.09573, section 3).

What a network computes of a finished block is kept, and computed in the pass of the first evaluation of the next one:
so a sample takes no evaluation for it, and one evaluation is as long as a block, beside that once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mdm_prime.core.blocks import BlockNetwork, KeyValues
from mdm_prime.core.samples import Record, SamplerInput, Samples
from mdm_prime.experiment.sections.samplers import SamplerSection


class NextBlock:
    """A denoiser of one block (B, block_size, ell), given all before it.

    Args:
        network: computes the block.
        finished: (B, C, ell) clean sub-tokens of the blocks between those of the cache and this one.
        first: position of the block.
        cache: of the blocks before `finished`, which are added to it; None: finished has all, each time anew.
    """

    def __init__(self, network: BlockNetwork, finished: Tensor, first: int, cache: KeyValues | None) -> None:
        self._network, self._finished, self._first, self._cache = network, finished, first, cache

    @property
    def logits_layer(self) -> nn.Linear | None:
        """See core.objectives.HeadedDenoiser."""
        layer: nn.Linear | None = getattr(self._network, "logits_layer", None)
        return layer

    def __call__(self, y: Tensor, t: Tensor, where: Tensor, **options: Any) -> Tensor:
        """See core.objectives.Denoiser."""
        found = self._network(y, t, where, clean=self._finished, first=self._first, cache=self._cache, **options)
        if self._cache is not None:
            self._finished = self._finished[:, :0]
        return found

    def of_rows(self, rows: Tensor) -> NextBlock:
        """See core.rows. The finished blocks are computed for all sequences first, so that none's is lost."""
        if len(rows) == len(self._finished):
            return self
        if self._cache is None:
            return NextBlock(self._network, self._finished[rows], self._first, None)
        if self._finished.shape[1]:
            nothing = self._finished[:, :0]
            self(nothing, torch.zeros(len(nothing), device=nothing.device), nothing[..., 0].bool())
        return NextBlock(self._network, self._finished[rows], self._first, self._cache.of_rows(rows))


@torch.no_grad()
def draw_in_blocks(
    sampler: SamplerSection, network: BlockNetwork, given: SamplerInput, block_size: int, *, cached: bool = True
) -> Samples:
    """Reveals what is masked in given.y (B, L, ell), block by block; a block without masks takes no evaluation.

    Args:
        sampler: of what is masked in a block. Its steps, if it counts them, are those of all blocks together.
        network: computes blocks; in place of given.network.
        given: see SamplerInput. Each block of a sample has random numbers of its own.
        block_size: a divisor of L.
        cached: whether finished blocks are computed once; else for every evaluation, with the same result.
    """
    y, count = given.y.clone(), given.y.shape[1] // block_size
    inside = sampler.of_part(count)
    cache = network.no_keys() if cached else None
    nfe = torch.zeros(len(y), dtype=torch.long, device=y.device)
    for number in range(count):
        first, kept = number * block_size, 0 if cache is None else cache.length
        here = slice(first, first + block_size)
        if given.fixed[:, here].all():
            continue
        samples = inside.draw(
            given._replace(
                network=NextBlock(network, y[:, kept:first], first, cache),
                y=y[:, here],
                fixed=given.fixed[:, here],
                indices=range(count * given.indices.start + number, count * given.indices.stop, count),
                record=_of_block(given.record, y, here, number, count),
            )
        )
        y[:, here] = given.subtokenizer.encode(samples.x)
        nfe += samples.nfe
    if given.record is not None:
        given.record(0.0, y)
    return Samples(given.subtokenizer.decode(y), nfe)


def _of_block(record: Record | None, y: Tensor, here: slice, number: int, count: int) -> Record | None:
    """What tells of the whole sequences on the way from time 1 to 0 of one block."""
    if record is None:
        return None

    def of_block(t: float, inside: Tensor) -> None:
        whole = y.clone()
        whole[:, here] = inside
        record(1 - (number + 1 - t) / count, whole)

    return of_block
