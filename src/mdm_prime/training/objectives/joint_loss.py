"""The paper's objective (MDM-Prime, equation 7): the joint log-probability of each token's sub-tokens, weighted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.objectives import Denoiser
    from mdm_prime.core.schedules import Schedule
    from mdm_prime.core.subtokens import Subtokenizer


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

    losses = sequence_losses(network, x, y, t, subtokenizer, carry_over=carry_over, marginal=False)
    return schedule.loss_weight(t.double()).to(t.dtype) * losses.joint
