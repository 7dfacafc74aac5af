"""Models that count: probabilities by hand, the fitted constant, and a source whose entropy is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mdm_prime.evaluation import ngrams
from mdm_prime.evaluation.ngrams import Counted, best_concentration, exact_likelihood, fitted, heldout_losses

CONTEXTS = [ngrams.nothing, ngrams.previous, ngrams.position]


def sequences(*rows: list[int]) -> NDArray[np.uint16]:
    return np.array(rows, np.uint16)


def markov(count: int, length: int, transitions: NDArray[np.float64], seed: int) -> NDArray[np.uint16]:
    """Sequences of a stationary chain with two states."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, length), np.uint16)
    stationary = transitions[1, 0] / (transitions[0, 1] + transitions[1, 0])
    x[:, 0] = rng.random(count) > stationary
    for place in range(1, length):
        x[:, place] = rng.random(count) > transitions[x[:, place - 1], 0]
    return x


def test_probabilities_by_hand() -> None:
    """Counts a: 3, b: 1 of four tokens and three values; behind a: twice a, once b; at the beginning: a."""
    unigram = fitted(sequences([0, 0, 0, 1]), 3, ngrams.nothing)
    k = unigram.concentration
    p = (np.array([3, 1, 0]) + k / 3) / (4 + k)
    np.testing.assert_allclose(unigram.probabilities(sequences([0, 1, 2]))[0], p)
    bigram = fitted(sequences([0, 0, 0, 1]), 3, ngrams.previous)
    c = bigram.concentration
    expected = [(1 + c * p[0]) / (1 + c), (1 + c * p[1]) / (3 + c), p[2]]  # nothing was seen behind b
    np.testing.assert_allclose(bigram.probabilities(sequences([0, 1, 2]))[0], expected)
    positions = fitted(sequences([0, 1], [0, 0]), 3, ngrams.position)
    c, q = (
        positions.concentration,
        fitted(sequences([0, 1], [0, 0]), 3, ngrams.nothing).probabilities(sequences([0, 1])),
    )
    found = positions.probabilities(sequences([0, 0], [1, 1]))
    np.testing.assert_allclose(found[0], [(2 + c * q[0, 0]) / (2 + c), (1 + c * q[0, 0]) / (2 + c)])
    np.testing.assert_allclose(found[1], [c * q[0, 1] / (2 + c), (1 + c * q[0, 1]) / (2 + c)])


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_probabilities_of_all_sequences_add_up_to_one(context: ngrams.Context) -> None:
    train = np.random.default_rng(0).integers(0, 3, (5, 3)).astype(np.uint8)  # some contexts do not occur
    every = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3).astype(np.uint8)
    losses = heldout_losses(train, every, 3, context)
    assert np.exp(-3 * losses).sum() == pytest.approx(1.0, abs=1e-12)


def test_a_bigram_of_a_markov_source_has_its_entropy() -> None:
    transitions = np.array([[0.9, 0.1], [0.3, 0.7]])
    train, heldout = markov(4_000, 50, transitions, 0), markov(4_000, 50, transitions, 1)
    stationary = np.array([0.75, 0.25])
    rate = -(stationary[:, None] * transitions * np.log(transitions)).sum()
    first = -(stationary * np.log(stationary)).sum()
    bigram = exact_likelihood(train, heldout, 2, ngrams.previous)
    assert abs(bigram.mean - (first + 49 * rate) / 50) < 4 * bigram.stderr
    assert bigram.stderr < 0.002
    unigram = exact_likelihood(train, heldout, 2, ngrams.nothing)
    assert abs(unigram.mean - first) < 4 * unigram.stderr
    assert unigram.mean > bigram.mean + 0.1


def test_the_constant_has_the_largest_leave_one_out_likelihood() -> None:
    """Written out: each token in turn is taken out of the counts that predict it."""
    train = np.random.default_rng(1).choice(6, (1, 40), p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    counts = np.bincount(train.ravel(), minlength=6)

    def by_hand(k: float) -> float:
        return sum(np.log((counts[token] - 1 + k / 6) / (train.size - 1 + k)) for token in train.ravel())

    found = fitted(train.astype(np.uint8), 6, ngrams.nothing).concentration
    grid = np.geomspace(1e-3, 1e4, 400)
    assert by_hand(found) >= max(by_hand(float(k)) for k in grid) - 1e-9


def test_independent_tokens_leave_nothing_to_the_context() -> None:
    train = np.random.default_rng(2).integers(0, 8, (200, 20)).astype(np.uint8)
    assert fitted(train, 8, ngrams.previous).concentration > 1e3  # all weight on the unigram model
    alone = Counted(np.array([0, 9]), np.array([50, 50]), 8)  # 0 behind 0, 1 behind 1, always
    assert best_concentration(alone, np.full(8, 1 / 8)) < 1.0


def test_the_error_is_over_sequences() -> None:
    train, heldout = sequences([0, 1, 0, 1]), sequences([0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1])
    losses = heldout_losses(train, heldout, 2, ngrams.previous)
    found = exact_likelihood(train, heldout, 2, ngrams.previous)
    assert found.mean == pytest.approx(losses.mean())
    assert found.stderr == pytest.approx(losses.std(ddof=1) / 3**0.5)
    assert np.isnan(exact_likelihood(train, heldout[:1], 2, ngrams.nothing).stderr)


@pytest.mark.parametrize("context", CONTEXTS)
def test_counted_in_parts_as_in_one(context: ngrams.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    train, heldout = (rng.integers(0, 5, (30, 4)).astype(np.uint16) for _ in range(2))
    whole = heldout_losses(train, heldout, 5, context)
    monkeypatch.setattr(ngrams, "CHUNK", 12)
    np.testing.assert_array_equal(heldout_losses(train, heldout, 5, context), whole)
