"""What both objectives are in expectation, by going through every sequence and every mask."""

import math

import numpy as np
import pytest
import torch

from enumeration import (
    all_masks,
    all_sequences,
    entropy,
    expected_losses,
    posterior_denoiser,
    random_denoiser,
    random_joint,
)
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.data.known_entropy import MarkovSource, entropy_per_token
from mdm_prime.evaluation.oracle import oracle_denoiser


def random_tokens(num, length, vocab_size, seed=0):
    return torch.randint(0, vocab_size, (num, length), generator=torch.Generator().manual_seed(seed))


def uniform_denoiser(vocab_size):
    return lambda y, t, where: torch.zeros(int(where.sum()), vocab_size, dtype=torch.float64)


@pytest.mark.parametrize(("base", "ell", "length"), [(5, 1, 3), (2, 3, 2), (3, 2, 3), (2, 1, 1)])
def test_uniform_logits_give_the_analytic_losses_where_all_codes_are_valid(base, ell, length):
    """nelbo = L log V. The published loss of a position is log b times the mean number of its masked digits, weighted:
    sum over r of C(ell, r) r Beta(r, ell - r + 1) = 1 for every digit count, so log b for each position."""
    subtokenizer = Subtokenizer(base**ell, ell)
    x = random_tokens(1, length, base**ell)
    joint, marginal = expected_losses(uniform_denoiser(base**ell), x, torch.ones(1), subtokenizer)
    assert marginal == pytest.approx(length * ell * math.log(base), rel=1e-12)
    assert joint == pytest.approx(
        length * math.log(base) * sum(math.comb(ell, r) * r / (r * math.comb(ell, r)) for r in range(1, ell + 1))
    )
    assert joint == pytest.approx(marginal, rel=1e-12)  # digits are independent of each other


@pytest.mark.parametrize(("vocab_size", "ell", "length"), [(5, 2, 2), (5, 3, 2), (3, 2, 3)])
def test_uniform_logits_give_the_analytic_joint_loss_where_some_codes_are_invalid(vocab_size, ell, length):
    """-log p(x_i | y) = log of how many tokens agree; a set of r of a position's own digits has weight 1/(r C(ell, r)),
    whatever the other positions do."""
    subtokenizer = Subtokenizer(vocab_size, ell)
    digits = subtokenizer.digits()
    x = random_tokens(1, length, vocab_size, seed=3)
    masks, weights = all_masks(1, ell)
    expected = 0.0
    for token in x[0]:
        for mask, weight in zip(masks[:, 0], weights.tolist(), strict=True):
            agree = int(((digits == digits[token]) | mask).all(-1).sum())
            expected += weight * math.log(agree)
    joint, marginal = expected_losses(uniform_denoiser(vocab_size), x, torch.ones(1), subtokenizer)
    assert joint == pytest.approx(expected, rel=1e-12)
    assert marginal != pytest.approx(joint, rel=1e-3)


@pytest.mark.parametrize(
    ("vocab_size", "length", "ell"), [(4, 2, 1), (4, 2, 2), (5, 2, 2), (6, 1, 3), (8, 1, 3), (2, 3, 1)]
)
def test_at_the_true_posterior_the_bound_is_the_entropy_and_the_published_loss_lies_below(vocab_size, length, ell):
    x, p = random_joint(vocab_size, length)
    subtokenizer = Subtokenizer(vocab_size, ell)
    joint, marginal = expected_losses(posterior_denoiser(x, p, subtokenizer), x, p, subtokenizer)
    assert marginal == pytest.approx(entropy(p), abs=1e-10)
    if ell == 1:
        assert joint == pytest.approx(entropy(p), abs=1e-10)
    else:
        assert joint < entropy(p) - 1e-3


@pytest.mark.parametrize(("vocab_size", "length", "ell"), [(5, 3, 1), (5, 2, 2), (4, 3, 2)])
def test_a_markov_source_is_no_exception(vocab_size, length, ell):
    rng = np.random.default_rng(0)
    source = MarkovSource(rng.dirichlet(np.ones(vocab_size)), rng.dirichlet(np.ones(vocab_size), vocab_size), length)
    x = all_sequences(vocab_size, length)
    p = torch.from_numpy(source.initial)[x[:, 0]]
    for i in range(1, length):
        p = p * torch.from_numpy(source.transition)[x[:, i - 1], x[:, i]]
    subtokenizer = Subtokenizer(vocab_size, ell)
    joint, marginal = expected_losses(oracle_denoiser(source, subtokenizer), x, p, subtokenizer)
    assert marginal == pytest.approx(length * entropy_per_token(source), abs=1e-6)
    if ell == 1:
        assert joint == pytest.approx(marginal, abs=1e-10)
    else:
        assert joint < length * entropy_per_token(source)


@pytest.mark.parametrize("ell", [1, 2, 3, 4])
def test_copies_of_one_bit(ell):
    x, p = torch.tensor([[0], [2**ell - 1]]), torch.tensor([0.5, 0.5], dtype=torch.float64)
    subtokenizer = Subtokenizer(2**ell, ell)
    joint, marginal = expected_losses(posterior_denoiser(x, p, subtokenizer), x, p, subtokenizer)
    assert marginal == pytest.approx(math.log(2), rel=1e-12)
    assert joint == pytest.approx(math.log(2) / ell, rel=1e-12)


@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("vocab_size", "length", "ell"), [(5, 2, 2), (4, 2, 2), (6, 1, 3)])
def test_the_bound_is_one_for_any_network(vocab_size, length, ell, seed, carry_over):
    """The process on digits is an ordinary masked diffusion, so nelbo >= cross-entropy of its samples >= entropy."""
    x, p = random_joint(vocab_size, length, seed)
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = random_denoiser(subtokenizer, length, seed, scale=0.3)
    assert expected_losses(denoiser, x, p, subtokenizer, carry_over)[1] > entropy(p)
