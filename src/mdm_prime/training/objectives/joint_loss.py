"""The paper's objective (MDM-Prime, equation 7): the joint log-probability of each token's sub-tokens, weighted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.training.losses import NoisedBatch


def loss(batch: NoisedBatch) -> Tensor:
    return batch.weight() * batch.losses(marginal=False).joint
