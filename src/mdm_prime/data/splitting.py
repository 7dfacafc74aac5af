"""Which part of a data set is held out: by a seeded hash of the content, so that equal examples stay together."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def content_hash(content: bytes, seed: int) -> int:
    """0 to 2^64 - 1; another seed, another hash."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=str(seed).encode()).digest(), "little")


def heldout_threshold(hashes: NDArray[Any], fraction: float) -> int:
    """Contents with a hash below it are held out: about `fraction` of the distinct ones, at least one and not all.

    Raises ValueError for fewer than two distinct hashes.
    """
    distinct = np.unique(hashes)
    if len(distinct) < 2:
        raise ValueError("a single content cannot be split")
    return int(distinct[min(max(1, round(fraction * len(distinct))), len(distinct) - 1)])
