"""What every sampler returns, and what it tells on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Record = Callable[[float, Tensor], None]  # is given t and the sub-tokens (B, L, ell) at that time, to be copied if kept


class Samples(NamedTuple):
    """Tokens x (B, L) int64; network evaluations nfe (B,) int64 of each sample."""

    x: Tensor
    nfe: Tensor
