"""Diffusion transformer over sub-tokens, and its causal form for the autoregressive baseline.

The network of MDLM and MDM-Prime's text experiments: pre-norm blocks with adaptive layer normalisation, rotary
positions, no biases in attention, GELU feed-forward of four times the width (Peebles and Xie, arXiv 2212.09748).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from mdm_prime.core.keyed import Dropout
from mdm_prime.networks.modules.layers import (
    EMBEDDINGS,
    Angles,
    TimeEmbedding,
    gated,
    modulated,
    rotary_angles,
    rotate,
)

Recall = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # adds to keys and values those of earlier positions


class Block(nn.Module):
    """Attention and feed-forward, each modulated by the conditioning vector."""

    def __init__(self, width: int, heads: int, conditioning_width: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.dropout1 = Dropout(dropout)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.dropout2 = Dropout(dropout)
        self.modulation = zero_linear(conditioning_width, 6 * width)

    def forward(
        self,
        h: Tensor,
        angles: Angles,
        conditioning: Tensor,
        visible: Tensor | None = None,
        recall: Recall | None = None,
        source: tuple[Tensor, Angles] | None = None,
    ) -> Tensor:
        """One layer.

        Args:
            h: (B, L, width).
            angles: of the positions, each (L, head_width) or one for each row, (B, 1, L, head_width).
            conditioning: (conditioning_width,) of all positions, or (B, 1 or L, conditioning_width).
            visible: the mask of attention, bool that broadcasts to (B, heads, L, K): which of K keys a position sees;
                None: all, or as `causal` says.
            recall: turns keys and values (B, heads, L, head_width) into those of K positions; None: into themselves.
            source: states (B, K, width) and their angles, of which keys and values are made; None: of h.

        Returns:
            (B, L, width).
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(conditioning).chunk(6, -1)
        attended = self._attend(modulated(self.norm1, h, shift1, scale1), angles, visible, recall, source)
        h = h + self.dropout1(gated(self.attn_out, attended, gate1))
        inner = self.mlp[:-1](modulated(self.norm2, h, shift2, scale2))
        out: Tensor = h + self.dropout2(gated(cast(nn.Linear, self.mlp[-1]), inner, gate2))
        return out

    def _attend(
        self,
        h: Tensor,
        angles: Angles,
        visible: Tensor | None,
        recall: Recall | None,
        source: tuple[Tensor, Angles] | None,
    ) -> Tensor:
        if source is None:
            qkv = self.attn_qkv(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            (q, k), v = rotate(qkv[:2], angles), qkv[2].contiguous()  # so that for the gradient qkv is not kept
        else:
            states, angles_of_keys = source
            of_queries, of_the_rest = self.attn_qkv.weight.split([h.shape[-1], 2 * h.shape[-1]])
            q = rotate(F.linear(h, of_queries).unflatten(-1, (self.heads, -1)).transpose(1, 2), angles)
            k, v = F.linear(states, of_the_rest).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
            k = rotate(k, angles_of_keys)
        if recall is not None:
            k, v = recall(k, v)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=self.causal)
        return h.transpose(1, 2).flatten(-2)


class DiT(nn.Module):
    """Sub-tokens (B, L, ell) to logits over tokens, at the positions that are asked for.

    Args:
        base: b; the embedding has b + 1 rows, the last for the mask.
        vocab_size: V, the number of logits.
        length: most tokens of a sequence: those that it was trained on; at later positions it would be guessing.
        time_conditioning: whether t changes the output; the paper's text network has it off.
        causal: whether position i sees positions < = i only.
        embedding: how a position is made of its sub-tokens: a key of layers.EMBEDDINGS.
    """

    def __init__(
        self,
        *,
        base: int,
        num_subtokens: int,
        vocab_size: int,
        length: int,
        width: int,
        blocks: int,
        heads: int,
        conditioning_width: int,
        dropout: float = 0.0,
        time_conditioning: bool = False,
        causal: bool = False,
        embedding: str = "concatenated",
    ) -> None:
        super().__init__()
        self.length = length
        self.time_conditioning = time_conditioning
        self.head_width = width // heads
        self.embedding = EMBEDDINGS[embedding](base, num_subtokens, width)
        self.time_embedding = TimeEmbedding(conditioning_width)
        self.blocks = nn.ModuleList(Block(width, heads, conditioning_width, dropout, causal) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, bias=False)
        self.modulation = zero_linear(conditioning_width, 2 * width)
        self.head = zero_linear(width, vocab_size)

    @property
    def logits_layer(self) -> nn.Linear:
        """What makes logits of hidden states: see core.objectives.HeadedDenoiser."""
        return self.head

    def forward(self, y: Tensor, t: Tensor, where: Tensor, *, hidden: bool = False) -> Tensor:
        """Maps y (B, L, ell) int64, t (B,) and where (B, L) bool to logits (N, V), in the order of `where`.

        With `hidden` to what the head makes them of, (N, width).

        Raises ValueError for longer sequences than the network is for.
        """
        if y.shape[1] > self.length:
            raise ValueError(f"a sequence of {y.shape[1]} tokens; the network is for at most {self.length}")
        conditioning = self.conditioning(t)[:, None] if self.time_conditioning else self.conditioning(t.new_zeros(1))[0]
        angles = rotary_angles(y.shape[1], self.head_width, y.device)
        h = self.embedding(y)
        for block in self.blocks:
            h = block(h, angles, conditioning)
        return self.answer(h, conditioning, where, hidden)

    def conditioning(self, t: Tensor) -> Tensor:
        """What the layers are modulated by at times (N,): (N, conditioning_width)."""
        return F.silu(self.time_embedding(t))

    def answer(self, h: Tensor, conditioning: Tensor, where: Tensor, hidden: bool) -> Tensor:
        """See `forward`, for what the last block makes, (B, L, width), and its conditioning, as a block has it."""
        shift, scale = self.modulation(conditioning).chunk(2, -1)
        h = modulated(self.norm, h, shift, scale)[where]
        out: Tensor = h if hidden else self.head(h)
        return out


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts at zero, as adaptive normalisation and output heads do (arXiv 2212.09748)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
