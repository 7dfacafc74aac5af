"""What a training step minimises: a callable `loss(network, x, t, generator) -> (B,)`, in nats a sequence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mdm_prime.core.masking import mask_independently
from mdm_prime.core.objectives import Denoiser, autoregressive_loss, sequence_losses
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer

Loss = Callable[[Denoiser, Tensor, Tensor, torch.Generator], Tensor]


def masked_loss(subtokenizer: Subtokenizer, schedule: Schedule, *, objective: str, carry_over: bool) -> Loss:
    """`joint_loss` (MDM-Prime, equation 7), `nelbo` or `cross_entropy`, at the times t that the step drew.

    `cross_entropy`, which the paper trains its images with, is the joint loss without its weight and without
    carry-over: every position counts alike, also those with nothing masked.
    """
    plain = objective == "cross_entropy"
    joint = objective != "nelbo"
    carry_over = carry_over and not plain

    def loss(network: Denoiser, x: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        y = subtokenizer.encode(x)
        exact = t.double()  # in float32 1 - alpha may round to 0 at the smallest times, and the weight to infinity
        y = mask_independently(y, schedule.mask_probability(exact), subtokenizer.mask_id, generator)
        losses = sequence_losses(network, x, y, t, subtokenizer, carry_over=carry_over, joint=joint, marginal=not joint)
        weight = 1.0 if plain else schedule.loss_weight(exact).to(t.dtype)
        return weight * (losses.joint if joint else losses.marginal)

    return loss


def causal_loss(start_id: int) -> Loss:
    """The exact negative log-likelihood of an autoregressive network; ignores the times."""
    return lambda network, x, t, generator: autoregressive_loss(network, x, start_id)
