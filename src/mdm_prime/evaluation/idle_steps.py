"""How many steps of ancestral sampling change nothing (Figure 1 of the paper)."""

from __future__ import annotations

import math

from torch import Tensor

from mdm_prime.core.schedules import Schedule
from mdm_prime.results.idle_steps import IdleSteps
from mdm_prime.samplers.exact import ancestral_steps, sample_uniforms


def idle_steps(steps: Tensor, num_steps: int) -> Tensor:
    """(B,) int64: those of num_steps in which none of steps (B, L, ell) falls."""
    occupied = steps.new_zeros(len(steps), num_steps).scatter(1, steps.flatten(1), 1)
    return num_steps - occupied.sum(1)


def measure(
    schedule: Schedule, length: int, num_subtokens: int, num_steps: int, num_sequences: int, seed: int
) -> IdleSteps:
    """Runs the sampler's event process, which needs no network, and counts; a row of idle_steps.json."""
    times, _ = sample_uniforms(seed, range(num_sequences), length, num_subtokens)
    idle = idle_steps(ancestral_steps(times, schedule, num_steps), num_steps).double()
    return IdleSteps(
        num_steps=num_steps,
        num_subtokens=num_subtokens,
        length=length,
        num_sequences=num_sequences,
        idle_measured=float(idle.mean()),
        idle_stderr=float(idle.std()) / math.sqrt(num_sequences),
    )
