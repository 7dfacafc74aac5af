"""Noise schedules: alpha(t), the probability that a sub-token is still visible at time t.

Time runs from 0 (clean) to 1 (all masked). Each schedule returns the value and its derivative together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """A decreasing alpha with alpha(0) = 1 and alpha(1) = 0.

    Attributes:
        alpha_and_derivative: t (any shape, float) to (alpha(t), alpha'(t)) of that shape.
        inverse: alpha to the t at which it is reached.
    """

    alpha_and_derivative: Callable[[Tensor], tuple[Tensor, Tensor]]
    inverse: Callable[[Tensor], Tensor]

    def mask_probability(self, t: Tensor) -> Tensor:
        """1 - alpha(t), the probability that a sub-token is masked at time t."""
        return 1 - self.alpha_and_derivative(t)[0]

    def loss_weight(self, t: Tensor) -> Tensor:
        """w(t) = -alpha'(t) / (1 - alpha(t)); 1/t for the linear schedule (MDM-Prime, equation 7; MD4, equation 4)."""
        alpha, d_alpha = self.alpha_and_derivative(t)
        return -d_alpha / (1 - alpha)


def polynomial(exponent: float = 1.0) -> Schedule:
    """alpha(t) = (1 - t)^n. The paper's images use n = 3, in its reversed time t^n."""
    return Schedule(
        alpha_and_derivative=lambda t: ((1 - t) ** exponent, -exponent * (1 - t) ** (exponent - 1)),
        inverse=lambda alpha: 1 - alpha ** (1 / exponent),
    )


def linear() -> Schedule:
    """alpha(t) = 1 - t, the schedule of MDLM's and MDM-Prime's text (called log-linear there)."""
    return polynomial(1.0)


def cosine() -> Schedule:
    """alpha(t) = 1 - cos(pi/2 (1 - t)) (MD4, table 1)."""
    half_pi = math.pi / 2
    return Schedule(
        alpha_and_derivative=lambda t: (
            1 - torch.cos(half_pi * (1 - t)),
            -half_pi * torch.sin(half_pi * (1 - t)),
        ),
        inverse=lambda alpha: 1 - torch.arccos(1 - alpha) / half_pi,
    )


def by_name(name: str, exponent: float = 1.0) -> Schedule:
    """The schedule of a params file: linear, polynomial (with its exponent) or cosine."""
    return {"linear": linear, "polynomial": lambda: polynomial(exponent), "cosine": cosine}[name]()
