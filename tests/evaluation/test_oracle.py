import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mdm_prime.core.objectives import sequence_losses
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.data.known_entropy import KnownEntropyData, MarkovSource, entropy_per_token, make_source
from mdm_prime.evaluation import oracle
from mdm_prime.experiment import config

DEFAULT = Path(__file__).parents[2] / "params" / "default.yaml"


def source_of(vocab_size, length, seed=0, concentration=0.5):
    return make_source(
        KnownEntropyData(
            kind="known_entropy",
            vocab_size=vocab_size,
            length=length,
            concentration=concentration,
            train_sequences=1,
            heldout_sequences=1,
            seed=seed,
        )
    )


def all_sequences(source):
    x = torch.tensor(list(itertools.product(range(source.vocab_size), repeat=source.length)))
    p = torch.from_numpy(source.initial)[x[:, 0]]
    for i in range(1, source.length):
        p = p * torch.from_numpy(source.transition)[x[:, i - 1], x[:, i]]
    return x, p


def all_states(source, subtokenizer):
    symbols = range(subtokenizer.base + 1)
    n = source.length * subtokenizer.num_subtokens
    states = torch.tensor(list(itertools.product(symbols, repeat=n)))
    return states.view(-1, source.length, subtokenizer.num_subtokens)


@pytest.mark.parametrize(("vocab_size", "length", "ell"), [(5, 3, 1), (5, 3, 2), (6, 2, 3), (2, 4, 1), (7, 1, 3)])
def test_posterior_is_that_of_all_sequences_in_every_state(vocab_size, length, ell):
    source, subtokenizer = source_of(vocab_size, length), Subtokenizer(vocab_size, ell)
    x, p = all_sequences(source)
    y = all_states(source, subtokenizer)
    visible = (y != subtokenizer.mask_id)[:, None]
    agrees = ((y[:, None] == subtokenizer.encode(x)) | ~visible).all(-1).all(-1)
    evidence = agrees.double() @ p
    joint = agrees * p
    token_is = torch.nn.functional.one_hot(x, vocab_size).double()
    expected = torch.einsum("sx,xlv->slv", joint, token_is) / evidence.clamp(min=1e-300)[:, None, None]

    probabilities, log_evidence = oracle.posterior_and_evidence(source, y, subtokenizer)
    torch.testing.assert_close(probabilities, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(log_evidence.exp(), evidence, atol=1e-14, rtol=1e-12)
    assert torch.isneginf(log_evidence[evidence == 0]).all()
    possible = evidence > 0
    torch.testing.assert_close(probabilities[possible].sum(-1), torch.ones(int(possible.sum()), length).double())


def test_invalid_codes_have_no_probability():
    source, subtokenizer = source_of(5, 2), Subtokenizer(5, 2)  # base 3: the codes 5 to 8 are invalid
    mask = subtokenizer.mask_id
    states = torch.tensor([[[1, 2], [mask, mask]], [[2, mask], [0, 0]], [[mask, 2], [mask, mask]]])
    probabilities, log_evidence = oracle.posterior_and_evidence(source, states, subtokenizer)
    assert torch.isneginf(log_evidence[:2]).all()
    assert (probabilities[:2] == 0).all()
    assert probabilities[2, 0, 2] == pytest.approx(1.0)  # 02 is the only valid code that ends in 2


def test_long_sequences_do_not_underflow():
    source, subtokenizer = source_of(4, 3000), Subtokenizer(4, 2)
    everything_masked = torch.full((1, 3000, 2), subtokenizer.mask_id)
    probabilities, log_evidence = oracle.posterior_and_evidence(source, everything_masked, subtokenizer)
    assert log_evidence.item() == pytest.approx(0.0, abs=1e-9)
    expected = torch.from_numpy(source.initial).expand(1, 3000, -1)
    torch.testing.assert_close(probabilities, expected, atol=1e-9, rtol=0)

    x = torch.ones(1, 3000, dtype=torch.int64)
    _, log_evidence = oracle.posterior_and_evidence(source, subtokenizer.encode(x), subtokenizer)
    expected_log = math.log(source.initial[1]) + 2999 * math.log(source.transition[1, 1])
    assert expected_log < -1000  # far below the smallest float64
    assert log_evidence.item() == pytest.approx(expected_log, rel=1e-10)


def test_denoiser_gives_log_posterior_where_asked_in_row_major_order():
    source, subtokenizer = source_of(5, 3), Subtokenizer(5, 2)
    y = torch.tensor([[[0, 1], [3, 3], [3, 0]], [[3, 3], [0, 3], [1, 1]]])
    where = torch.tensor([[False, True, True], [True, False, True]])
    logits = oracle.oracle_denoiser(source, subtokenizer)(y, torch.rand(2), where)
    probabilities, _ = oracle.posterior_and_evidence(source, y, subtokenizer)
    expected = torch.stack([probabilities[0, 1], probabilities[0, 2], probabilities[1, 0], probabilities[1, 2]])
    assert logits.dtype == torch.float64
    torch.testing.assert_close(logits.exp(), expected)
    assert torch.equal(torch.isneginf(logits), expected == 0)


def test_denoiser_refuses_impossible_sub_tokens():
    source, subtokenizer = source_of(5, 1), Subtokenizer(5, 2)
    with pytest.raises(ValueError, match="cannot produce"):
        oracle.oracle_denoiser(source, subtokenizer)(
            torch.tensor([[[2, 2]]]), torch.rand(1), torch.ones(1, 1, dtype=torch.bool)
        )


@pytest.mark.parametrize(("vocab_size", "length", "ell"), [(5, 3, 1), (5, 3, 2), (8, 2, 3), (3, 4, 2), (16, 2, 4)])
def test_bound_is_the_entropy_and_joint_loss_is_below_it(vocab_size, length, ell):
    source = source_of(vocab_size, length, seed=ell)
    joint_loss, nelbo = oracle.enumerated(source, Subtokenizer(vocab_size, ell))
    entropy = entropy_per_token(source)
    assert nelbo == pytest.approx(entropy, abs=1e-12)
    if ell == 1:
        assert joint_loss == pytest.approx(entropy, abs=1e-12)
    else:
        assert joint_loss < 0.98 * entropy


def test_joint_loss_is_the_entropy_when_digits_are_independent():
    first, second = np.array([0.9, 0.1]), np.array([0.3, 0.7])
    initial = np.outer(first, second).ravel()
    source = MarkovSource(initial, np.tile(initial, (4, 1)), length=2)
    joint_loss, nelbo = oracle.enumerated(source, Subtokenizer(4, 2))
    assert nelbo == pytest.approx(entropy_per_token(source), abs=1e-12)
    # H(X_i | y) is the sum of the entropies of its masked digits
    assert joint_loss == pytest.approx(entropy_per_token(source), abs=1e-12)


def test_enumeration_is_the_expectation_of_the_training_losses():
    """The losses of every sequence and every mask under the oracle denoiser, weighted by hand."""
    source, subtokenizer = source_of(5, 2), Subtokenizer(5, 2)
    x, p = all_sequences(source)
    n = 4
    joint_loss = nelbo = 0.0
    denoiser = oracle.oracle_denoiser(source, subtokenizer)
    x, p = x[p > 0], p[p > 0]
    for mask in itertools.product([False, True], repeat=n):
        k = sum(mask)
        if k:
            y = subtokenizer.encode(x).masked_fill(torch.tensor(mask).view(2, 2), subtokenizer.mask_id)
            losses = sequence_losses(denoiser, x, y, torch.ones(len(x)), subtokenizer, carry_over=True)
            weight = p / (k * math.comb(n, k)) / source.length
            joint_loss += float(weight @ losses.joint)
            nelbo += float(weight @ losses.marginal)
    assert oracle.enumerated(source, subtokenizer) == pytest.approx((joint_loss, nelbo), abs=1e-12)


@pytest.mark.parametrize("batch", [1, 10, 2**15])
def test_batches_change_nothing(monkeypatch, batch):
    source, subtokenizer = source_of(3, 2), Subtokenizer(3, 2)
    expected = oracle.enumerated(source, subtokenizer)
    monkeypatch.setattr(oracle, "BATCH", batch)
    assert oracle.enumerated(source, subtokenizer) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("ell", [1, 2, 3, 5])
def test_copies_of_one_bit(ell):
    source = oracle.copies_of_one_bit(ell)
    assert entropy_per_token(source) == pytest.approx(math.log(2), abs=1e-15)
    joint_loss, nelbo = oracle.enumerated(source, Subtokenizer(2**ell, ell))
    assert joint_loss == pytest.approx(math.log(2) / ell, abs=1e-14)
    assert nelbo == pytest.approx(math.log(2), abs=1e-14)


def test_monte_carlo_agrees_with_enumeration():
    source, subtokenizer = source_of(5, 3), Subtokenizer(5, 2)
    exact = oracle.enumerated(source, subtokenizer)
    values, errors = oracle.estimated(source, subtokenizer, num_samples=20_000, seed=3)
    for value, error, expected in zip(values, errors, exact, strict=True):
        assert 0 < error < 0.02
        assert abs(value - expected) < 4 * error
    assert oracle.estimated(source, subtokenizer, num_samples=20_000, seed=3) == (values, errors)


def test_monte_carlo_gives_every_number_of_masks_its_share():
    """Even when the number of samples is no multiple of L * ell, the mean over seeds is right."""
    source, subtokenizer = source_of(4, 2, seed=1), Subtokenizer(4, 2)
    exact = oracle.enumerated(source, subtokenizer)
    values = [oracle.estimated(source, subtokenizer, num_samples=7, seed=seed)[0] for seed in range(2000)]
    error = np.std(values, axis=0) / math.sqrt(len(values))
    assert (np.abs(np.mean(values, axis=0) - exact) < 4 * error).all()


def test_rows_of_the_default_parameters():
    task = config.load(DEFAULT).task("known_entropy")
    settings = task.oracle
    rows = oracle.oracle_rows(settings, make_source(task.data))
    known = [row for row in rows if row.source == "known_entropy"]
    bits = [row for row in rows if row.source == "copies of one bit"]
    assert tuple(row.num_subtokens for row in known) == settings.num_subtokens
    assert tuple(row.num_subtokens for row in bits) == settings.copies_of_one_bit
    for row in rows:
        assert row.method == "enumeration"
        assert row.joint_loss_stderr == row.nelbo_stderr == 0.0
        values = [row.nelbo, row.bound_tokens, *(value.nll for value in row.exact.values())]
        assert len(values) == 8
        assert values == pytest.approx([row.entropy] * 8, abs=1e-6)
    for row in known[1:]:  # a gap that a network of minutes can show
        assert row.joint_loss < 0.92 * row.entropy
    assert any(row.base**row.num_subtokens > row.vocab_size for row in known)


def test_rows_beyond_max_states_are_monte_carlo():
    task = config.load(DEFAULT).task("known_entropy")
    few = task.oracle.model_copy(update={"max_states": 7000, "num_samples": 500})
    rows = oracle.oracle_rows(few, make_source(task.data))
    methods = {(row.source, row.num_subtokens): row.method for row in rows}
    assert methods["known_entropy", 1] == "enumeration"  # 9^4 = 6561 states
    assert methods["known_entropy", 2] == "monte carlo"
    row = next(row for row in rows if row.method == "monte carlo")
    assert row.states == 4**8
    assert row.nelbo_stderr > 0
    assert (row.bound_tokens, row.exact) == (None, {})
