"""The samplers draw from the distributions that they should: small cases written out in full."""

import itertools

import pytest
import torch
from test_sampling import LINEAR, NO_PREFIX, run
from torch import nn

from enumeration import all_sequences, chi_square, posterior_denoiser, random_denoiser, random_joint
from mdm_prime.core import schedules
from mdm_prime.core.objectives import autoregressive_loss
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.samplers import exact as sampling

NUM = 20000


def frequencies(x, vocab_size):
    """How often each of the V^L sequences occurs in x (B, L)."""
    length = x.shape[1]
    place = vocab_size ** torch.arange(length - 1, -1, -1)
    return (x * place).sum(-1).bincount(minlength=vocab_size**length)


def ancestral_distribution(denoiser, subtokenizer, length, num_steps):
    """The exact distribution (V^L,) of ancestral sampling with carry-over in T uniform steps of the linear schedule.

    All sets that a step may reveal, with their probability; positions are independent given the step's network output.
    """
    x = all_sequences(subtokenizer.vocab_size, length)
    codes, mask_id = subtokenizer.encode(x), subtokenizer.mask_id
    states = {(mask_id,) * (length * subtokenizer.num_subtokens): 1.0}
    for step in range(num_steps):
        rate = 1 / (num_steps - step)  # (alpha(s) - alpha(t)) / (1 - alpha(t))
        after = {}
        for state, probability in states.items():
            y = torch.tensor(state).view(1, length, -1)
            hidden = [i for i, digit in enumerate(state) if digit == mask_id]
            if not hidden:
                after[state] = after.get(state, 0.0) + probability
                continue
            logits = denoiser(y, torch.tensor([1 - step / num_steps]), torch.ones(1, length, dtype=torch.bool))
            agrees = ((y == subtokenizer.digits()[:, None]) | (y == mask_id)).all(-1).T  # (L, V)
            p = logits.masked_fill(~agrees, -torch.inf).softmax(-1)
            tokens = p[torch.arange(length), x].prod(-1)  # (V^L,)
            for size in range(len(hidden) + 1):
                for chosen in itertools.combinations(hidden, size):
                    reveal = rate**size * (1 - rate) ** (len(hidden) - size)
                    if reveal == 0.0:
                        continue
                    for code, weight in zip(codes.flatten(1).tolist(), tokens.tolist(), strict=True):
                        if weight:
                            new = tuple(code[i] if i in chosen else digit for i, digit in enumerate(state))
                            after[new] = after.get(new, 0.0) + probability * reveal * weight
        states = after
    return torch.tensor([states.get(tuple(code), 0.0) for code in codes.flatten(1).tolist()], dtype=torch.float64)


@pytest.mark.parametrize(("vocab_size", "length", "ell"), [(5, 2, 2), (5, 2, 1), (6, 1, 3), (3, 2, 2)])
def test_first_hitting_at_the_true_posterior_gives_the_data(vocab_size, length, ell):
    x, p = random_joint(vocab_size, length, seed=1)
    subtokenizer = Subtokenizer(vocab_size, ell)
    samples = run(posterior_denoiser(x, p, subtokenizer), subtokenizer, length, range(NUM), num_steps=None)
    assert chi_square(frequencies(samples.x, vocab_size), p) > 0.001


def test_first_hitting_without_carry_over_gives_the_data_too():
    """The true posterior excludes what disagrees by itself."""
    x, p = random_joint(5, 2, seed=2)
    subtokenizer = Subtokenizer(5, 2)
    denoiser = posterior_denoiser(x, p, subtokenizer)
    samples = run(denoiser, subtokenizer, 2, range(NUM), num_steps=None, carry_over=False)
    assert chi_square(frequencies(samples.x, 5), p) > 0.001


@pytest.mark.parametrize("schedule", [LINEAR, schedules.cosine()])
def test_ancestral_with_many_steps_at_the_true_posterior_gives_the_data(schedule):
    x, p = random_joint(5, 2, seed=3)
    subtokenizer = Subtokenizer(5, 2)
    denoiser = posterior_denoiser(x, p, subtokenizer)
    samples = run(denoiser, subtokenizer, 2, range(NUM), num_steps=5000, schedule=schedule)
    assert chi_square(frequencies(samples.x, 5), p) > 0.001


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("kind", ["posterior", "random"])
def test_ancestral_with_few_steps_has_its_own_exact_distribution(num_steps, kind):
    x, p = random_joint(5, 2, seed=4, sharpness=2.0)
    subtokenizer = Subtokenizer(5, 2)
    denoiser = posterior_denoiser(x, p, subtokenizer) if kind == "posterior" else random_denoiser(subtokenizer, 2)
    exact = ancestral_distribution(denoiser, subtokenizer, 2, num_steps)
    assert float(exact.sum()) == pytest.approx(1.0)
    counts = frequencies(run(denoiser, subtokenizer, 2, range(NUM), num_steps=num_steps).x, 5)
    assert chi_square(counts, exact) > 0.001
    if kind == "posterior":
        assert chi_square(counts, p) < 1e-6  # far from the data with so few steps


def test_both_samplers_have_the_same_distribution_at_any_network():
    subtokenizer = Subtokenizer(5, 2)
    denoiser = random_denoiser(subtokenizer, 2, seed=6)
    first = frequencies(run(denoiser, subtokenizer, 2, range(NUM), num_steps=None, seed=1).x, 5)
    many = frequencies(run(denoiser, subtokenizer, 2, range(NUM), num_steps=5000, seed=2).x, 5)
    pooled = (first + many).double()
    assert chi_square(torch.cat([first, many]), torch.cat([pooled, pooled]) / (2 * pooled.sum())) > 0.001


def test_a_prefix_is_conditioned_on():
    x, p = random_joint(5, 2, seed=7)
    subtokenizer = Subtokenizer(5, 2)
    denoiser = posterior_denoiser(x, p, subtokenizer)
    samples = run(denoiser, subtokenizer, 2, range(NUM), num_steps=None, prefix=torch.tensor([3]))
    given = p * (x[:, 0] == 3)
    assert chi_square(frequencies(samples.x, 5), given / given.sum()) > 0.001


def causal_network():
    torch.manual_seed(0)
    network = DiT(
        base=4, num_subtokens=1, vocab_size=4, length=8, width=12, blocks=1, heads=2, conditioning_width=4, causal=True
    ).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def test_autoregressive_samples_have_the_likelihood_that_the_network_gives_them():
    network = causal_network()
    with torch.no_grad():
        p = (-autoregressive_loss(network, all_sequences(4, 3), start_id=4)).exp()
    _, token_uniforms = sampling.sample_uniforms(0, range(NUM), 3, 1)
    samples = sampling.autoregressive_sample(network, token_uniforms.squeeze(-1), NO_PREFIX, start_id=4)
    assert chi_square(frequencies(samples.x, 4), p) > 0.001
    assert samples.nfe.tolist() == [3] * NUM


def test_autoregressive_samples_keep_a_prefix_and_do_not_depend_on_the_batch():
    network, prefix = causal_network(), torch.tensor([2, 0])
    _, token_uniforms = sampling.sample_uniforms(0, range(20), 5, 1)
    whole = sampling.autoregressive_sample(network, token_uniforms.squeeze(-1), prefix, start_id=4)
    assert (whole.x[:, :2] == prefix).all()
    assert whole.nfe.tolist() == [3] * 20
    for i in range(20):
        one = sampling.autoregressive_sample(network, token_uniforms[i : i + 1].squeeze(-1), prefix, start_id=4)
        assert torch.equal(one.x[0], whole.x[i])
    cold = sampling.autoregressive_sample(network, token_uniforms.squeeze(-1), prefix, start_id=4, temperature=1e-6)
    assert len(cold.x.unique(dim=0)) == 1
