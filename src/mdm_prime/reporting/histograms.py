"""How far a cloud of 2-D samples is from the density that it should follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOOR_DRAWS = 20

Histogram = NDArray[np.float64]


def coarsen(density: NDArray[np.floating], bins: int) -> Histogram:
    """Sums a (V, V) density into (bins, bins), bins = min(bins, V), and normalises it."""
    vocab_size = len(density)
    edges = bin_of(np.arange(vocab_size), vocab_size, bins)
    coarse: Histogram = np.zeros((min(bins, vocab_size),) * 2)
    np.add.at(coarse, (edges[:, None], edges[None, :]), density)
    coarse /= coarse.sum()
    return coarse


def histogram(samples: NDArray[np.integer], vocab_size: int, bins: int) -> Histogram:
    """Share of the samples (N, 2), values in {0..V-1}, in each of (bins, bins) bins; the first token is the row."""
    size = min(bins, vocab_size)
    rows, columns = bin_of(samples[:, 0], vocab_size, bins), bin_of(samples[:, 1], vocab_size, bins)
    counts = np.bincount(rows * size + columns, minlength=size * size)
    return counts.reshape(size, size) / len(samples)


def bin_of(values: NDArray[np.integer], vocab_size: int, bins: int) -> NDArray[np.int64]:
    """The bin of each value: V values in min(bins, V) runs whose lengths differ by one at most."""
    return values.astype(np.int64) * min(bins, vocab_size) // vocab_size


def total_variation(p: Histogram, q: Histogram) -> float:
    """Half the sum of |p - q|: 0 for equal distributions, 1 for disjoint ones."""
    return float(0.5 * np.abs(p - q).sum())


def total_variation_floor(density: Histogram, num_samples: int, seed: int = 0) -> float:
    """The distance that `num_samples` exact draws from the density keep to it, averaged over several such sets."""
    generator = np.random.default_rng(seed)
    flat = density.ravel() / density.sum()
    draws = generator.multinomial(num_samples, flat, size=FLOOR_DRAWS) / num_samples
    return float(0.5 * np.abs(draws - flat).sum(axis=1).mean())
