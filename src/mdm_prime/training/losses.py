"""What a training step minimises: a callable `loss(network, x, t, generator) -> (B,)`, in nats per sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from mdm_prime.core.masking import mask_independently
from mdm_prime.core.objectives import Denoiser, autoregressive_loss
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.experiment import found
from mdm_prime.experiment.sections.models import OBJECTIVES

Loss = Callable[[Denoiser, Tensor, Tensor, torch.Generator], Tensor]


class Objective(Protocol):
    """What a file of mdm_prime/training/objectives has as `loss`."""

    def __call__(
        self,
        network: Denoiser,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        subtokenizer: Subtokenizer,
        schedule: Schedule,
        *,
        carry_over: bool,
    ) -> Tensor:
        """Tokens x (B, L), noised sub-tokens y (B, L, ell) and times t (B,) that they were masked at; returns (B,)."""
        ...


def masked_loss(subtokenizer: Subtokenizer, schedule: Schedule, *, objective: str, carry_over: bool) -> Loss:
    """The objective of that name, at the times t that the step drew."""
    weigh: Objective = found.module(OBJECTIVES, objective).loss

    def loss(network: Denoiser, x: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        y = subtokenizer.encode(x)
        exact = t.double()  # in float32 1 - alpha may round to 0 at the smallest times, and the weight to infinity
        y = mask_independently(y, schedule.mask_probability(exact), subtokenizer.mask_id, generator)
        return weigh(network, x, y, t, subtokenizer, schedule, carry_over=carry_over)

    return loss


def causal_loss(start_id: int) -> Loss:
    """The exact negative log-likelihood of an autoregressive network; ignores the times."""
    return lambda network, x, t, generator: autoregressive_loss(network, x, start_id)
