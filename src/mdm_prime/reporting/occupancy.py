"""Idle steps of the ancestral sampler in closed form.

With alpha(t) = 1 - t and T uniform steps, each of the n = L * ell sub-tokens is revealed in a step drawn uniformly from
T, whatever the network says. So idle steps are the empty boxes after n balls fell into T boxes at random: the classical
occupancy problem, with known mean and variance.
"""

from __future__ import annotations

from math import sqrt

EVENT_PROCESS = "event process"  # how idle steps were measured: without a network, or
TRAINED_SAMPLER = "trained sampler"  # as the steps in which a network's samples did not change


def expected_idle_steps(num_steps: int, length: int, num_subtokens: int) -> float:
    """Expected number of the T steps in which a sequence does not change: T (1 - 1/T)^(L ell)."""
    return float(num_steps * (1 - 1 / num_steps) ** (length * num_subtokens))


def idle_steps_std(num_steps: int, length: int, num_subtokens: int) -> float:
    """Standard deviation of the number of idle steps of one sequence.

    Var = T (T-1) (1 - 2/T)^n + m - m^2, with m the expectation.
    """
    mean = expected_idle_steps(num_steps, length, num_subtokens)
    pairs = num_steps * (num_steps - 1) * (1 - 2 / num_steps) ** (length * num_subtokens)
    return sqrt(max(0.0, pairs + mean - mean**2))
