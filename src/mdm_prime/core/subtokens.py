"""Tokens as base-b sub-tokens: the invertible map f of MDM-Prime (arXiv 2505.18495, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mdm_prime.core.bases import smallest_base


@dataclass(frozen=True)
class Subtokenizer:
    """The map between tokens in {0..V-1} and ell base-b digits, most significant first.

    Attributes:
        vocab_size: V.
        num_subtokens: ell; 1 is a value like any other.
        base: b, the smallest base that holds V codes; it does not count the mask.
    """

    vocab_size: int
    num_subtokens: int
    base: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", smallest_base(self.vocab_size, self.num_subtokens))

    @property
    def mask_id(self) -> int:
        """The sub-token that stands for 'masked': b, one past the last digit."""
        return self.base

    def place_values(self, device: torch.device | str = "cpu") -> Tensor:
        """(ell,) int64: b^(ell-1), ..., b, 1."""
        return self.base ** torch.arange(self.num_subtokens - 1, -1, -1, device=device)

    def encode(self, x: Tensor) -> Tensor:
        """Tokens (...,) int64 to sub-tokens (..., ell) int64."""
        return x.unsqueeze(-1) // self.place_values(x.device) % self.base

    def decode(self, y: Tensor) -> Tensor:
        """Sub-tokens (..., ell) without masks to codes (...,) int64; a code >= V is invalid."""
        return (y * self.place_values(y.device)).sum(-1)

    def digits(self, device: torch.device | str = "cpu") -> Tensor:
        """(V, ell) int64: row c holds the sub-tokens of token c."""
        return self.encode(torch.arange(self.vocab_size, device=device))
