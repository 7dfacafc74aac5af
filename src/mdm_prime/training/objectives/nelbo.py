"""The bound on the likelihood: each masked sub-token by its own marginal, weighted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.training.losses import NoisedBatch


def loss(batch: NoisedBatch) -> Tensor:
    return batch.weight() * batch.losses(joint=False).marginal
