"""Schedules that depend on what is masked: GenMD4 (arXiv 2406.04329, section 6), here for sub-tokens too.

A sub-token of value v at place j of its token is masked at time t with probability (1 - epsilon) t^w, independently of
all others, with an exponent w > 0 for each place and value. All exponents 1 and epsilon 0: the linear schedule. At
t = 1 a share epsilon is still visible: the reverse process reveals it there, from the prediction of a network that sees
masks only. Derivation: docs/derivation.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdm_prime.core.objectives import Denoiser, of_positions, token_log_probs, true_subtoken_losses
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.visible_digits import Positions

PART = "state_exponents"  # of a network
RAW_OF_ONE = math.log(math.e - 1)  # softplus of it is 1


class StateSchedule(NamedTuple):
    """How likely each value is masked at each time.

    Attributes:
        exponents: (ell, b) float64, w of each place and value, all positive.
        epsilon: share that is visible at t = 1.
        subtokenizer: the map between tokens and sub-tokens.
    """

    exponents: Tensor
    epsilon: float
    subtokenizer: Subtokenizer

    def of(self, clean: Tensor) -> Tensor:
        """The exponents (..., ell) of sub-tokens without masks (..., ell)."""
        return self.exponents[torch.arange(clean.shape[-1], device=clean.device), clean]

    def mask_probability(self, exponents: Tensor, t: Tensor) -> Tensor:
        """(1 - epsilon) t^w (B, L, ell) for exponents (B, L, ell) at times t (B,), in float64."""
        return (1 - self.epsilon) * t.double().view(-1, 1, 1) ** exponents

    def kept_masked(self, exponents: Tensor, t: float | None, s: float) -> Tensor:
        """Probability that what is masked at time t is still masked at s < t; t None: before anything is revealed."""
        return (1 - self.epsilon) * s**exponents if t is None else (s / t) ** exponents


class StateExponents(nn.Module):
    """The part of a network that holds its exponents, which are trained with it; all 1 in the beginning."""

    def __init__(self, num_subtokens: int, base: int, epsilon: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(num_subtokens, base))
        self.epsilon = epsilon

    def schedule(self, subtokenizer: Subtokenizer) -> StateSchedule:
        """With gradients, where they are recorded."""
        return StateSchedule(exponents_of(self.raw), self.epsilon, subtokenizer)


def of_network(network: object, subtokenizer: Subtokenizer) -> StateSchedule | None:
    """The schedule of a network that has one of its own, as its part `state_exponents`; None for any other."""
    part = getattr(network, PART, None)
    return part.schedule(subtokenizer) if isinstance(part, StateExponents) else None


class Terms(NamedTuple):
    """Sums over the masked sub-tokens of a sequence, in nats, (B,) each.

    Attributes:
        rate: t times the rate at which the reverse process pays: sum of E_p[w] - w - w log p of the true value.
        plain: sum of -log p of the true value.
    """

    rate: Tensor
    plain: Tensor


def exponents_of(raw: Tensor) -> Tensor:
    """Positive exponents, float64, from free numbers of the same shape; 1 for 0, to which weight decay pulls."""
    return torch.nn.functional.softplus(raw.double() + RAW_OF_ONE)


def terms(denoiser: Denoiser, x: Tensor, y: Tensor, t: Tensor, schedule: StateSchedule) -> Terms:
    """What masked sub-tokens cost at time t, for tokens x (B, L) and noised sub-tokens y (B, L, ell).

    Tokens that disagree with a visible sub-token get probability zero. Gradients reach the network and the exponents;
    no tensor is larger than the logits of a chunk of positions.
    """
    subtokenizer = schedule.subtokenizer
    masked = y == subtokenizer.mask_id
    where = masked.any(-1)
    of_tokens = schedule.of(subtokenizer.digits(x.device))  # (V, ell)

    def of_group(positions: Positions, logits: Tensor, at: slice) -> Tensor:
        states = positions.states[at]
        log_probs = token_log_probs(logits, states, subtokenizer.base, carry_over=True)
        hidden = states == subtokenizer.mask_id
        losses = true_subtoken_losses(log_probs, states, positions.clean[at], subtokenizer.base)
        with torch.autocast(logits.device.type, enabled=False):  # bfloat16 has three digits
            exponents = of_tokens[positions.rows][:, positions.columns].to(log_probs.dtype)
            expected, true = log_probs.exp() @ exponents, exponents[positions.tokens[at]]
        rate = torch.where(hidden, expected - true + true * losses, 0.0)
        return torch.stack([rate.sum(-1), losses.sum(-1)])

    found = of_positions(denoiser, x, y, t, where, subtokenizer, of_group, carry_over=True, read=of_tokens)
    return Terms(*(found.new_zeros(x.shape).masked_scatter(where, part).sum(-1) for part in found))


def log_masking(masked: Tensor, exponents: Tensor, t: Tensor, epsilon: float) -> Tensor:
    """Log-probability (B,) float64 that exactly `masked` (B, L, ell) is masked at times t (B,), of all places."""
    log_power = exponents * t.double().log().view(-1, 1, 1)
    visible = -torch.expm1(log_power) + epsilon * log_power.exp()  # 1 - (1 - epsilon) t^w
    smallest = torch.finfo(visible.dtype).tiny  # where it is 0 everything is masked, and this is not taken
    probs = torch.where(masked, math.log1p(-epsilon) + log_power, visible.clamp(min=smallest).log())
    return probs.flatten(1).sum(1)


def reconstruction(clean: Tensor, schedule: StateSchedule, first: float) -> Tensor:
    """What is left to pay (B,) at the time `first`, where a decoder guesses each masked sub-token of clean (B, L, ell).

    It sees no context: a value has the probability that falls to it among those of its place, in proportion to how
    likely they are masked.
    """
    subtokenizer, exponents = schedule.subtokenizer, schedule.of(clean)
    places = torch.arange(clean.shape[-1], device=clean.device)
    used = torch.zeros_like(schedule.exponents, dtype=torch.bool)
    used[places, subtokenizer.digits(clean.device)] = True
    log_masked = schedule.exponents * math.log(first)
    normaliser = log_masked.masked_fill(~used, -torch.inf).logsumexp(-1)  # (ell,)
    masked = (1 - schedule.epsilon) * first**exponents
    return (masked * (normaliser - exponents * math.log(first))).flatten(1).sum(1)


def leave_one_out(losses: tuple[Tensor, Tensor], log_masks: tuple[Tensor, Tensor]) -> Tensor:
    """The mean of two losses (B,), whose gradient also counts that the masks are drawn with the exponents.

    Args:
        losses: of two masks drawn independently at the same time, with gradients of their own.
        log_masks: log-probabilities (B,) of the two masks.

    Returns:
        (B,): the value is the mean; the gradient adds 1/2 (first - second) of the losses times that of the difference
        of the log-probabilities. Each loss is the other's baseline, so the gradient has no bias.
    """
    first, second = losses
    score = (first - second).detach() * (log_masks[0] - log_masks[1])
    return (first + second + score - score.detach()) / 2
