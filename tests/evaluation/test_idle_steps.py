import itertools

import pytest
import torch

from mdm_prime.core import schedules
from mdm_prime.evaluation.idle_steps import idle_steps, measure
from mdm_prime.reporting.occupancy import expected_idle_steps


@pytest.mark.parametrize(("num_steps", "size"), [(1, 1), (1, 5), (2, 1), (3, 4), (5, 3)])
def test_expectation_by_enumeration(num_steps, size):
    """For the linear schedule every sub-token's step is uniform."""
    every = list(itertools.product(range(num_steps), repeat=size))
    mean = sum(num_steps - len(set(steps)) for steps in every) / len(every)
    assert expected_idle_steps(num_steps, size, 1) == pytest.approx(mean, rel=1e-12, abs=1e-12)


def test_count_of_idle_steps():
    steps = torch.tensor([[[0, 0], [3, 1]], [[2, 2], [2, 2]], [[0, 1], [2, 3]]])
    assert idle_steps(steps, 5).tolist() == [2, 4, 1]
    assert idle_steps(steps, 4).tolist() == [1, 3, 0]


@pytest.mark.parametrize("num_steps", [1, 16, 64, 256])
@pytest.mark.parametrize("num_subtokens", [1, 4])
def test_measured_agrees_with_exact(num_steps, num_subtokens):
    row = measure(schedules.linear(), 32, num_subtokens, num_steps, 400, seed=0)
    exact = expected_idle_steps(num_steps, 32, num_subtokens)
    assert abs(row.idle_measured - exact) <= 4 * row.idle_stderr
    if num_steps > 1:
        assert 0 < row.idle_stderr < 0.05 * num_steps
    assert {key: getattr(row, key) for key in ("num_steps", "num_subtokens", "length", "num_sequences")} == {
        "num_steps": num_steps,
        "num_subtokens": num_subtokens,
        "length": 32,
        "num_sequences": 400,
    }


def test_figure_1_of_the_paper():
    """At L = T = 1024 a masked diffusion model idles in 37 % of its steps; more sub-tokens make that less."""
    shares = [expected_idle_steps(1024, 1024, ell) / 1024 for ell in (1, 2, 3, 4)]
    assert shares == pytest.approx([0.368, 0.135, 0.050, 0.018], abs=1e-3)
