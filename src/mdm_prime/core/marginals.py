"""How unlikely single sub-tokens are, given a distribution over tokens.

With tokens seen as a grid, one axis a sub-token, the probability of a sub-token is a sum over a slice of the grid,
1 / b of it. Autograd would give every slice a gradient of the size of the grid; here they are added to one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def digit_losses(log_probs: Tensor, digits: Tensor, wanted: Tensor, sizes: Sequence[int]) -> Tensor:
    """-log of the sum over c with f(c)_j = digits_j of exp(log_probs_c), in nats, 0 where it is not wanted.

    Args:
        log_probs: (N, V), -inf for what is excluded; they need not be normalised.
        digits: (N, ell) int64, each below the size of its axis.
        wanted: (N, ell) bool.
        sizes: of the ell axes of a grid that holds V codes in row-major order; see objectives.grid_sizes.

    Returns:
        (N, ell) in the dtype of log_probs; infinite, with a gradient of 0, where every token of the sum is excluded.

    Raises:
        RuntimeError: from torch, where a second derivative is asked for.
    """
    losses: Tensor = _DigitLosses.apply(log_probs, digits, wanted, sizes)
    return losses


class _DigitLosses(Function):
    """See digit_losses. The gradient of a sum's logarithm is the softmax over what is summed up."""

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, digits: Tensor, wanted: Tensor, sizes: Sequence[int]) -> Tensor:
        ctx.sizes, ctx.vocab_size = sizes, log_probs.shape[-1]
        excluded = torch.finfo(log_probs.dtype).min / 4  # the softmax over -inf alone would be nan
        missing = math.prod(sizes) - ctx.vocab_size
        grid = F.pad(log_probs, (0, missing), value=excluded) if missing else log_probs.contiguous()
        losses, kept = log_probs.new_zeros(digits.shape), list[Tensor]()
        for j, axes in enumerate(_axes(grid, sizes)):
            rows = wanted[:, j].nonzero().squeeze(1)
            digit = digits[rows, j]
            summed = axes[rows, :, digit].flatten(1).clamp_(min=excluded)
            shares = summed.softmax(-1)
            losses[rows, j] = shares.amax(-1).log() - summed.amax(-1)  # of the largest the share is not tiny
            kept += [rows, digit, shares] if ctx.needs_input_grad[0] else []
        impossible = losses >= -excluded / 2
        ctx.save_for_backward(impossible, *kept)
        return losses.masked_fill_(impossible, torch.inf)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of log_probs, (N, V), from that of the losses, (N, ell)."""
        impossible, *kept = ctx.saved_tensors
        gradient = gradient.masked_fill(impossible, 0.0)
        grid = gradient.new_zeros(len(gradient), math.prod(ctx.sizes))
        for j, axes in enumerate(_axes(grid, ctx.sizes)):
            rows, digit, shares = kept[3 * j : 3 * j + 3]
            slices = axes[rows, :, digit]
            axes[rows, :, digit] = slices.sub_((shares * gradient[rows, j, None]).view(slices.shape))
        return grid[:, : ctx.vocab_size], None, None, None


def _axes(grid: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
    """Grid (N, codes) as (N, codes of the axes before, size, codes of the axes behind), for one axis after another."""
    for j, size in enumerate(sizes):
        yield grid.view(len(grid), math.prod(sizes[:j]), size, math.prod(sizes[j + 1 :]))
