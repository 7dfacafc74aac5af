import math

import pytest
import torch

from mdm_prime.core import schedules

SCHEDULES = {
    "linear": schedules.linear(),
    "polynomial 3": schedules.polynomial(3.0),
    "polynomial 0.5": schedules.polynomial(0.5),
    "cosine": schedules.cosine(),
}


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    return SCHEDULES[request.param]


def test_ends(schedule):
    alpha, _ = schedule.alpha_and_derivative(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert alpha.tolist() == pytest.approx([1.0, 0.0], abs=1e-15)
    single, _ = schedule.alpha_and_derivative(torch.tensor([0.0, 1.0]))
    assert single.tolist() == pytest.approx([1.0, 0.0], abs=1e-7)


def test_alpha_falls(schedule):
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert (schedule.alpha_and_derivative(t)[0].diff() < 0).all()


def test_derivative_is_that_of_autograd(schedule):
    t = torch.linspace(0.001, 0.999, 997, dtype=torch.float64, requires_grad=True)
    alpha, d_alpha = schedule.alpha_and_derivative(t)
    (gradient,) = torch.autograd.grad(alpha.sum(), t)
    torch.testing.assert_close(d_alpha, gradient, rtol=1e-12, atol=1e-12)


def test_inverse(schedule):
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(schedule.inverse(schedule.alpha_and_derivative(t)[0]), t, rtol=0, atol=1e-8)
    alpha = torch.linspace(0, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(schedule.alpha_and_derivative(schedule.inverse(alpha))[0], alpha, rtol=0, atol=2e-8)


def test_weight_is_the_rate_of_masking(schedule):
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    alpha, d_alpha = schedule.alpha_and_derivative(t)
    torch.testing.assert_close(schedule.loss_weight(t), -d_alpha / (1 - alpha))
    torch.testing.assert_close(schedule.mask_probability(t), 1 - alpha)


def test_weight_integrates_to_one_over_the_masking_probability(schedule):
    """The integral of w(t) (1 - alpha(t)) over t is 1: every schedule weighs the same set of masks alike."""
    t = (torch.arange(200000, dtype=torch.float64) + 0.5) / 200000
    total = (schedule.loss_weight(t) * schedule.mask_probability(t)).mean()
    assert float(total) == pytest.approx(1.0, abs=1e-3)


def test_weight_of_the_linear_schedule():
    t = torch.tensor([1e-3, 0.25, 1.0], dtype=torch.float64)
    torch.testing.assert_close(schedules.linear().loss_weight(t), 1 / t, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("schedule", "alpha", "d_alpha"),
    [
        (schedules.linear(), 0.75, -1.0),
        (schedules.polynomial(3.0), 0.421875, -1.6875),
        (schedules.cosine(), 1 - math.cos(0.375 * math.pi), -math.pi / 2 * math.sin(0.375 * math.pi)),
    ],
)
def test_values(schedule, alpha, d_alpha):
    found = schedule.alpha_and_derivative(torch.tensor(0.25, dtype=torch.float64))
    assert [float(v) for v in found] == pytest.approx([alpha, d_alpha], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "exponent", "alpha"), [("linear", 1.0, 0.5), ("polynomial", 2.0, 0.25), ("cosine", 1.0, 1 - 0.5**0.5)]
)
def test_by_name(name, exponent, alpha):
    assert float(schedules.by_name(name, exponent).alpha_and_derivative(torch.tensor(0.5))[0]) == pytest.approx(alpha)


def test_unknown_name():
    with pytest.raises(KeyError):
        schedules.by_name("quadratic")
