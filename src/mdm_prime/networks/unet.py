"""Convolutional network of the image experiments; it ignores time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from mdm_prime.experiment.sections.networks import NetworkSection
from mdm_prime.experiment.shape import Shape

if TYPE_CHECKING:
    from torch import nn


class UNetNetwork(NetworkSection):
    """Settings of networks/modules/unet.py."""

    for_images: ClassVar[bool] = True
    kind: Literal["unet"]
    width: PositiveInt
    multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # of the width, one for each level
    blocks: PositiveInt  # residual blocks of each level
    attention_at: tuple[PositiveInt, ...]  # levels, by their factor of downsampling
    head_width: PositiveInt
    norm_groups: PositiveInt
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    components: PositiveInt = 1  # MDM-Mixture: class-conditional predictions that are averaged

    @model_validator(mode="after")
    def _divisible(self) -> UNetNetwork:
        levels = {2**level: self.width * multiplier for level, multiplier in enumerate(self.multipliers)}
        for features in levels.values():
            if features % self.norm_groups:
                raise ValueError(
                    f"norm_groups: is {self.norm_groups}; should divide width x multiplier, here {features}"
                )
        for factor in self.attention_at:
            if factor not in levels:
                raise ValueError(f"attention_at: is {factor}; should be one of {', '.join(map(str, levels))}")
        for factor in (*self.attention_at, max(levels)):  # the middle, below the last level, has attention as well
            if levels[factor] % self.head_width:
                raise ValueError(
                    f"head_width: is {self.head_width}; should divide width x multiplier, here {levels[factor]}"
                )
        return self

    def check(self, shape: Shape) -> None:
        if shape.causal:
            raise ValueError("kind: is unet; should be dit for an autoregressive model")
        size = _size(shape)
        if shape.length != shape.channels * size * size:
            raise ValueError(f"kind: is unet, for square images; should be another for length {shape.length}")
        features, parts = self.width * self.multipliers[0], shape.channels * shape.num_subtokens
        if features % parts:
            raise ValueError(
                f"width: x multipliers[0] is {features}; should be divisible by {parts}, the sub-tokens of a pixel"
            )
        if size % 2 ** (len(self.multipliers) - 1):
            raise ValueError(f"multipliers: {len(self.multipliers)} levels; should be fewer, to halve size {size}")

    def build(self, shape: Shape) -> nn.Module:
        from mdm_prime.networks.modules.unet import UNet

        self.check(shape)
        return UNet(
            base=shape.base,
            num_subtokens=shape.num_subtokens,
            vocab_size=shape.vocab_size,
            channels=shape.channels,
            size=_size(shape),
            **self.model_dump(exclude={"kind"}),
        )


def _size(shape: Shape) -> int:
    return math.isqrt(shape.length // shape.channels)
