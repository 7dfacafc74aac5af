"""How far images are from the training images: a copy is found whatever the features say."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEMORISED_BELOW = 0.01  # of the pixel range


def nearest_distances(
    images: NDArray[np.unsignedinteger],
    train: NDArray[np.unsignedinteger],
    vocab_size: int,
    device: torch.device | str = "cpu",
    chunk: int = 1024,
) -> NDArray[np.float64]:
    """Root-mean-square difference of each image to the nearest training image, as a share of the pixel range V - 1.

    The squared distances are sums of integers below 2**53, so float64 has them exactly, in any order: a copy is at
    distance 0, and neither `chunk` nor the device changes a result.

    Args:
        images: (N, L) pixel values 0..V-1.
        train: (M, L), may be memory-mapped; at least one image.
        vocab_size: V.
        device: where to compute.
        chunk: images of either set in memory at a time.

    Returns:
        (N,) in 0..1.
    """
    found = [_nearest(_doubles(images, start, chunk, device), train, chunk) for start in range(0, len(images), chunk)]
    largest = math.sqrt(images.shape[1]) * (vocab_size - 1)
    return np.concatenate(found) / largest


def memorised(distances: NDArray[np.float64]) -> float:
    """Share of images whose nearest training image is closer than 1 % of the pixel range."""
    return float((distances < MEMORISED_BELOW).mean())


def _nearest(x: Tensor, train: NDArray[np.unsignedinteger], chunk: int) -> NDArray[np.float64]:
    """Euclidean distance (n,) of x (n, L) float64 to the nearest of `train`."""
    nearest = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    for start in range(0, len(train), chunk):
        distances = torch.cdist(
            x, _doubles(train, start, chunk, x.device), compute_mode="use_mm_for_euclid_dist"
        )  # |x|^2 - 2 x.y + |y|^2, exact for integers
        nearest = torch.minimum(nearest, distances.amin(dim=1))
    found: NDArray[np.float64] = nearest.cpu().numpy()
    return found


def _doubles(pixels: NDArray[np.unsignedinteger], start: int, chunk: int, device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.array(pixels[start : start + chunk])).to(device).double()
