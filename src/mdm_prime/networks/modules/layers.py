"""Layers shared by the networks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Angles = tuple[Tensor, Tensor]  # cosines and sines of positions, (L, head_width) or what broadcasts to the features


class SubtokenEmbedding(nn.Module):
    """Embeds the ell sub-tokens of a position with width / ell features each and concatenates them.

    (B, L, ell) int64 to (B, L, width): the architecture of MDM-Prime, section 3.2. The mask is embedding b.

    Raises ValueError for a width that ell does not divide.
    """

    def __init__(self, base: int, num_subtokens: int, width: int) -> None:
        super().__init__()
        if width % num_subtokens:
            raise ValueError(f"width {width} is not divisible by num_subtokens {num_subtokens}")
        self.embedding = nn.Embedding(base + 1, width // num_subtokens)
        nn.init.kaiming_uniform_(self.embedding.weight, a=math.sqrt(5))

    def forward(self, y: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(y)
        return embedded.flatten(-2)


class SummedEmbedding(nn.Module):
    """Embeds each of the ell sub-tokens by the table of its place, with all features, and adds them up.

    (B, L, ell) int64 to (B, L, width): the larger networks of MDM-Prime-v2 (arXiv 2603.16077). The mask is row b.
    """

    def __init__(self, base: int, num_subtokens: int, width: int) -> None:
        super().__init__()
        self.rows = base + 1
        self.embedding = nn.EmbeddingBag(num_subtokens * self.rows, width, mode="sum")
        nn.init.kaiming_uniform_(self.embedding.weight, a=math.sqrt(5))

    def forward(self, y: Tensor) -> Tensor:
        places = torch.arange(y.shape[-1], device=y.device) * self.rows
        embedded: Tensor = self.embedding((y + places).flatten(0, -2)).view(*y.shape[:-1], -1)
        return embedded


EMBEDDINGS = {"concatenated": SubtokenEmbedding, "summed": SummedEmbedding}


class TimeEmbedding(nn.Module):
    """Sinusoidal features of a time (B,) followed by two linear layers: (B, width)."""

    def __init__(self, width: int, num_features: int = 256) -> None:
        super().__init__()
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(num_features // 2) / (num_features // 2))
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(num_features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None].to(self.frequencies.dtype) * self.frequencies
        embedded: Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], -1))
        return embedded


def rotary_angles(length: int, head_width: int, device: torch.device) -> Angles:
    """Cosines and sines (L, head_width) of rotary position embeddings (RoFormer, arXiv 2104.09864, equation 34).

    Sines of the first half are negated: there the other member of a pair is subtracted.
    """
    frequencies = 1 / 10000 ** (torch.arange(0, head_width, 2, device=device).float() / head_width)
    angles = torch.outer(torch.arange(length, device=device).float(), frequencies)
    return angles.cos().repeat(1, 2), torch.cat([-angles.sin(), angles.sin()], -1)


def rotate(features: Tensor, angles: Angles) -> Tensor:
    """Rotates (..., L, head_width) by its positions; the two halves of the width are the pairs' members."""
    cos, sin = (part.to(features.dtype) for part in angles)
    return torch.addcmul(features * cos, features.roll(features.shape[-1] // 2, -1), sin)


def modulated(norm: nn.LayerNorm, h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Adaptive layer normalisation, norm(h) (1 + scale) + shift, of h (B, L, width) by what broadcasts to it.

    One modulation of all positions, (width,), is weight and bias of the norm: that reads h once, and keeps nothing but
    h for the gradient.
    """
    if shift.ndim > 1:
        normed: Tensor = norm(h)
        return normed * (1 + scale) + shift
    shift = shift.to(norm.weight.dtype)  # from bfloat16, where a linear layer has made it in mixed precision
    return F.layer_norm(h, norm.normalized_shape, norm.weight * (1 + scale), shift, norm.eps)


def gated(layer: nn.Linear, h: Tensor, gate: Tensor) -> Tensor:
    """A layer's output times what broadcasts to it; a gate of all positions, (width,), multiplies the weights."""
    if gate.ndim > 1:
        out: Tensor = layer(h)
        return gate * out
    return F.linear(h, gate[:, None] * layer.weight, None if layer.bias is None else gate * layer.bias)


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Absolute position embeddings (L, width), width even: sines, then cosines (Vaswani et al., arXiv 1706.03762)."""
    angles = torch.outer(
        torch.arange(length, device=device).float(),
        1 / 10000 ** (torch.arange(0, width, 2, device=device).float() / width),
    )
    return torch.cat([angles.sin(), angles.cos()], -1)
