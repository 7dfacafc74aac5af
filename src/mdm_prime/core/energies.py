"""Residual energies on masked diffusion (EDLM, arXiv 2410.21357): p(x0 | x_t) = p_theta(x0 | x_t) exp(-E(x0, x_t)) / Z.

p_theta draws the masked tokens of a state independently of each other; the energy E lets them depend on each other. Z
depends on x_t. Everything here is for whole tokens, one sub-token each, and keeps visible tokens (carry-over).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mdm_prime.core.draws import draw_tokens
from mdm_prime.core.objectives import Denoiser, at_least_float32, autoregressive_losses, sequence_losses
from mdm_prime.core.subtokens import Subtokenizer


class Energy(Protocol):
    """Anything that scores whole sequences, each beside the state that it completes."""

    def __call__(self, x: Tensor, y: Tensor, t: Tensor, log_p: Tensor | None = None) -> Tensor:
        """Maps x (B, L) int64, y (B, L, 1) int64 and t (B,) to energies (B,): the lower, the likelier.

        `log_p` (B,) is log p_theta(x0 | x_t) where it is known, so that the denoiser is not evaluated for it again.
        """
        ...


class Candidates(NamedTuple):
    """Completions of states y (B, L, 1), drawn from p_theta.

    Attributes:
        x: (B, k, L) tokens.
        log_p: (B, k), log p_theta(x0 | x_t) of each, in nats.
    """

    x: Tensor
    log_p: Tensor


def completion_log_prob(denoiser: Denoiser, x: Tensor, y: Tensor, t: Tensor, subtokenizer: Subtokenizer) -> Tensor:
    """Log p_theta(x0 | x_t), (B,) in nats: the sum over the masked positions of y (B, L, 1), of tokens x (B, L)."""
    with torch.no_grad():
        return -sequence_losses(denoiser, x, y, t, subtokenizer, carry_over=True, marginal=False).joint


def candidates(
    denoiser: Denoiser, y: Tensor, t: Tensor, uniforms: Tensor, subtokenizer: Subtokenizer, where: Tensor | None = None
) -> Candidates:
    """Completions of y (B, L, 1), drawn from p_theta by uniform numbers (B, k, L) float64.

    The denoiser is evaluated once for all k. With `where` (B, L) bool, masked positions, only these are drawn and
    counted in log_p; the tokens of other masked ones mean nothing.
    """
    masked = (y == subtokenizer.mask_id).any(-1)
    where = masked if where is None else where
    with torch.no_grad():
        logits = denoiser(y, t, where)
    numbers = uniforms.movedim(1, -1)[where]  # (N, k)
    drawn = draw_tokens(logits.repeat_interleave(numbers.shape[1], 0), numbers.flatten()).view_as(numbers)
    found = at_least_float32(logits).log_softmax(-1).gather(-1, drawn)
    x = subtokenizer.decode(y.masked_fill(masked[..., None], 0))[:, None].repeat(1, numbers.shape[1], 1)
    log_p = found.new_zeros(x.shape)
    for values, given in ((x, drawn), (log_p, found)):
        values.movedim(1, -1)[where] = given
    return Candidates(x, log_p.sum(-1))


def autoregressive_energy(
    denoiser: Denoiser,
    autoregressive: Denoiser,
    x: Tensor,
    y: Tensor,
    t: Tensor,
    subtokenizer: Subtokenizer,
    log_p: Tensor | None = None,
) -> Tensor:
    """The energy of EDLM-coAR, (B,): -log p_AR(x0) + log p_theta(x0 | x_t), where visible tokens count nothing.

    Carry-over gives a visible token the probability one in both models. So p_theta exp(-E) is the product over the
    masked positions of p_AR(x_i | x_1, ..., x_{i-1}), and Z = 1: it adds up to one from the last position to the first.
    The denoiser is evaluated only where log_p is not given; see Energy.
    """
    masked = (y == subtokenizer.mask_id).any(-1)
    with torch.no_grad():
        losses = autoregressive_losses(autoregressive, x, subtokenizer.mask_id)
    if log_p is None:
        log_p = completion_log_prob(denoiser, x, y, t, subtokenizer)
    return (losses * masked).sum(-1) + log_p


def log_weights(energies: Tensor, temperature: float = 1.0) -> Tensor:
    """Logarithms of the shares with which candidates (B, k) of p_theta are resampled: softmax(-E / temperature).

    EDLM's released code takes softmax(+E), which prefers the candidates that the energy says are the least likely.
    """
    return (-energies.double() / temperature).log_softmax(-1)


def log_partition(energies: Tensor) -> Tensor:
    """The estimate of log Z from energies (B, k) of candidates of p_theta: (B,), log of the mean of exp(-E).

    The mean itself is unbiased for Z, so by Jensen's inequality its logarithm is too low in expectation, by less the
    larger k is, and tends to log Z. With k = 1, EDLM's choice, it is -E of a single candidate. A likelihood that
    subtracts it is too high, a perplexity too low.
    """
    return (-energies.double()).logsumexp(-1) - math.log(energies.shape[-1])


def noise_contrastive_loss(of_data: Tensor, of_noise: Tensor) -> Tensor:
    """-log sigmoid(-E(x0)) - log sigmoid(E(x-)) for energies (B,) of data and of candidates of p_theta: (B,).

    Least where exp(-E) is the true posterior over p_theta, for which Z = 1.
    """
    return F.softplus(of_data) + F.softplus(-of_noise)
