"""The terms of the two objectives: the published loss, and the bound on the likelihood.

`joint_loss` scores every token by the joint log-probability of its sub-tokens (the paper's objective). For more than
one sub-token it is not a bound on the likelihood. `nelbo` scores every masked sub-token by its own marginal and is a
bound for any network. A denoiser is a callable `denoiser(y, t, where) -> logits` with y (B, L, ell) int64,
t (B,) and where (B, L) bool; it returns (N, V) logits for the N positions with `where`, in row-major order. One that
hands out its last hidden states as well (HeadedDenoiser) spares its losses the logits of all positions at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdm_prime.core.bases import grid_sizes
from mdm_prime.core.chunks import Group, Terms, in_chunks
from mdm_prime.core.marginals import digit_losses
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.visible_digits import Positions, by_visible_digit, positions_of


class Denoiser(Protocol):
    """Anything that turns partially masked sub-tokens into logits over tokens."""

    def __call__(self, y: Tensor, t: Tensor, where: Tensor) -> Tensor:
        """Maps y (B, L, ell) int64, t (B,) float and where (B, L) bool to logits (N, V)."""
        ...


class HeadedDenoiser(Protocol):
    """A denoiser whose logits are a linear layer of hidden states; having `logits_layer` is what tells it apart."""

    @property
    def logits_layer(self) -> nn.Linear:
        """From D features to V logits."""
        ...

    def __call__(self, y: Tensor, t: Tensor, where: Tensor, *, hidden: bool = False) -> Tensor:
        """As a Denoiser; with `hidden` what logits_layer is given instead of what it returns, (N, D)."""
        ...


class Losses(NamedTuple):
    """Unweighted sums over a sequence, in nats, (B,) each."""

    joint: Tensor  # sum over i of -log p(x_i | y_t)
    marginal: Tensor  # sum over masked (i, j) of -log p(y^{ij} | y_t)


def token_log_probs(logits: Tensor, y: Tensor, base: int, carry_over: bool) -> Tensor:
    """Log p(x_i = c | y_t), normalised over the tokens that the visible sub-tokens allow.

    Args:
        logits: (N, V).
        y: (N, ell) sub-tokens of those positions; the mask is b.
        base: b.
        carry_over: whether tokens that disagree with a visible sub-token are excluded (MDM-Prime, section 3.3).

    Returns:
        (N, V) in at least float32; -inf for an excluded token.
    """
    logits = at_least_float32(logits)
    if carry_over:
        logits = logits.masked_fill(~consistent(y, base, logits.shape[-1]), -torch.inf)
    return logits.log_softmax(-1)


def consistent(y: Tensor, base: int, vocab_size: int) -> Tensor:
    """(N, V) bool: token c agrees with every visible sub-token of y (N, ell).

    Tokens seen as a grid, one axis a sub-token, the agreement is an outer product over the axes.
    """
    allowed = torch.ones(len(y), 1, dtype=torch.bool, device=y.device)
    for digit, size in zip(y.unsqueeze(-1).unbind(-2), grid_sizes(base, y.shape[-1], vocab_size), strict=True):
        agrees = (digit == torch.arange(size, device=y.device)) | (digit == base)
        allowed = (allowed.unsqueeze(-1) & agrees.unsqueeze(-2)).flatten(1)
    return allowed[:, :vocab_size]


def true_token_loss(log_probs: Tensor, x: Tensor) -> Tensor:
    """-log p(x_i | y_t) for log_probs (N, V) and tokens x (N,); returns (N,)."""
    return -log_probs.gather(-1, x[:, None]).squeeze(-1)


def true_subtoken_losses(log_probs: Tensor, y: Tensor, y_clean: Tensor, base: int) -> Tensor:
    """-log p(y^{ij} | y_t) for each masked sub-token, 0 for a visible one.

    Args:
        log_probs: (N, V).
        y: (N, ell) noised sub-tokens; the mask is b.
        y_clean: (N, ell) sub-tokens of the true token.
        base: b.

    Returns:
        (N, ell); infinite where no possible token has the true sub-token.
    """
    return digit_losses(log_probs, y_clean, y == base, grid_sizes(base, y.shape[-1], log_probs.shape[-1]))


def autoregressive_loss(network: Denoiser, x: Tensor, start_id: int) -> Tensor:
    """-log p(x) of a causal network in nats, (B,), for tokens x (B, L): exact, since position i sees tokens < i only.

    `start_id` stands before the first token; the mask's embedding serves for it.
    """
    return autoregressive_losses(network, x, start_id).sum(-1)


def autoregressive_losses(network: Denoiser, x: Tensor, start_id: int) -> Tensor:
    """-log p(x_i | x_1, ..., x_{i-1}) of every token of x (B, L), in nats: (B, L); see autoregressive_loss."""

    def terms(logits: Tensor, at: slice) -> Tensor:
        return F.cross_entropy(at_least_float32(logits), x.flatten()[at], reduction="none")

    everywhere = torch.ones_like(x, dtype=torch.bool)
    times = torch.zeros(len(x), device=x.device)
    return of_logits(network, shifted(x, start_id)[..., None], times, everywhere, terms).view_as(x)


def shifted(x: Tensor, start_id: int) -> Tensor:
    """Tokens (B, L) moved one to the right, start_id first: what a causal network reads."""
    return F.pad(x[:, :-1], (1, 0), value=start_id)


def sequence_losses(
    denoiser: Denoiser,
    x: Tensor,
    y: Tensor,
    t: Tensor,
    subtokenizer: Subtokenizer,
    *,
    carry_over: bool,
    joint: bool = True,
    marginal: bool = True,
) -> Losses:
    """Both sums, without their weight w(t), for tokens x (B, L) and noised sub-tokens y (B, L, ell).

    Logits are asked for only where a term can differ from zero: at positions with a masked sub-token, and, for the
    published loss without carry-over, everywhere (it also scores positions whose sub-tokens are all visible).
    A sum that is not asked for is returned as zeros.
    """
    masked = (y == subtokenizer.mask_id).any(-1)
    where = masked if carry_over or not joint else torch.ones_like(masked)
    of_group = partial(_both_losses, base=subtokenizer.base, carry_over=carry_over, joint=joint, marginal=marginal)
    found = of_positions(denoiser, x, y, t, where, subtokenizer, of_group, carry_over=carry_over)
    return Losses(*(found.new_zeros(x.shape).masked_scatter(where, losses).sum(-1) for losses in found))


def _both_losses(
    positions: Positions, logits: Tensor, at: slice, *, base: int, carry_over: bool, joint: bool, marginal: bool
) -> Tensor:
    """Both losses, (2, M), of some positions by their logits (M, V')."""
    states = positions.states[at]
    log_probs = token_log_probs(logits, states, base, carry_over)
    losses = [log_probs.new_zeros(len(log_probs))] * 2
    if joint:
        losses[0] = true_token_loss(log_probs, positions.tokens[at])
    if marginal:
        losses[1] = true_subtoken_losses(log_probs, states, positions.clean[at], base).sum(-1)
    return torch.stack(losses)


def of_positions(
    denoiser: Denoiser,
    x: Tensor,
    y: Tensor,
    t: Tensor,
    where: Tensor,
    subtokenizer: Subtokenizer,
    terms: Callable[[Positions, Tensor, slice], Tensor],
    *,
    carry_over: bool,
    read: Tensor | None = None,
) -> Tensor:
    """What terms makes of a denoiser's logits, (..., N), for tokens x (B, L) and noised sub-tokens y (B, L, ell).

    With carry-over terms is asked about positions that show the same digit together and given the logits of the tokens
    that have it, if the denoiser hands out its head. Gradients reach the denoiser and `read`, which terms may read.
    """
    everything = positions_of(x, y, where, subtokenizer)
    spares = carry_over and head_of(denoiser) is not None  # without a head all logits are there anyway
    groups = by_visible_digit(everything, subtokenizer) if spares else [everything]
    return _of_groups(denoiser, y, t, where, [Group(partial(terms, each), each.at, each.rows) for each in groups], read)


def of_logits(denoiser: Denoiser, y: Tensor, t: Tensor, where: Tensor, terms: Terms) -> Tensor:
    """What terms makes of a denoiser's logits of all tokens, (..., N); gradients reach the denoiser."""
    return _of_groups(denoiser, y, t, where, [Group(terms)])


def _of_groups(
    denoiser: Denoiser, y: Tensor, t: Tensor, where: Tensor, groups: Sequence[Group], read: Tensor | None = None
) -> Tensor:
    """Without the logits of all positions at once where the denoiser hands out its head; several groups need it."""
    layer = head_of(denoiser)
    if layer is None:
        return in_chunks(denoiser(y, t, where), None, None, groups, read)
    states = cast(HeadedDenoiser, denoiser)(y, t, where, hidden=True)
    return in_chunks(states, layer.weight, layer.bias, groups, read)


def head_of(denoiser: Denoiser) -> nn.Linear | None:
    """The layer that gives a denoiser's logits, where it hands it out."""
    layer: nn.Linear | None = getattr(denoiser, "logits_layer", None)
    return layer


def at_least_float32(logits: Tensor) -> Tensor:
    """Bfloat16 has three digits: too few for a loss."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
