"""What the paper trains its images with: the joint loss without its weight and without carry-over.

Every position counts alike, also those with nothing masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.training.losses import NoisedBatch

FOR_IMAGES = True


def loss(batch: NoisedBatch) -> Tensor:
    return batch._replace(carry_over=False).losses(marginal=False).joint
