"""Perceptron over the concatenated sub-token embeddings, for short sequences such as the paper's 2-D example."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from mdm_prime.experiment.sections.networks import NetworkSection
from mdm_prime.experiment.shape import Shape

if TYPE_CHECKING:
    from torch import nn


class MLPNetwork(NetworkSection):
    """Settings of networks/modules/mlp.py."""

    blocks_at: ClassVar[str | None] = "main"

    kind: Literal["mlp"]
    width: PositiveInt
    blocks: PositiveInt
    time_conditioning: bool

    def check(self, shape: Shape) -> None:
        if shape.causal:
            raise ValueError("kind: is mlp; should be dit for an autoregressive model")

    def build(self, shape: Shape) -> nn.Module:
        from mdm_prime.networks.modules.mlp import MLP

        self.check(shape)
        return MLP(
            base=shape.base,
            num_subtokens=shape.num_subtokens,
            vocab_size=shape.vocab_size,
            length=shape.length,
            **self.model_dump(exclude={"kind"}),
        )
