"""The poorest model of images: every pixel right by itself, nothing right together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def independent_pixels(train: NDArray[np.unsignedinteger], count: int, seed: int) -> NDArray[np.unsignedinteger]:
    """Images (count, L) whose pixel channels are drawn independently, each from its own histogram over train (M, L).

    The pixel channel of a training image drawn at random has that histogram. `train` may be memory-mapped.
    """
    rng = np.random.default_rng(seed)
    num_images, length = train.shape
    return np.stack([train[rng.integers(num_images, size=length), np.arange(length)] for _ in range(count)])
