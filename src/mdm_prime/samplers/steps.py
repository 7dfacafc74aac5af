"""The even steps of ancestral sampling: their times, and how often anything is revealed; samplers.exact runs them."""

from __future__ import annotations

import torch
from torch import Tensor

from mdm_prime.core.schedules import Schedule


def step_times(num_steps: int) -> Tensor:
    """(num_steps + 1,) float64: the time of each step, from 1 down, and the end, 0."""
    return 1 - torch.arange(num_steps + 1, dtype=torch.float64) / num_steps


def event_probabilities(schedule: Schedule, num_steps: int, num_masked: int) -> Tensor:
    """(num_steps,) float64: for each step, that it reveals any of so many masked sub-tokens; else it is never run.

    Their sum is the mean number of events, each an evaluation of the network.
    """
    hidden = schedule.mask_probability(step_times(num_steps))
    return 1 - (1 + hidden.diff()) ** num_masked
