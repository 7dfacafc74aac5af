"""Which tokens a position can still become, where some of its sub-tokens are visible and b^ell > V."""

from __future__ import annotations

import torch
from torch import Tensor

from mdm_prime.core.objectives import consistent
from mdm_prime.core.subtokens import Subtokenizer


def allowed_tokens(y: Tensor, revealed: Tensor, subtokenizer: Subtokenizer, *, carry_over: bool) -> Tensor:
    """(N, V) bool: the tokens that can be drawn at positions y (N, ell), of which the digits `revealed` are kept.

    With carry-over those that agree with the visible sub-tokens, else those whose digits at `revealed` (N, ell) leave a
    valid code possible.
    """
    if carry_over:
        return consistent(y, subtokenizer.base, subtokenizer.vocab_size)
    return completable(y, revealed, subtokenizer.digits(y.device), subtokenizer)


def completable(y: Tensor, event: Tensor, digits: Tensor, subtokenizer: Subtokenizer) -> Tensor:
    """(N, V) bool: with token c's digits at `event` (N, ell), the position y (N, ell) can still become a valid code.

    Its smallest completion fills the remaining masks with 0. Without this, sub-tokens revealed one after the other
    without carry-over could join to a code >= V.
    """
    smallest = torch.zeros(len(y), len(digits), dtype=torch.long, device=y.device)
    columns = (subtokenizer.place_values(y.device), y.unbind(-1), event.unbind(-1), digits.unbind(-1))
    for place, given, revealed, digit in zip(*columns, strict=True):
        known = given.masked_fill(given == subtokenizer.mask_id, 0)
        smallest += place * torch.where(revealed[:, None], digit, known[:, None])
    return smallest < subtokenizer.vocab_size


def smallest_completion(y: Tensor, subtokenizer: Subtokenizer) -> Tensor:
    """The code (...,) of y (..., ell) with 0 for every mask; where it is >= V, no token has these sub-tokens."""
    return subtokenizer.decode(y.masked_fill(y == subtokenizer.mask_id, 0))
