"""What the paper trains its images with: the joint loss without its weight and without carry-over.

Every position counts alike, also those with nothing masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.objectives import Denoiser
    from mdm_prime.core.schedules import Schedule
    from mdm_prime.core.subtokens import Subtokenizer

FOR_IMAGES = True


def loss(
    network: Denoiser,
    x: Tensor,
    y: Tensor,
    t: Tensor,
    subtokenizer: Subtokenizer,
    schedule: Schedule,
    *,
    carry_over: bool,
) -> Tensor:
    """See losses.Objective."""
    from mdm_prime.core.objectives import sequence_losses

    return sequence_losses(network, x, y, t, subtokenizer, carry_over=False, marginal=False).joint
