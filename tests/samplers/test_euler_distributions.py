"""The image sampler distribution from the distributions that it should: small cases written out in full."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from test_euler import CUBIC, run
from test_sampling import LINEAR
from test_sampling_distributions import frequencies

from enumeration import all_sequences, chi_square, posterior_denoiser, random_denoiser, random_joint
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.data.known_entropy import MarkovSource
from mdm_prime.evaluation.oracle import oracle_denoiser
from mdm_prime.samplers import euler_steps as euler


def value_distribution(p, z, revealed, subtokenizer, distribution):
    """Every y0 of a position and its probability, from the token probabilities p, a list; and how codes are read."""
    base, mask_id, vocab_size = subtokenizer.base, subtokenizer.mask_id, subtokenizer.vocab_size
    codes = [tuple(digits) for digits in subtokenizer.digits().tolist()]

    def code_of(digits):
        return sum(0 if digit == mask_id else digit * base ** (len(digits) - 1 - j) for j, digit in enumerate(digits))

    if distribution == "joint":
        taken = [tuple(c[j] if revealed[j] else z[j] for j in range(len(z))) for c in codes]
        weights = [q if code_of(y) < vocab_size else 0.0 for q, y in zip(p, taken, strict=True)]
        found = list(zip(codes, weights, strict=True))
    else:
        marginal = [
            [sum(q for c, q in zip(codes, p, strict=True) if c[j] == d) for d in range(base)] for j in range(len(z))
        ]
        found = [((), 1.0)]
        for j in range(len(z)):
            longer = []
            for start, weight in found:
                known = [start[i] if i < j and revealed[i] else z[i] for i in range(len(z))]
                codes_with = {d: code_of([*known[:j], d, *known[j + 1 :]]) for d in range(base)}
                q = {d: marginal[j][d] for d, code in codes_with.items() if code < vocab_size and marginal[j][d]}
                longer += [((*start, d), weight * r / sum(q.values())) for d, r in q.items()]
            found = longer
    total = sum(weight for _, weight in found)
    return [(value, weight / total) for value, weight in found if weight], code_of


def position_transition(p, z, step, subtokenizer, distribution):
    """Where one step takes a position z, given the network's token probabilities p: {z': probability}."""
    mask_id, after = subtokenizer.mask_id, {}
    for revealed in itertools.product([False, True], repeat=len(z)):
        chance = 1.0
        for digit, reveal in zip(z, revealed, strict=True):
            chance *= (step.reveal if reveal else 1 - step.reveal) if digit == mask_id else float(not reveal)
        if not chance:
            continue
        values, code_of = value_distribution(p, z, revealed, subtokenizer, distribution)
        for value, weight in values:
            forward = tuple(v if reveal else digit for v, reveal, digit in zip(value, revealed, z, strict=True))
            outcomes = [((), 1.0)]
            for digit, v in zip(forward, value, strict=True):
                rates = {v: step.to_value if digit != v else 0.0, mask_id: step.to_mask if digit != mask_id else 0.0}
                total = sum(rates.values())
                jump = 1 - math.exp(-total)
                options = [(digit, 1 - jump)] + [(k, jump * rate / total) for k, rate in rates.items() if rate]
                outcomes = [((*start, k), q * r) for start, q in outcomes for k, r in options]
            for target, q in outcomes:
                end = target if code_of(target) < subtokenizer.vocab_size else forward
                after[end] = after.get(end, 0.0) + chance * weight * q
    return after


def exact_distribution(denoiser, subtokenizer, length, steps, *, distribution="joint", carry_over=True):
    """The distribution (V^L,) of the Euler sampler and, before each step, the mean share of masked sub-tokens."""
    mask_id, ell = subtokenizer.mask_id, subtokenizer.num_subtokens
    states, masked = {((mask_id,) * ell,) * length: 1.0}, []
    for step in steps:
        masked.append(sum(q * sum(z.count(mask_id) for z in y) for y, q in states.items()) / (length * ell))
        after = {}
        for state, probability in states.items():
            y = torch.tensor(state).view(1, length, ell)
            logits = denoiser(y, torch.tensor([step.t]), torch.ones(1, length, dtype=torch.bool)) / step.temperature
            if carry_over:
                agrees = ((y == subtokenizer.digits()[:, None]) | (y == mask_id)).all(-1).T
                logits = logits.masked_fill(~agrees, -torch.inf)
            p = logits.softmax(-1).tolist()
            moves = [
                position_transition(p[i], state[i], step, subtokenizer, distribution).items() for i in range(length)
            ]
            for combination in itertools.product(*moves):
                new = tuple(z for z, _ in combination)
                after[new] = after.get(new, 0.0) + probability * math.prod(q for _, q in combination)
        states = after
    codes = [
        tuple(map(tuple, code)) for code in subtokenizer.encode(all_sequences(subtokenizer.vocab_size, length)).tolist()
    ]
    return torch.tensor([states.get(code, 0.0) for code in codes], dtype=torch.float64), masked


FUNCTIONS = {
    "corrector": partial(euler.corrector, a=6.0, n=0.5, b=0.5),
    "temperature": partial(euler.temperature, a=-0.4, n=1.0, b=1.0),
    "time_steps": partial(euler.time_steps, a=1.0, n=0.8, b=0.0),
}


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize(("vocab_size", "length", "ell"), [(3, 2, 1), (3, 2, 2), (4, 1, 2), (7, 1, 3)])
def test_samples_have_the_distribution_of_the_enumeration(vocab_size, length, ell, carry_over, distribution):
    """Every part at once: reveals, replacements, re-masking, restrictions to valid codes, temperature, times."""
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = random_denoiser(subtokenizer, length, seed=ell, scale=1.5)
    steps = euler.plan_steps(LINEAR, 3, **FUNCTIONS)
    exact, masked = exact_distribution(
        denoiser, subtokenizer, length, steps, distribution=distribution, carry_over=carry_over
    )
    assert float(exact.sum()) == pytest.approx(1.0)
    shares = []
    options = {"num_steps": 3, "distribution": distribution, "carry_over": carry_over} | FUNCTIONS
    samples = run(
        denoiser,
        subtokenizer,
        length,
        range(10000),
        record=lambda t, y: shares.append(float((y == subtokenizer.mask_id).double().mean())),
        **options,
    )
    assert chi_square(frequencies(samples.x, vocab_size), exact) > 0.001
    assert shares == pytest.approx([*masked, 0.0], abs=0.02)


def test_the_enumeration_tells_wrong_correctors_apart():
    """With the rates to value and mask swapped, or without the repeated drift, or with none, it says something else."""
    subtokenizer = Subtokenizer(4, 2)
    denoiser = random_denoiser(subtokenizer, 1, seed=2, scale=1.5)
    steps = euler.plan_steps(LINEAR, 3, **FUNCTIONS)
    options = {"num_steps": 3, "carry_over": False} | FUNCTIONS
    counts = frequencies(run(denoiser, subtokenizer, 1, range(20000), **options).x, 4)
    wrong = [
        [step._replace(to_value=step.to_mask, to_mask=step.to_value) for step in steps],
        [step._replace(to_value=step.to_value / 2) for step in steps],
        [step._replace(to_mask=0.0) for step in steps],
    ]
    for numbers in wrong:
        exact, _ = exact_distribution(denoiser, subtokenizer, 1, numbers, carry_over=False)
        assert chi_square(counts, exact) < 1e-4


def masked_shares(steps):
    """Before each step and at the end, with carry-over: a chain of two states that no network enters."""
    shares = [1.0]
    for step in steps:
        hidden = shares[-1] * (1 - step.reveal)
        shares.append(hidden * math.exp(-step.to_value) + (1 - hidden) * (1 - math.exp(-step.to_mask)))
    return shares


def test_share_of_masked_subtokens_over_time_and_wrong_correctors():
    subtokenizer, mild, seen = Subtokenizer(5, 2), partial(euler.corrector, a=3.0, n=1.0, b=0.5), []
    run(
        random_denoiser(subtokenizer, 20),
        subtokenizer,
        20,
        range(400),
        corrector=mild,
        schedule=CUBIC,
        num_steps=20,
        record=lambda t, y: seen.append(float((y == subtokenizer.mask_id).double().mean())),
    )
    steps = euler.plan_steps(CUBIC, 20, corrector=mild)
    assert seen == pytest.approx(masked_shares(steps), abs=0.015)
    no_corrector = [step._replace(to_value=0.0, to_mask=0.0) for step in steps]
    no_masks = [step._replace(to_mask=0.0) for step in steps]
    strength = [float(mild(torch.tensor(step.t))) for step in steps]
    no_drift = [step._replace(to_value=step.to_value * c / (1 + c)) for step, c in zip(steps, strength, strict=True)]
    for wrong in (no_corrector, no_masks, no_drift):
        assert max(abs(a - b) for a, b in zip(seen, masked_shares(wrong), strict=True)) > 0.05


@pytest.mark.parametrize("ell", [1, 2])
def test_the_distance_to_the_data_goes_to_zero_with_the_step_size(ell):
    """At the true posterior, with a corrector: exactly, by enumeration."""
    vocab_size, length = {1: (2, 3), 2: (3, 2)}[ell]
    x, p = random_joint(vocab_size, length, seed=4, sharpness=2.0)
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = posterior_denoiser(x, p, subtokenizer)
    distances = []
    for num_steps in (2, 6, 18):
        steps = euler.plan_steps(LINEAR, num_steps, corrector=partial(euler.corrector, a=1.0, n=1.0, b=0.5))
        exact, _ = exact_distribution(denoiser, subtokenizer, length, steps)
        distances.append(float((exact - p).abs().sum() / 2))
    assert distances[0] > 2 * distances[1] > 4 * distances[2]
    assert distances[2] < 0.03


def markov_source(vocab_size, length, seed=0):
    """A source of which every sequence is possible, and the probability (V^L,) of each."""
    rng = np.random.default_rng(seed)
    initial, transition = rng.dirichlet(np.full(vocab_size, 2.0)), rng.dirichlet(np.full(vocab_size, 2.0), vocab_size)
    x = all_sequences(vocab_size, length).numpy()
    p = initial[x[:, 0]] * transition[x[:, :-1], x[:, 1:]].prod(1)
    return MarkovSource(initial, transition, length), torch.from_numpy(p)


@pytest.mark.parametrize(
    ("ell", "schedule", "carry_over", "functions"),
    [
        (2, LINEAR, True, {}),
        (1, LINEAR, True, {}),
        (2, CUBIC, True, {"corrector": partial(euler.corrector, a=3.0, n=1.0, b=0.5)}),
        (3, CUBIC, False, {"time_steps": partial(euler.time_steps, a=1.0, n=0.8, b=0.0)}),
    ],
)
def test_many_steps_at_the_true_posterior_give_the_data(ell, schedule, carry_over, functions):
    source, p = markov_source(5, 2)
    subtokenizer = Subtokenizer(5, ell)
    options = {"schedule": schedule, "num_steps": 80, "carry_over": carry_over} | functions
    samples = run(oracle_denoiser(source, subtokenizer), subtokenizer, 2, range(3000), **options)
    assert chi_square(frequencies(samples.x, 5), p) > 0.001


def test_few_steps_at_the_true_posterior_do_not():
    """The control of the test above."""
    source, p = markov_source(5, 2)
    subtokenizer = Subtokenizer(5, 2)
    samples = run(oracle_denoiser(source, subtokenizer), subtokenizer, 2, range(3000), num_steps=1)
    assert chi_square(frequencies(samples.x, 5), p) < 1e-6
