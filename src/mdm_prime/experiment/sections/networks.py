"""Networks, one section for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from mdm_prime.experiment.sections.base import Section


class DiTNetwork(Section):
    """Diffusion transformer (models/dit.py)."""

    kind: Literal["dit"]
    width: PositiveInt
    blocks: PositiveInt
    heads: PositiveInt
    conditioning_width: PositiveInt
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    time_conditioning: bool  # the paper's text network ignores time


class MLPNetwork(Section):
    """Perceptron over the concatenated sub-token embeddings (models/mlp.py)."""

    kind: Literal["mlp"]
    width: PositiveInt
    blocks: PositiveInt
    time_conditioning: bool


class UNetNetwork(Section):
    """Convolutional network of the image experiments (models/unet.py); it ignores time."""

    kind: Literal["unet"]
    width: PositiveInt
    multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # of the width, one a level
    blocks: PositiveInt  # residual blocks a level
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


Network = Annotated[DiTNetwork | MLPNetwork | UNetNetwork, Field(discriminator="kind")]
