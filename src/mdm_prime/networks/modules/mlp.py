"""Perceptron over the concatenated sub-token embeddings: the network of the paper's 2-D example (Figure 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Swish(nn.Module):
    """h * sigmoid(beta h) with a learnable beta for each feature (arXiv 1710.05941)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(width))

    def forward(self, h: Tensor) -> Tensor:
        return h * torch.sigmoid(self.beta * h)


class MLP(nn.Module):
    """Sub-tokens (B, L, ell) and time to logits over tokens, at the positions that are asked for."""

    def __init__(
        self,
        *,
        base: int,
        num_subtokens: int,
        vocab_size: int,
        length: int,
        width: int,
        blocks: int,
        time_conditioning: bool = False,
    ) -> None:
        super().__init__()
        self.time_conditioning = time_conditioning
        self.length = length
        inputs = length * num_subtokens * width + 1
        self.embedding = nn.Embedding(base + 1, width)
        self.time_embedding = nn.Linear(1, 1)
        layers: list[nn.Module] = [Swish(inputs), nn.Linear(inputs, width), Swish(width)]
        for _ in range(blocks - 1):
            layers += [nn.Linear(width, width), nn.LayerNorm(width), Swish(width)]
        self.main = nn.Sequential(*layers, nn.Linear(width, length * vocab_size))

    def forward(self, y: Tensor, t: Tensor, where: Tensor) -> Tensor:
        """Maps y (B, L, ell) int64, t (B,) and where (B, L) bool to logits (N, V), in the order of `where`."""
        time = self.time_embedding((t if self.time_conditioning else torch.zeros_like(t))[:, None])
        h = torch.cat([self.embedding(y).flatten(1), time], -1)
        logits: Tensor = self.main(h).unflatten(-1, (self.length, -1))
        return logits[where]
