"""The diffusion transformer for block diffusion (BD3-LM, arXiv 2503.09573): its weights are those of the DiT.

A noised block sees itself and the clean blocks before it; a clean block sees itself and those before it. So a sequence
with all of its blocks noised is one pass over clean and noised positions side by side, and what a clean block computes
never changes: in sampling its keys and values are kept. The last block is nobody's past, and is not read clean: with
one block that is as long as the sequence the network is the plain DiT, and computes what that does.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mdm_prime.networks.modules.dit import DiT
from mdm_prime.networks.modules.layers import rotary_angles


class Cache:
    """Keys and values (B, heads, P, head_width) of the first P positions, which are clean, of every layer.

    Attributes:
        length: P.
    """

    def __init__(self) -> None:
        self.length = 0
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def recall(self, layer: int, finished: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Those of a layer with k and v of new positions behind them, of which the first `finished` are kept."""
        if layer in self._layers:
            past_k, past_v = self._layers[layer]
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        if finished:
            stop = self.length + finished
            self._layers[layer] = (k[:, :, :stop], v[:, :, :stop])
        return k, v

    def of_rows(self, rows: Tensor) -> Cache:
        """Another one, with those of some sequences (N,) int64 of the batch."""
        other = Cache()
        other.length = self.length
        other._layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self._layers.items()}
        return other


class BlockDiT(DiT):
    """The DiT with attention by blocks.

    Args:
        block_size: positions of a block.
        settings: those of the DiT.
    """

    def __init__(self, *, block_size: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.block_size = block_size

    def forward(
        self,
        y: Tensor,
        t: Tensor,
        where: Tensor,
        *,
        hidden: bool = False,
        clean: Tensor | None = None,
        first: int = 0,
        cache: Cache | None = None,
    ) -> Tensor:
        """Maps noised blocks and the clean blocks before them to logits (N, V) at the N noised positions of `where`.

        Args:
            y: (B, N, ell) int64, noised; whole blocks.
            t: (B,), or (B, blocks of y): their times.
            where: (B, N) bool.
            hidden: see DiT.
            clean: (B, C, ell) int64, clean blocks from the position on that the cache ends at; what the cache and they
                lack of the past of y is not seen. None: the blocks of y but its last, as they stand there, which is
                what they are for a last block with all before it finished.
            first: position of y in the sequence.
            cache: of the positions before `clean`, to which those of `clean` are added; y comes after it.

        Raises:
            ValueError: for positions beyond the length that the network is for, and for parts of blocks.
        """
        clean = y[:, : -self.block_size] if clean is None else clean
        past, known, noised = 0 if cache is None else cache.length, clean.shape[1], y.shape[1]
        if first + noised > self.length:
            raise ValueError(f"a sequence of {first + noised} tokens; the network is for at most {self.length}")
        if (first % self.block_size, known % self.block_size, noised % self.block_size) != (0, 0, 0):
            raise ValueError(
                f"{known} clean and {noised} noised tokens; each should be blocks of {self.block_size} tokens"
            )
        spans = (past, past + known), (first, first + noised)
        positions = torch.cat([torch.arange(*ends, device=y.device) for ends in spans])
        conditioning = self._conditioning(t, known, noised)
        angles = tuple(part[positions] for part in rotary_angles(self.length, self.head_width, y.device))
        alone = known == 0 and noised == self.block_size  # one block, which sees all there is
        visible = None if alone else visible_keys(positions // self.block_size, known, past)
        h = self.embedding(torch.cat([clean, y], 1))
        for layer, block in enumerate(self.blocks):
            recall = None if cache is None else partial(cache.recall, layer, known)
            h = block(h, angles, conditioning, visible, recall)
        if cache is not None:
            cache.length += known
        if conditioning.ndim > 1 and conditioning.shape[1] > 1:
            conditioning = conditioning[:, known:]
        return self.answer(h[:, known:], conditioning, where, hidden)

    def no_keys(self) -> Cache:
        """A cache of no positions."""
        return Cache()

    def _conditioning(self, t: Tensor, known: int, noised: int) -> Tensor:
        """As a layer of the DiT has it: of times (B, known + noised), that of a clean position 0; see dit.Block."""
        if not self.time_conditioning:
            return self.conditioning(t.new_zeros(1))[0]
        times = t.view(len(t), -1)
        if known == 0 and times.shape[1] == 1:
            return self.conditioning(times[:, 0])[:, None]
        times = times.repeat_interleave(noised // times.shape[1], 1)
        times = torch.cat([times.new_zeros(len(t), known), times], 1)
        return self.conditioning(times.flatten()).view(*times.shape, -1)


def visible_keys(block: Tensor, known: int, past: int) -> Tensor:
    """(S, K) bool: which keys each of S positions attends to.

    Args:
        block: (S,) int64, the blocks that the positions belong to.
        known: how many of them, the first ones, are clean.
        past: positions of the cache, which all of them attend to; their keys come before those of the S positions.
    """
    is_clean = torch.arange(len(block), device=block.device) < known
    earlier = block[None] < block[:, None]
    own = (block[None] == block[:, None]) & (is_clean[None] == is_clean[:, None])
    visible: Tensor = F.pad((earlier & is_clean[None]) | own, (past, 0), value=True)
    return visible
