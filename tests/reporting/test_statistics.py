"""Closed forms and distances, against brute force and by hand."""

from itertools import product

import numpy as np
import pytest

from mdm_prime.reporting.histograms import coarsen, histogram, total_variation, total_variation_floor
from mdm_prime.reporting.loading import over_seeds
from mdm_prime.reporting.occupancy import expected_idle_steps, idle_steps_std


@pytest.mark.parametrize(("num_steps", "length", "num_subtokens"), [(1, 1, 1), (2, 3, 1), (3, 2, 2), (4, 1, 3)])
def test_occupancy_against_enumeration(num_steps: int, length: int, num_subtokens: int) -> None:
    counts = [num_steps - len(set(steps)) for steps in product(range(num_steps), repeat=length * num_subtokens)]
    assert expected_idle_steps(num_steps, length, num_subtokens) == pytest.approx(np.mean(counts))
    assert idle_steps_std(num_steps, length, num_subtokens) == pytest.approx(np.std(counts), abs=1e-9)


def test_total_variation_by_hand() -> None:
    density = np.array([[0.5, 0.25], [0.25, 0.0]])
    samples = np.array([[0, 0], [0, 0], [0, 1], [1, 1]], dtype=np.uint16)
    shares = histogram(samples, 2, 32)
    assert shares.tolist() == [[0.5, 0.25], [0.0, 0.25]]
    assert total_variation(shares, density) == 0.25
    assert total_variation(density, density) == 0.0


def test_first_token_is_the_row() -> None:
    assert histogram(np.array([[1, 0]]), 2, 2).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("vocab_size", [4, 6, 7])
def test_histogram_and_density_share_their_bins(vocab_size: int) -> None:
    cells = np.array(list(product(range(vocab_size), repeat=2)), dtype=np.uint16)
    uniform = np.full((vocab_size, vocab_size), 1 / vocab_size**2)
    np.testing.assert_allclose(histogram(cells, vocab_size, 4), coarsen(uniform, 4))
    assert coarsen(uniform, 4).shape == (4, 4)


def test_floor_is_what_exact_draws_keep() -> None:
    density = np.random.default_rng(1).dirichlet(np.ones(64)).reshape(8, 8)
    draws = np.random.default_rng(2).choice(64, size=2_000, p=density.ravel())
    distance = total_variation(np.bincount(draws, minlength=64).reshape(8, 8) / 2_000, density)
    floor = total_variation_floor(density, 2_000)
    assert floor == pytest.approx(distance, rel=0.25)
    assert floor == total_variation_floor(density, 2_000)
    assert total_variation_floor(density, 200_000) < floor / 5


def test_over_seeds() -> None:
    result = over_seeds([{"x": x, "x_stderr": stderr} for x, stderr in ((1.0, 0.1), (2.0, 0.2), (6.0, 0.3))], ["x"])
    assert result == pytest.approx({"x": 3.0, "x_stderr": 0.2, "x_spread": np.sqrt(7)})
