"""Exponential moving average of the weights, kept next to them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdm_prime.training.parts import local


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """A detached copy of every parameter, by name."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


@torch.no_grad()
def update(average: dict[str, Tensor], network: nn.Module, decay: float, step: int) -> None:
    """Moves the average towards the weights after optimiser step `step` (from 1), in place.

    The decay warms up as min(decay, (1 + step) / (10 + step)), so that early weights are forgotten; 0 keeps the
    weights themselves.
    """
    rate = 1 - min(decay, (1 + step) / (10 + step))
    weights = dict(network.named_parameters())
    torch._foreach_lerp_([*map(local, average.values())], [local(weights[name]) for name in average], rate)
