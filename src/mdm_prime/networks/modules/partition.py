"""The network of partition generative models (arXiv 2505.18883): what is masked is no input, and costs nothing.

An encoder reads the visible positions only, each with its place in the sequence. Positions to be predicted begin as
queries that know their own place and nothing else (GroupSwap), and read the encoder's output, never each other.

The paper draws a group for each token and predicts each of the two groups from the other, with attention between equal
groups in the encoder and between unequal ones in the decoder. Here that is two partially masked sequences, complements
of each other, of which each is predicted from its visible part: `packed` puts them into one sequence and lets
attention stay inside of each. It also says what a partition of sub-tokens is. A position of which some digits are
visible stands in both halves, in each with the digits that are visible there: in the encoder as an embedding with the
mask's features for the others, and in the decoder as a query. So a digit is predicted from all digits of the other
group, those of its own position among them, and from none of its own group. The logits are those of whole tokens, so
that carry-over and the joint distribution of a position's digits are as in every other network.

Differences to the released code: one normalisation of the encoder's output, not one in each block of the decoder; and
in place of a token for the beginning of a text a position before the first, of which everything is masked. It is
visible everywhere, so that there is something to attend to where nothing else is.

Where nothing else is, attention has one value to give, whatever the query: as published, the network then predicts the
same at every position. With `residual` the queries, which hold the positions, are added to what GroupSwap gives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdm_prime.networks.modules.dit import Block, zero_linear
from mdm_prime.networks.modules.layers import (
    Angles,
    SubtokenEmbedding,
    TimeEmbedding,
    modulated,
    rotary_angles,
    rotate,
    sinusoids,
)


class GroupSwap(nn.Module):
    """Attention of queries that are made of a learned vector and of positions, never of what stands there."""

    def __init__(self, width: int, heads: int, places: int, residual: bool) -> None:
        super().__init__()
        self.heads, self.residual = heads, residual
        self.places: Tensor  # (places, width)
        self.register_buffer("places", sinusoids(places, width, torch.get_default_device()), persistent=False)
        self.vector = nn.Parameter(torch.randn(width))
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, place: Tensor, angles: Angles, source: tuple[Tensor, Angles], seen: Tensor) -> Tensor:
        """Places (B, Q) to (B, Q, width), with the angles (places, head_width) of all that there are.

        For the states (B, M, width) of `source` and the mask see dit.Block. A query follows from its place alone, so it
        is made once for all sequences.
        """
        states, angles_of_keys = source
        queries = self.norm(self.vector + self.places)
        q = rotate(self.query(queries).unflatten(-1, (self.heads, -1)).transpose(0, 1), angles)
        q = F.embedding(place, q.transpose(0, 1).flatten(-2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.keys_values(states).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, rotate(k, angles_of_keys), v, seen)
        swapped: Tensor = self.out(h.transpose(1, 2).flatten(-2))
        return swapped + F.embedding(place, queries) if self.residual else swapped


class Partition(nn.Module):
    """Sub-tokens (B, L, ell) to logits over tokens, at the positions that are asked for; the time is not read.

    Args:
        base: b; the embedding has b + 1 rows, the last for digits that are not visible beside one that is.
        vocab_size: V, the number of logits.
        length: most tokens of a sequence.
        encoder_blocks: of self-attention between what is visible.
        decoder_blocks: of attention from what is predicted to what is visible.
        residual: whether GroupSwap adds its queries; not in the paper.
    """

    packs_rows = True  # see `packed` of forward, and training.halves

    def __init__(
        self,
        *,
        base: int,
        num_subtokens: int,
        vocab_size: int,
        length: int,
        width: int,
        encoder_blocks: int,
        decoder_blocks: int,
        heads: int,
        conditioning_width: int,
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.mask_id, self.num_subtokens, self.length = base, num_subtokens, length
        self.angles: Tensor  # (length + 1, 2 head_width), cosines and sines
        angles = rotary_angles(length + 1, width // heads, torch.get_default_device())
        self.register_buffer("angles", torch.cat(angles, -1), persistent=False)
        self.embedding = SubtokenEmbedding(base, num_subtokens, width)
        self.time_embedding = TimeEmbedding(conditioning_width)  # of time 0: the same modulation for all
        self.swap_at = encoder_blocks
        blocks = [
            Block(width, heads, conditioning_width, dropout, False) for _ in range(encoder_blocks + decoder_blocks)
        ]
        swap = GroupSwap(width, heads, length + 1, residual)
        self.blocks = nn.ModuleList([*blocks[:encoder_blocks], swap, *blocks[encoder_blocks:]])
        self.encoded_norm = nn.LayerNorm(width, bias=False)
        self.norm = nn.LayerNorm(width, bias=False)
        self.modulation = zero_linear(conditioning_width, 2 * width)
        self.head = zero_linear(width, vocab_size)

    @property
    def logits_layer(self) -> nn.Linear:
        """What makes logits of hidden states: see core.objectives.HeadedDenoiser."""
        return self.head

    def forward(self, y: Tensor, t: Tensor, where: Tensor, *, hidden: bool = False, packed: int = 1) -> Tensor:
        """Maps y (B, L, ell) int64, t (B,) and where (B, L) bool to logits (N, V), in the order of `where`.

        With `hidden` to what the head makes them of, (N, width). The result does not depend on `packed`: so many rows
        that follow each other are computed as one sequence. That saves work where no digit is visible in two of them,
        as in a masked sequence and its complement.

        Raises ValueError for longer sequences than the network is for.
        """
        length = y.shape[1]
        if length > self.length:
            raise ValueError(f"a sequence of {length} tokens; the network is for at most {self.length}")
        conditioning = F.silu(self.time_embedding(y.new_zeros(1, dtype=self.head.weight.dtype)))[0]
        y = F.pad(y, (0, 0, 1, 0), value=self.mask_id)  # before the first position: see above
        visible = F.pad((y[:, 1:] != self.mask_id).any(-1), (1, 0), value=True)

        at, real = chosen(visible.view(-1, packed * (length + 1)))
        row, place = at // (length + 1), at % (length + 1)
        digits = y.view(len(at), -1, self.num_subtokens).gather(1, at[..., None].expand(-1, -1, self.num_subtokens))
        angles = self._angles_at(place)
        h, seen = self.embedding(digits), attended(row, row, real, packed)
        for block in self.blocks[: self.swap_at]:
            h = block(h, angles, conditioning, seen)
        source = self.encoded_norm(h), angles

        at, wanted = chosen(where.view(-1, packed * length))
        seen, place = attended(at // length, row, real, packed), at % length + 1
        angles = self._angles_at(place)
        h = self.blocks[self.swap_at](place, self.angles.chunk(2, -1), source, seen)
        for block in self.blocks[self.swap_at + 1 :]:
            h = block(h, angles, conditioning, seen, source=source)
        shift, scale = self.modulation(conditioning).chunk(2, -1)
        h = modulated(self.norm, h, shift, scale)[wanted]
        out: Tensor = h if hidden else self.head(h)
        return out

    def _angles_at(self, place: Tensor) -> Angles:
        """Of places (B, M), (B, 1, M, head_width) each."""
        cosines, sines = self.angles[place][:, None].chunk(2, -1)
        return cosines, sines


def chosen(present: Tensor) -> tuple[Tensor, Tensor]:
    """Places in each row of present (B, N) where it is true, rising: int64 (B, M), M the most of a row; bool (B, M).

    The second says which of the first are such places; the others, behind them, fill up.
    """
    count = present.sum(1)
    used = torch.arange(present.shape[1], device=present.device) < count.max()
    at = present.int().argsort(dim=1, descending=True, stable=True).T[used].T
    return at, torch.arange(at.shape[1], device=at.device) < count[:, None]


def attended(rows_of_queries: Tensor, rows_of_keys: Tensor, real: Tensor, packed: int) -> Tensor:
    """What queries (B, Q) see of keys (B, M): the real ones, (B, M) bool, of their own row; see dit.Block."""
    if packed == 1:  # all are of one row
        return real[:, None, None]
    return ((rows_of_queries[:, :, None] == rows_of_keys[:, None]) & real[:, None])[:, None]
