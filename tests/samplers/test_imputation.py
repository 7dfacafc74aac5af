"""Completing a sequence of which some sub-tokens are given, by every sampler."""

from functools import partial

import pytest
import torch
from test_euler import CUBIC, STRONG
from test_euler_distributions import markov_source
from test_sampling import Spy
from test_sampling_distributions import frequencies

from enumeration import all_sequences, chi_square, random_denoiser
from mdm_prime.core.samples import SamplerInput
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.oracle import oracle_denoiser
from mdm_prime.samplers import euler_steps as euler
from mdm_prime.samplers import exact as sampling

SAMPLERS = ["euler joint", "euler marginals", "ancestral", "first hitting"]


def complete(
    sampler, denoiser, y, subtokenizer, indices, *, num_steps=16, carry_over=True, record=None, corrector=None
):
    """Draws what is masked in y (B, L, ell)."""
    fixed = y != subtokenizer.mask_id
    if sampler.startswith("euler"):
        return euler.euler_sample(
            SamplerInput(denoiser, y, fixed, 0, indices, CUBIC, subtokenizer, carry_over, record),
            num_steps=num_steps,
            distribution=sampler.removeprefix("euler "),
            corrector=corrector,
        )
    times, token_uniforms = sampling.sample_uniforms(0, indices, *y.shape[1:])
    if sampler == "ancestral":
        events = sampling.ancestral_events(times, CUBIC, num_steps, fixed)
    else:
        events = sampling.first_hitting_events(times, CUBIC, fixed)
    return sampling.run_events(denoiser, y, events, token_uniforms, subtokenizer, carry_over=carry_over, record=record)


def partly_given(vocab_size, ell, num, length, seed=0):
    """Random tokens (num, L), a random half of their sub-tokens masked in y (num, L, ell)."""
    generator, subtokenizer = torch.Generator().manual_seed(seed), Subtokenizer(vocab_size, ell)
    x = torch.randint(vocab_size, (num, length), generator=generator)
    hidden = torch.rand(num, length, ell, generator=generator) < 0.5
    return subtokenizer, x, subtokenizer.encode(x).masked_fill(hidden, subtokenizer.mask_id)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize(("vocab_size", "ell"), [(17, 1), (17, 3), (5, 2)])
def test_given_subtokens_never_change(sampler, vocab_size, ell, carry_over):
    subtokenizer, _, y = partly_given(vocab_size, ell, 100, 5)
    before, given, states = y.clone(), y != subtokenizer.mask_id, []
    spy = Spy(random_denoiser(subtokenizer, 5, scale=2.0))
    samples = complete(
        sampler,
        spy,
        y,
        subtokenizer,
        range(100),
        carry_over=carry_over,
        corrector=STRONG,
        record=lambda t, state: states.append((t, state.clone())),
    )
    assert torch.equal(y, before), "the caller's start was written to"
    times = [t for t, _ in states]
    assert times == sorted(times, reverse=True)
    assert times[-1] == 0.0
    assert torch.equal(states[0][1], before)
    for _, state in states:
        assert torch.equal(state[given], before[given])
    assert torch.equal(states[-1][1], subtokenizer.encode(samples.x))
    assert samples.x.max() < vocab_size
    if sampler.startswith("euler"):
        other = torch.cat([state[~given][None] for _, state in states])
        undone = (other[:-1] != subtokenizer.mask_id) & (other[1:] == subtokenizer.mask_id)
        assert undone.any(), "the corrector masked nothing"
        assert times == pytest.approx([1 - k / 16 for k in range(17)])
    else:
        assert times[:-1] == pytest.approx([float(t.max()) for _, t, _ in spy.calls])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nothing_to_draw_keeps_everything(sampler):
    subtokenizer, x, _ = partly_given(5, 2, 6, 3)
    denoiser = random_denoiser(subtokenizer, 3)
    samples = complete(sampler, denoiser, subtokenizer.encode(x), subtokenizer, range(6), corrector=STRONG)
    assert torch.equal(samples.x, x)


@pytest.mark.parametrize("sampler", ["euler joint", "ancestral", "first hitting"])
@pytest.mark.parametrize(
    ("ell", "given"),
    [
        (2, [[1, 3], [3, 3], [3, 0]]),  # the first digit of one token, the last of another
        (1, [[5], [2], [5]]),
    ],
)
def test_completions_follow_the_conditional_distribution(sampler, ell, given):
    source, p = markov_source(5, 3)
    subtokenizer, x = Subtokenizer(5, ell), all_sequences(5, 3)
    y = torch.tensor(given)
    agrees = ((y == subtokenizer.encode(x)) | (y == subtokenizer.mask_id)).all(-1).all(-1)
    conditional = p * agrees / p[agrees].sum()
    samples = complete(
        sampler,
        oracle_denoiser(source, subtokenizer),
        y.expand(3000, -1, -1),
        subtokenizer,
        range(3000),
        num_steps=80,
        corrector=partial(euler.corrector, a=3.0, n=1.0, b=0.5),
    )
    assert chi_square(frequencies(samples.x, 5), conditional) > 0.001


def test_free_subtokens_that_are_visible_may_be_drawn_again():
    """Only `fixed` keeps a sub-token: a visible one that is not fixed is the corrector's to change."""
    subtokenizer, x, _ = partly_given(9, 2, 50, 4)
    y = subtokenizer.encode(x)
    fixed = torch.zeros_like(y, dtype=torch.bool)
    fixed[:, :2] = True
    samples = euler.euler_sample(
        SamplerInput(random_denoiser(subtokenizer, 4), y, fixed, 0, range(50), CUBIC, subtokenizer, carry_over=True),
        num_steps=16,
        distribution="joint",
        corrector=STRONG,
    )
    assert torch.equal(samples.x[:, :2], x[:, :2])
    assert (samples.x[:, 2:] != x[:, 2:]).float().mean() > 0.5


@pytest.mark.parametrize(
    ("position", "fixed", "message"),
    [([2, 2], [True, True], "belong to no token below 5"), ([1, 3], [True, True], "fixed")],
)
def test_a_start_that_no_sample_has_is_refused(position, fixed, message):
    subtokenizer = Subtokenizer(5, 2)
    y, fixed, network = torch.tensor([[position]]), torch.tensor([[fixed]]), random_denoiser(subtokenizer, 1)
    with pytest.raises(ValueError, match=message):
        euler.euler_sample(
            SamplerInput(network, y, fixed, 0, range(1), CUBIC, subtokenizer, carry_over=True),
            num_steps=2,
            distribution="joint",
        )
