"""The estimate of exact likelihoods on held-out sequences of a source that is known."""

import numpy as np
import pytest
import torch

from enumeration import entropy, random_denoiser, random_joint
from mdm_prime.core import schedules
from mdm_prime.core.orders import ORDERS
from mdm_prime.core.revealing import sequence_log_prob
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.exact import exact_likelihood
from mdm_prime.evaluation.likelihood import FEWEST

CPU = torch.device("cpu")
SUBTOKENS = Subtokenizer(5, 2)  # with invalid codes


def estimate(denoiser, tokens, order, **changes):
    options = {"carry_over": True, "num_sequences": 2000, "batch_size": 500, "seed": 0, "device": CPU} | changes
    tokens = np.asarray(tokens, dtype=np.uint16)
    return exact_likelihood(denoiser, tokens, ORDERS[order], SUBTOKENS, schedules.linear(), **options)


@pytest.fixture(scope="module")
def source():
    x, p = random_joint(5, 2, seed=1)
    held_out = x[np.random.default_rng(0).choice(len(x), 2000, p=p.numpy())]
    return x, p, held_out


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_sequences_say_what_enumeration_says(source, seed):
    """Of every order; which is the best one, too; and none is below the entropy."""
    x, p, held_out = source
    denoiser = random_denoiser(SUBTOKENS, 2, seed=seed, scale=0.5)
    found, expected = {}, {}
    for name, order in ORDERS.items():
        found[name] = estimate(denoiser, held_out, name)
        log_probs = sequence_log_prob(denoiser, x, order, SUBTOKENS, schedules.linear(), carry_over=True)
        expected[name] = -float(p @ log_probs) / 2
        value = found[name].nelbo
        assert abs(value.mean - expected[name]) < 4 * value.stderr
        assert expected[name] > entropy(p) / 2
        assert value.mean > entropy(p) / 2 - 3 * value.stderr
        assert 0 < value.stderr < 0.05
        assert found[name].joint_loss == value
    best = min(expected, key=expected.get)
    assert min(found, key=lambda name: found[name].nelbo.mean) == best
    assert max(expected.values()) - expected[best] > 0.01  # the orders do differ


@pytest.mark.parametrize("order", ["left_to_right", "lowest_entropy"])
def test_the_batch_size_changes_nothing(source, order):
    denoiser = random_denoiser(SUBTOKENS, 2)
    whole = estimate(denoiser, source[2], order, num_sequences=50)
    for size in (1, 7, 50):
        found = estimate(denoiser, source[2], order, num_sequences=50, batch_size=size)
        assert found.nelbo == pytest.approx(whole.nelbo, rel=1e-12)


def test_the_seed_chooses_the_sequences_and_the_order_does_not():
    """One sub-token is still masked in the last step: what is visible tells the sequences."""
    tokens = np.stack(np.divmod(np.arange(25), 5), 1)
    seen = {}
    for order in ("left_to_right", "left_to_right_tokens"):
        for seed in (0, 1):
            rows = []

            def network(y, t, where, rows=rows):
                rows.append(y[:, 0])
                return torch.zeros(int(where.sum()), 5)

            assert estimate(network, tokens, order, num_sequences=9, seed=seed).num_samples == 9
            seen[order, seed] = SUBTOKENS.decode(rows[-1]).tolist()
    for seed in (0, 1):
        assert seen["left_to_right", seed] == seen["left_to_right_tokens", seed]
    assert seen["left_to_right", 0] != seen["left_to_right", 1]


def test_no_sequence_is_used_twice():
    tokens = np.stack(np.divmod(np.arange(20), 5), 1)
    found = estimate(random_denoiser(SUBTOKENS, 2), tokens, "left_to_right", num_sequences=1000)
    log_probs = sequence_log_prob(
        random_denoiser(SUBTOKENS, 2), torch.from_numpy(tokens), ORDERS["left_to_right"], SUBTOKENS,
        schedules.linear(), carry_over=True,
    )  # fmt: skip
    assert found.num_samples == 20
    assert found.nelbo.mean == pytest.approx(-float(log_probs.mean()) / 2, rel=1e-12)
    assert found.nelbo.stderr == pytest.approx(float(log_probs.std()) / 20**0.5 / 2, rel=1e-12)


def test_the_error_of_few_sequences_is_unknown(source):
    few = estimate(random_denoiser(SUBTOKENS, 2), source[2], "random", num_sequences=FEWEST - 1)
    assert np.isnan(few.nelbo.stderr)
