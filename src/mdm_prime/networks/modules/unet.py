"""Convolutional network over the sub-tokens of an image: the U-Net of Dhariwal and Nichol (arXiv 2105.05233), no time.

What MDM-Prime's image experiments changed in it: sub-token embeddings stand in the place of the first convolution, and
with time ignored, the scale and shift of each residual block are free parameters instead of a function of time.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdm_prime.core.keyed import Choice, Dropout
from mdm_prime.networks.modules.layers import SubtokenEmbedding

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip connection, with a scale and shift for each component of a mixture."""

    def __init__(self, inputs: int, outputs: int, *, norm_groups: int, dropout: float, components: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(norm_groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Embedding(components, 2 * outputs)
        nn.init.normal_(self.modulation.weight, std=0.02)  # not zero: components start apart from each other
        self.norm2 = nn.GroupNorm(norm_groups, outputs)
        self.dropout = Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: Tensor, component: Tensor) -> Tensor:
        """H (B, inputs, H, W), component (B,) int64; returns (B, outputs, H, W)."""
        scale, shift = self.modulation(component)[:, :, None, None].chunk(2, 1)
        change = self.conv1(F.silu(self.norm1(h)))
        change = self.norm2(change) * (1 + scale) + shift
        out: Tensor = self.skip(h) + self.conv2(self.dropout(F.silu(change)))
        return out


class PixelAttention(nn.Module):
    """Every pixel attends to every pixel; the result is added to the input."""

    def __init__(self, width: int, *, head_width: int, norm_groups: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.norm = nn.GroupNorm(norm_groups, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        """H (B, width, H, W); returns the same shape."""
        pixels = self.norm(h).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(pixels).unflatten(-1, (3, -1, self.head_width)).permute(2, 0, 3, 1, 4)
        attended = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        out: Tensor = h + attended.transpose(1, 2).unflatten(2, h.shape[2:])
        return out


class Stage(nn.ModuleList):
    """Layers in a row, of which the residual blocks are told the component; one skip connection starts or ends here."""

    def forward(self, h: Tensor, component: Tensor) -> Tensor:
        """H (B, C, H, W), component (B,) int64; returns another (B, C, H, W)."""
        for layer in self:
            h = layer(h, component) if isinstance(layer, ResidualBlock) else layer(h)
        return h


class UNet(nn.Module):
    """Sub-tokens (B, L, ell) of images, L = channels * size * size, to logits over tokens where they are asked for.

    Args:
        base: b; the embedding has b + 1 rows, the last for the mask.
        vocab_size: V, the number of logits.
        channels: tokens of a pixel; position c * size * size + row * size + column.
        size: height and width of an image.
        width: feature channels, times a level's multiplier.
        multipliers: one for each level, which halves the image of the level above.
        blocks: residual blocks of each level on the way down, one more on the way up.
        attention_at: factors of downsampling (1, 2, 4, ...) of the levels with attention.
        head_width: features of an attention head.
        norm_groups: groups of each group normalisation.
        components: MDM-Mixture for more than one. Training draws a component for each image: the mean loss of the
            components, which is at least that of their mixture (-log is convex). Evaluation runs every
            component and returns the logarithm of the mean of their predictions.

    Raises ValueError when the embeddings do not fill the first feature map, or the image cannot be halved as often.
    """

    def __init__(
        self,
        *,
        base: int,
        num_subtokens: int,
        vocab_size: int,
        channels: int,
        size: int,
        width: int,
        multipliers: tuple[int, ...],
        blocks: int,
        attention_at: tuple[int, ...],
        head_width: int,
        norm_groups: int,
        dropout: float = 0.0,
        components: int = 1,
    ) -> None:
        super().__init__()
        features = width * multipliers[0]
        if features % (channels * num_subtokens):
            raise ValueError(
                f"width x multiplier = {features} is not divisible by channels x num_subtokens = "
                f"{channels} x {num_subtokens}"
            )
        if size % 2 ** (len(multipliers) - 1):
            raise ValueError(f"size {size} cannot be halved {len(multipliers) - 1} times for {len(multipliers)} levels")
        self.grid = (channels, size, size)
        self.components = components
        self.component = Choice(components)

        residual = partial(ResidualBlock, norm_groups=norm_groups, dropout=dropout, components=components)
        attention = partial(PixelAttention, head_width=head_width, norm_groups=norm_groups)
        self.embedding = SubtokenEmbedding(base, num_subtokens, features // channels)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips = [features]
        for level, multiplier in enumerate(multipliers):
            if level:
                self.encoder.append(Stage([nn.AvgPool2d(2)]))
                skips.append(features)
            for _ in range(blocks):
                stage = Stage([residual(features, width * multiplier)])
                features = width * multiplier
                if 2**level in attention_at:
                    stage.append(attention(features))
                self.encoder.append(stage)
                skips.append(features)
        self.middle = Stage([residual(features, features), attention(features), residual(features, features)])
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for block in range(blocks + 1):
                stage = Stage([residual(features + skips.pop(), width * multiplier)])
                features = width * multiplier
                if 2**level in attention_at:
                    stage.append(attention(features))
                if level and block == blocks:
                    stage.append(nn.Upsample(scale_factor=2))
                self.decoder.append(stage)
        self.norm = nn.GroupNorm(norm_groups, features)
        self.head = zeroed(nn.Conv2d(features, channels * vocab_size, 3, padding=1))

    def forward(self, y: Tensor, t: Tensor, where: Tensor) -> Tensor:
        """Maps y (B, L, ell) int64 and where (B, L) bool to logits (N, V), in the order of `where`. t is ignored."""
        if self.training:
            return self._logits(y, where, self.component(y))
        parts = (self._logits(y, where, y.new_full(y.shape[:1], component)) for component in range(self.components))
        if self.components == 1:
            return next(parts)
        return reduce(torch.logaddexp, (part.log_softmax(-1) for part in parts)) - math.log(self.components)

    def _logits(self, y: Tensor, where: Tensor, component: Tensor) -> Tensor:
        h = self.embedding(y).unflatten(1, self.grid).permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)
        skips = [h]
        for stage in self.encoder:
            h = stage(h, component)
            skips.append(h)
        h = self.middle(h, component)
        for stage in self.decoder:
            h = stage(torch.cat([h, skips.pop()], 1), component)
        logits: Tensor = self.head(F.silu(self.norm(h))).permute(0, 2, 3, 1).unflatten(-1, (self.grid[0], -1))
        image, channel, row, column = where.unflatten(1, self.grid).nonzero(as_tuple=True)
        return logits[image, row, column, channel]  # a copy of the rows asked for only


def zeroed(layer: Layer) -> Layer:
    """The layer, starting at zero, so that a fresh network's residual branches do nothing (arXiv 2105.05233)."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
