"""The image sampler: its numbers, its steps, what no run does. Draws and distributions have files of their own."""

import itertools
import math
from functools import partial

import pytest
import torch
from test_sampling import BELOW_ONE, LINEAR, Spy

from enumeration import random_denoiser
from mdm_prime.core import schedules
from mdm_prime.core.objectives import consistent
from mdm_prime.core.samples import SamplerInput
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.errors import UserError
from mdm_prime.samplers import euler_steps as euler

CUBIC = schedules.polynomial(3.0)
STRONG = partial(euler.corrector, a=12.0, n=1.0, b=0.5)


def run(
    denoiser,
    subtokenizer,
    length,
    indices,
    *,
    schedule=LINEAR,
    num_steps=4,
    distribution="joint",
    carry_over=True,
    **options,
):
    """Samples from nothing given."""
    y = torch.full((len(indices), length, subtokenizer.num_subtokens), subtokenizer.mask_id)
    fixed = torch.zeros_like(y, dtype=torch.bool)
    seed, record = options.pop("seed", 0), options.pop("record", None)
    given = SamplerInput(denoiser, y, fixed, seed, indices, schedule, subtokenizer, carry_over, record)
    return euler.euler_sample(given, num_steps=num_steps, distribution=distribution, **options)


def at(function, *times, **numbers):
    return function(torch.tensor(times, dtype=torch.float64), **numbers).tolist()


def test_functions_of_time_at_their_ends_with_numbers_of_the_paper():
    """CIFAR-10, two sub-tokens, 512 evaluations: the paper's best."""
    assert at(euler.temperature, 1.0, 0.5, 0.0, a=-0.2, n=2.0, b=1.0) == pytest.approx([1.0, 0.95, 0.8])
    assert at(euler.corrector, 1.0, 0.5, 0.0, a=16.0, n=2.0, b=0.75) == pytest.approx([0.0, 4 * 0.5**0.75, 0.0])
    assert at(euler.time_steps, 1.0, 0.5, 0.0, a=1.0, n=1.7, b=0.0) == pytest.approx([1.0, 0.5**1.7, 0.0])


def test_functions_of_time_with_an_exponent_of_zero():
    assert at(euler.temperature, 1.0, 0.3, 0.0, a=1.0, n=0.0, b=0.0) == [1.0, 1.0, 1.0]
    assert at(euler.corrector, 1.0, 0.3, 0.0, a=0.0, n=0.0, b=0.0) == [0.0, 0.0, 0.0]
    assert at(euler.corrector, 1.0, 0.5, 0.0, a=2.0, n=1.0, b=0.0) == [0.0, 1.0, 2.0]
    assert at(euler.time_steps, 1.0, 0.3, a=1.0, n=0.0, b=0.0) == [1.0, 1.0]
    assert at(euler.time_steps, 1.0, 0.5, 0.0, a=2.0, n=1.0, b=0.5) == [1.0, 0.5, 0.0]


def test_steps_of_the_linear_schedule_by_hand():
    steps = euler.plan_steps(LINEAR, 4, corrector=partial(euler.corrector, a=2.0, n=1.0, b=1.0))
    assert [step.t for step in steps] == [1.0, 0.75, 0.5, 0.25]
    assert [step.temperature for step in steps] == [1.0] * 4
    assert [step.reveal for step in steps] == pytest.approx([1 / 4, 1 / 3, 1 / 2, 1.0])
    strength = [2 * (1 - t) * t for t in (0.75, 0.5)]
    assert [step.to_value for step in steps] == pytest.approx(
        [0.0, (1 + strength[0]) / 3, (1 + strength[1]) / 2, 0.0]  # h (1 + c) / t
    )
    assert [step.to_mask for step in steps] == pytest.approx([0.0, strength[0], strength[1] / 2, 0.0])  # h c / (1 - t)


@pytest.mark.parametrize("schedule", [LINEAR, CUBIC, schedules.cosine()])
@pytest.mark.parametrize("time_steps", [None, partial(euler.time_steps, a=1.0, n=1.7, b=0.0)])
def test_steps_of_any_schedule_and_grid(schedule, time_steps):
    """The corrector's equilibrium has a share 1 - alpha(t) masked, but for the repeated drift w."""
    steps = euler.plan_steps(schedule, 8, corrector=STRONG, time_steps=time_steps)
    t = torch.tensor([step.t for step in steps] + [0.0], dtype=torch.float64)
    alpha, d_alpha = schedule.alpha_and_derivative(t)
    visible = 0.0
    for k, step in enumerate(steps):
        assert visible == pytest.approx(float(alpha[k]))
        visible += (1 - visible) * step.reveal
        if 0 < k < 7:
            drift = (t[k] - t[k + 1]) * -d_alpha[k]
            masked_flow = (1 - alpha[k]) * step.to_value - drift
            assert float(masked_flow) == pytest.approx(float(alpha[k] * step.to_mask))
            assert step.to_mask == pytest.approx(float(STRONG(t[k]) * drift / alpha[k]))
    assert visible == 1.0
    assert (steps[0].to_value, steps[0].to_mask, steps[-1].to_value, steps[-1].to_mask) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("num_steps", "temperature", "corrector", "exponent"),
    [
        (512, (-0.1, 3.5, 1.0), (18.0, 1.0, 0.75), 1.1),  # CIFAR-10, three sub-tokens
        (256, (-0.35, 3.0, 1.0), (6.0, 1.0, 0.5), 1.0),  # CIFAR-10, eight
        (128, (-0.2, 1.0, 1.0), (2.0, 1.0, 0.0), 0.8),  # CIFAR-10, three
        (256, (-0.1, 0.75, 1.0), (2.0, 2.5, 0.75), 0.7),  # ImageNet-32, three
    ],
)
def test_settings_of_the_paper_give_finite_numbers(num_steps, temperature, corrector, exponent):
    numbers = {"temperature": temperature, "corrector": corrector, "time_steps": (1.0, exponent, 0.0)}
    functions = {
        name: partial(getattr(euler, name), **dict(zip("anb", values, strict=True))) for name, values in numbers.items()
    }
    steps = torch.tensor(euler.plan_steps(CUBIC, num_steps, **functions))
    assert steps.shape == (num_steps, 5)
    assert steps.isfinite().all()
    assert (steps >= 0).all()
    assert (steps[:, 2] <= 1).all()


@pytest.mark.parametrize("n", [0.0, -1.0])
def test_times_that_do_not_fall_from_one_to_zero_are_refused(n):
    with pytest.raises(UserError, match=r"time_steps: .* should go from 1 to 0") as error:
        euler.plan_steps(LINEAR, 8, time_steps=partial(euler.time_steps, a=1.0, n=n, b=0.0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("numbers", [(2.0, 1.0, 0.5), (0.9, 1.0, 0.0), (1.0, 1.0, 0.1)])
def test_times_that_stay_or_start_elsewhere_are_refused(numbers):
    with pytest.raises(UserError, match="time_steps"):
        euler.plan_steps(LINEAR, 8, time_steps=partial(euler.time_steps, **dict(zip("anb", numbers, strict=True))))


def test_values_that_are_no_temperature_or_corrector_are_refused():
    for a in (-1.5, -math.inf):
        with pytest.raises(UserError, match=r"temperature: .* should be positive"):
            euler.plan_steps(LINEAR, 8, temperature=partial(euler.temperature, a=a, n=1.0, b=1.0))
    with pytest.raises(UserError, match="corrector: goes from -"):
        euler.plan_steps(LINEAR, 8, corrector=partial(euler.corrector, a=-1.0, n=1.0, b=1.0))
    with pytest.raises(UserError, match=r"corrector: .* inf"):
        euler.plan_steps(LINEAR, 8, corrector=partial(euler.corrector, a=1.0, n=-1.0, b=1.0))
    with pytest.raises(ValueError, match="num_steps 0"):
        euler.plan_steps(LINEAR, 0)


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize(("vocab_size", "ell"), [(17, 1), (17, 2), (17, 3), (17, 4), (17, 5), (5, 1), (5, 2), (5, 3)])
def test_no_code_is_ever_invalid(vocab_size, ell, carry_over, distribution):
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = random_denoiser(subtokenizer, 4, scale=2.0)
    for options in ({"num_steps": 1}, {"num_steps": 12}, {"num_steps": 12, "corrector": STRONG, "schedule": CUBIC}):
        x, nfe = run(denoiser, subtokenizer, 4, range(100), distribution=distribution, carry_over=carry_over, **options)
        assert x.min() >= 0
        assert x.max() < vocab_size
        assert nfe.tolist() == [options["num_steps"]] * 100


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
def test_one_step_asks_the_network_once_for_everything(distribution):
    subtokenizer = Subtokenizer(17, 3)
    spy = Spy(random_denoiser(subtokenizer, 3))
    samples = run(spy, subtokenizer, 3, range(20), num_steps=1, distribution=distribution, corrector=STRONG)
    ((y, t, where),) = spy.calls
    assert (y == subtokenizer.mask_id).all()
    assert t.tolist() == [1.0] * 20
    assert t.dtype == torch.float32
    assert where.all()
    assert samples.nfe.tolist() == [1] * 20


def test_one_step_is_the_same_for_a_subtoken_in_both_kinds_of_draws():
    """Where a token is one sub-token there is nothing to draw apart."""
    subtokenizer = Subtokenizer(6, 1)
    denoiser = random_denoiser(subtokenizer, 3)
    options = {"corrector": STRONG, "carry_over": False, "num_steps": 9}
    first, second = (
        run(denoiser, subtokenizer, 3, range(50), distribution=d, **options).x for d in ("joint", "marginals")
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
@pytest.mark.parametrize("carry_over", [True, False])
def test_a_step_changes_what_it_would_with_the_network_asked_everywhere(carry_over, distribution):
    """Sub-token by sub-token, from y0 drawn at every position; all of them free."""
    subtokenizer = Subtokenizer(4, 2)
    mask_id, denoiser = subtokenizer.mask_id, random_denoiser(subtokenizer, 6)
    generator = torch.Generator().manual_seed(0)
    step = euler.plan_steps(LINEAR, 4, corrector=STRONG)[2]
    y = torch.randint(mask_id + 1, (300, 6, 2), generator=generator)
    uniforms = torch.rand(3, *y.shape, generator=generator, dtype=torch.float64)
    after = euler.euler_step(
        denoiser,
        y,
        torch.zeros_like(y).bool(),
        uniforms,
        step,
        subtokenizer,
        distribution=distribution,
        carry_over=carry_over,
    )
    logits = denoiser(y, torch.full((300,), step.t), torch.ones(300, 6, dtype=torch.bool))
    if carry_over:
        logits = logits.masked_fill(~consistent(y.flatten(0, 1), 2, 4), -torch.inf)
    draw = {"joint": euler.draw_jointly, "marginals": euler.draw_marginally}[distribution]
    revealed = (y == mask_id) & (uniforms[0] < step.reveal)
    flat = (v.flatten(0, 1) for v in (y, revealed, uniforms[2]))
    value = draw(logits, *flat, subtokenizer)
    columns = (v.flatten().tolist() for v in (y, revealed, uniforms[1], value, after))
    kinds = set()
    for before, reveals, uniform, drawn, found in zip(*columns, strict=True):
        forward = drawn if reveals else before
        to_value, to_mask = step.to_value * (forward != drawn), step.to_mask * (forward != mask_id)
        jumps = uniform < 1 - math.exp(-(to_value + to_mask))
        to_drawn = jumps and uniform / (1 - math.exp(-(to_value + to_mask))) < to_value / (to_value + to_mask)
        assert found == (drawn if to_drawn else mask_id if jumps else forward)
        kinds.add((before == mask_id, found == mask_id, before == found))
    assert len(kinds) == (4 if carry_over else 5)  # only without carry-over is a value replaced by another


@pytest.mark.parametrize("carry_over", [True, False])
def test_network_is_asked_only_where_something_may_change(carry_over):
    subtokenizer = Subtokenizer(5, 2)
    spy = Spy(random_denoiser(subtokenizer, 6))
    states = []
    run(
        spy,
        subtokenizer,
        6,
        range(1),
        num_steps=40,
        carry_over=carry_over,
        corrector=partial(euler.corrector, a=1.0, n=1.0, b=1.0),
        record=lambda t, y: states.append((t, y.clone())),
    )
    asked = {round(float(t), 6): where for _, t, where in spy.calls}
    quiet = 0
    for (t, before), (_, after) in itertools.pairwise(states):
        where = asked.get(round(t, 6), torch.zeros(1, 6, dtype=torch.bool))
        valued = ((before != after) & (after != subtokenizer.mask_id)).any(-1)
        assert (where | ~valued).all(), "a value that no logits were asked for"
        quiet += int((~where).sum())
        if carry_over:
            assert (before == subtokenizer.mask_id).any(-1)[where].all()
    assert quiet > 40 * 6 / 2
    assert len(spy.calls) < 40, "no row is ever idle"


def test_without_a_corrector_a_sequence_is_only_filled_in():
    subtokenizer, states = Subtokenizer(7, 3), []
    run(
        random_denoiser(subtokenizer, 4),
        subtokenizer,
        4,
        range(30),
        num_steps=10,
        record=lambda t, y: states.append((t, y.clone())),
    )
    assert [t for t, _ in states] == pytest.approx([1 - k / 10 for k in range(11)])
    for (_, before), (_, after) in itertools.pairwise(states):
        assert (before[before != after] == subtokenizer.mask_id).all()


def test_temperature_divides_the_logits():
    subtokenizer = Subtokenizer(7, 1)
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    denoiser = lambda y, t, where: logits.expand(len(y), 3, 7)[where]  # noqa: E731
    cold = run(denoiser, subtokenizer, 3, range(9), temperature=partial(euler.temperature, a=0.0, n=0.0, b=1e-6))
    assert torch.equal(cold.x, logits.argmax(-1).expand(9, 3))


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
def test_batch_size_changes_no_sample_and_the_seed_every(distribution):
    subtokenizer = Subtokenizer(11, 2)
    denoiser = random_denoiser(subtokenizer, 5)
    options = {"num_steps": 9, "distribution": distribution, "carry_over": False, "corrector": STRONG, "seed": 3}
    whole = run(denoiser, subtokenizer, 5, range(24), **options)
    assert torch.equal(run(denoiser, subtokenizer, 5, range(24), **options).x, whole.x)
    for size in (1, 5):
        parts = [run(denoiser, subtokenizer, 5, range(i, min(i + size, 24)), **options).x for i in range(0, 24, size)]
        assert torch.equal(torch.cat(parts), whole.x)
    assert not torch.equal(run(denoiser, subtokenizer, 5, range(24), **options | {"seed": 4}).x, whole.x)
    assert len(whole.x.unique(dim=0)) > 20


def test_uniform_numbers_of_a_step_are_new_and_belong_to_their_sample():
    steps = euler.step_uniforms(1, range(10), torch.Size([3, 2]), torch.device("cpu"))
    first, second = next(steps).clone(), next(steps).clone()
    assert first.shape == (3, 10, 3, 2)
    assert first.dtype == torch.float64
    assert len(torch.stack([first, second]).unique()) == 2 * first.numel()
    later = euler.step_uniforms(1, range(7, 9), torch.Size([3, 2]), torch.device("cpu"))
    assert torch.equal(next(later), first[:, 7:9])
    assert torch.equal(next(later), second[:, 7:9])
    with pytest.raises(ValueError, match="must be in"):
        next(euler.step_uniforms(256, range(1), torch.Size([1, 1]), torch.device("cpu")))


@pytest.mark.parametrize("uniform", [0.0, BELOW_ONE])
@pytest.mark.parametrize("distribution", ["joint", "marginals"])
def test_the_ends_of_the_unit_interval(uniform, distribution):
    subtokenizer = Subtokenizer(5, 2)
    denoiser = random_denoiser(subtokenizer, 3)
    y = torch.full((1, 3, 2), subtokenizer.mask_id)
    for step in euler.plan_steps(LINEAR, 3, corrector=STRONG):
        uniforms = torch.full((3, 1, 3, 2), uniform, dtype=torch.float64)
        y = euler.euler_step(
            denoiser,
            y,
            torch.zeros_like(y).bool(),
            uniforms,
            step,
            subtokenizer,
            distribution=distribution,
            carry_over=True,
        )
    assert (y < subtokenizer.base).all()
    assert (subtokenizer.decode(y) < 5).all()


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
@pytest.mark.parametrize("carry_over", [True, False])
def test_how_many_logits_are_held_at_once_changes_no_sample(monkeypatch, distribution, carry_over):
    subtokenizer = Subtokenizer(11, 2)
    options = {"distribution": distribution, "carry_over": carry_over, "corrector": STRONG}
    whole = run(random_denoiser(subtokenizer, 3), subtokenizer, 3, range(9), **options)
    monkeypatch.setattr(euler, "LOGITS_AT_ONCE", 25)  # two positions of eleven tokens
    assert torch.equal(run(random_denoiser(subtokenizer, 3), subtokenizer, 3, range(9), **options).x, whole.x)
