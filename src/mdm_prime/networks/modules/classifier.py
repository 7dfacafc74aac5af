"""A small image classifier, whose features stand in for Inception's where those weights are not at hand."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """Images (B, C, H, W) uint8, 0 black to 255 white, to features and to logits over classes.

    A 3x3 convolution in each level, which is twice as wide and half as large as the one above, until 4 x 4 pixels or
    fewer are left, and at least twice; one more makes the features. Group normalisation, so that an image's
    features do not depend on the batch it comes in.

    Args:
        channels: C.
        size: H = W, at least 4.
        num_classes: number of logits.
        width: feature channels of the first level.
        num_features: length of the feature vector.
    """

    def __init__(self, channels: int, size: int, num_classes: int, width: int, num_features: int) -> None:
        super().__init__()
        levels = max(2, math.ceil(math.log2(size / 4)))
        widths = [channels, *(width * 2**level for level in range(levels))]
        down = [layer for pair in pairwise(widths) for layer in (*convolution(*pair), nn.AvgPool2d(2))]
        self.body = nn.Sequential(*down, *convolution(widths[-1], num_features))
        self.head = nn.Linear(num_features, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 to (B, num_features) float32: the last feature map's mean over the pixels."""
        features: Tensor = self.body(images.float() / 127.5 - 1).mean((2, 3))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 to logits (B, num_classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """3x3 convolution, group normalisation, SiLU."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(math.gcd(8, outputs), outputs), nn.SiLU()]
