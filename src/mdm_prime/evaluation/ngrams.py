"""The models that a network must beat: tokens counted by themselves, behind the one before, or at each position.

A token w in a context c has the probability (n(c, w) + k p(w)) / (n(c) + k), where n counts in the training part. p is
uniform for the unigram model (add-delta smoothing with delta = k / V), and the unigram model for the others
(interpolation with a Dirichlet prior: MacKay and Peto 1995, A hierarchical Dirichlet language model). k maximises the
leave-one-out likelihood of the training part, so that nothing is fitted to what is held out. The likelihood of a
sequence is the product over its positions: exact, no bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.unsignedinteger]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Context = Callable[[Tokens, int], Integers]  # tokens (B, L) and V -> the context of each position (B, L)

CHUNK = 1 << 22  # tokens that are counted at a time: what is counted may be memory-mapped
SMALLEST, LARGEST = 1e-6, 1e9  # between which k is looked for
GOLDEN_RATIO = (5**0.5 - 1) / 2


class Exact(NamedTuple):
    """An exact negative log-likelihood in nats per token, and its standard error over sequences."""

    mean: float
    stderr: float


class Counted(NamedTuple):
    """What follows which context: n(c, w) > 0 in rising order of `codes` c V + w."""

    codes: Integers
    counts: Integers
    vocab_size: int

    def totals(self) -> Integers:
        """n(c), for the contexts up to the largest one."""
        return np.bincount(self.codes // self.vocab_size, weights=self.counts).astype(np.int64)


class ContextModel(NamedTuple):
    """The smoothed probabilities of a context: base (V,) float64 is p, `concentration` k."""

    counted: Counted
    base: Floats
    concentration: float
    context: Context

    def probabilities(self, tokens: Tokens) -> Floats:
        """(B, L) float64 probabilities of tokens (B, L), each given its context."""
        vocab_size, totals = self.counted.vocab_size, np.append(self.counted.totals(), 0)
        contexts, known = self.context(tokens, vocab_size), tokens.astype(np.int64)
        codes = contexts * vocab_size + known
        places = np.minimum(np.searchsorted(self.counted.codes, codes), len(self.counted.codes) - 1)
        found = np.where(self.counted.codes[places] == codes, self.counted.counts[places], 0)
        of_context = totals[np.minimum(contexts, len(totals) - 1)]  # 0 for a context beyond those that occurred
        smoothed: Floats = (found + self.concentration * self.base[known]) / (of_context + self.concentration)
        return smoothed


def nothing(tokens: Tokens, vocab_size: int) -> Integers:
    """One context: the unigram model."""
    return np.zeros(tokens.shape, np.int64)


def previous(tokens: Tokens, vocab_size: int) -> Integers:
    """The token before; V at the beginning of a sequence: the bigram model."""
    found = np.full(tokens.shape, vocab_size, np.int64)
    found[:, 1:] = tokens[:, :-1]
    return found


def position(tokens: Tokens, vocab_size: int) -> Integers:
    """The position itself: independent pixels."""
    return np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)


def exact_likelihood(train: Tokens, heldout: Tokens, vocab_size: int, context: Context) -> Exact:
    """That of heldout (M, L) under the model of a context, counted in train (N, L); both may be memory-mapped.

    The standard error is NaN, unknown, for M = 1.
    """
    values = heldout_losses(train, heldout, vocab_size, context)
    error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return Exact(float(values.mean()), error)


def heldout_losses(train: Tokens, heldout: Tokens, vocab_size: int, context: Context) -> Floats:
    """(M,) float64 negative log-likelihoods of the sequences heldout (M, L), in nats per token."""
    model = fitted(train, vocab_size, context)
    losses = [-np.log(model.probabilities(part)).mean(1) for part in _parts(heldout)]
    return np.concatenate(losses)


def fitted(train: Tokens, vocab_size: int, context: Context) -> ContextModel:
    """Counts and k of a training part (N, L), for every model but the unigram's on top of that one."""
    counted = _count(train, vocab_size, nothing)
    uniform = np.full(vocab_size, 1 / vocab_size)
    unigram = ContextModel(counted, uniform, best_concentration(counted, uniform), nothing)
    if context is nothing:
        return unigram
    base = unigram.probabilities(np.arange(vocab_size, dtype=np.uint64)[None])[0]
    counted = _count(train, vocab_size, context)
    return ContextModel(counted, base, best_concentration(counted, base), context)


def best_concentration(counted: Counted, base: Floats) -> float:
    """The k of the largest leave-one-out likelihood, by golden-section search over log k."""
    tokens = counted.codes % counted.vocab_size
    totals = counted.totals()[counted.codes // counted.vocab_size]

    def likelihood(log_k: float) -> float:
        k = float(np.exp(log_k))
        others = counted.counts - 1 + k * base[tokens]  # of the same token, without the one that is left out
        return float(counted.counts @ (np.log(others) - np.log(totals - 1 + k)))

    low, high = np.log(SMALLEST), np.log(LARGEST)
    left, right = high - GOLDEN_RATIO * (high - low), low + GOLDEN_RATIO * (high - low)
    of_left, of_right = likelihood(left), likelihood(right)
    while high - low > 1e-4:  # relative to k
        if of_left > of_right:
            high, right, of_right = right, left, of_left
            left = high - GOLDEN_RATIO * (high - low)
            of_left = likelihood(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + GOLDEN_RATIO * (high - low)
            of_right = likelihood(right)
    return float(np.exp((low + high) / 2))


def _count(tokens: Tokens, vocab_size: int, context: Context) -> Counted:
    found, waiting = [(np.zeros(0, np.int64), np.zeros(0, np.int64))], 0  # the first is the sum of what came before
    for part in _parts(tokens):
        found.append(np.unique(context(part, vocab_size) * vocab_size + part, return_counts=True))
        waiting += len(found[-1][0])
        if waiting >= len(found[0][0]):  # not at every part: sorting all that was counted takes longer than counting
            found, waiting = [_added(found)], 0
    return Counted(*_added(found), vocab_size)


def _added(found: list[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """Several counts of codes as one."""
    codes, places = np.unique(np.concatenate([codes for codes, _ in found]), return_inverse=True)
    return codes, np.bincount(places, weights=np.concatenate([counts for _, counts in found])).astype(np.int64)


def _parts(tokens: Tokens) -> list[Tokens]:
    rows = max(1, CHUNK // tokens.shape[1])
    return [tokens[start : start + rows] for start in range(0, len(tokens), rows)]
