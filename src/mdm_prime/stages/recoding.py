"""Between the tokens of a data set and those that a run's network sees: super-tokens, or a permutation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdm_prime.core.super_tokens import from_super_tokens, to_super_tokens
from mdm_prime.data import arrays
from mdm_prime.data.permutation import permutation
from mdm_prime.experiment.runs import Run


def recoded(run: Run, x: Tensor) -> Tensor:
    """What the network sees, (..., run.length) int64, of stored tokens x (..., run.data.length) int64."""
    if run.permutation is not None:
        x = _numbers(run.vocab_size, run.permutation, x.device)[x]
    return to_super_tokens(x) if run.super_tokens else x


def restored(run: Run, x: Tensor) -> Tensor:
    """The inverse of recoded."""
    x = from_super_tokens(x) if run.super_tokens else x
    if run.permutation is not None:
        x = _numbers(run.vocab_size, run.permutation, x.device).argsort()[x]
    return x


def tokens_of(run: Run, stored: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """The tokens (N, run.length) that the network sees of stored tokens (N, run.data.length)."""
    if not run.super_tokens and run.permutation is None:
        return stored  # which may be memory-mapped
    x = recoded(run, torch.from_numpy(np.asarray(stored, dtype=np.int64)))
    return x.numpy().astype(arrays.token_dtype(run.vocab_size))


def as_stored(run: Run, x: Tensor) -> NDArray[np.unsignedinteger]:
    """Tokens x (N, run.length) of a network as the data has them: (N, L), pixels for super-tokens."""
    return restored(run, x).numpy().astype(arrays.token_dtype(run.data.vocab_size))


@lru_cache(maxsize=8)  # every training step asks
def _numbers(vocab_size: int, seed: int, device: torch.device) -> Tensor:
    return torch.from_numpy(permutation(vocab_size, seed)).to(device)
