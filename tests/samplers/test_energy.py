"""The sampler with candidates: its distribution by enumeration, its counts, the batch."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from enumeration import chi_square, random_denoiser
from mdm_prime.core.energies import autoregressive_energy
from mdm_prime.core.samples import SamplerInput
from mdm_prime.core.schedules import cosine, linear, polynomial
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.chains import Enumerated, chain
from mdm_prime.samplers.energy import EnergySampler

V, L = 3, 3
SUBTOKENIZER = Subtokenizer(V, 1)
TABLE = 2 * torch.randn(V**L, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Model:
    """A random denoiser with an energy that makes tokens depend on each other."""

    def __init__(self):
        self.denoiser = random_denoiser(SUBTOKENIZER, L)

    def __call__(self, y, t, where):
        return self.denoiser(y, t, where)

    def energy(self, x, y, t, log_p=None):
        return TABLE[x @ torch.tensor([9, 3, 1])] + t.double()


class Counted:
    """EDLM-coAR, and how many sequences each of its networks is evaluated on, and asked for positions of."""

    def __init__(self):
        self.rows, self.positions = {"denoiser": 0, "autoregressive": 0}, 0
        self.parts = {name: random_denoiser(SUBTOKENIZER, L, seed) for seed, name in enumerate(self.rows)}

    def __call__(self, y, t, where):
        self.positions += int(where.sum())
        return self._of("denoiser", y, t, where)

    def _of(self, name, y, t, where):
        self.rows[name] += len(y)
        return self.parts[name](y, t, where)

    def energy(self, x, y, t, log_p=None):
        return autoregressive_energy(self, partial(self._of, "autoregressive"), x, y, t, SUBTOKENIZER, log_p)


def drawn(indices, y=None, model=None, schedule=None, **settings):
    y = torch.full((len(indices), L, 1), V) if y is None else y
    sampler = EnergySampler(kind="energy", **settings)
    return sampler.draw(SamplerInput(model or Model(), y, y != V, 0, indices, schedule or linear(), SUBTOKENIZER, True))


@pytest.mark.parametrize("settings", [
    {"num_steps": 1, "candidates": 2},
    {"num_steps": 3, "candidates": 4, "temperature": 0.5},
    {"num_steps": 4, "candidates": 2, "window": (0.4, 0.6)},
    {"num_steps": 2, "candidates": 1},
])  # fmt: skip
def test_samples_are_distributed_as_enumeration_says(settings):
    num = 4000
    x = drawn(range(num), **settings).x
    sampler, model = EnergySampler(kind="energy", **settings), Model()
    known = Enumerated(model, SUBTOKENIZER, L, model.energy)

    def denoised(masked, t):
        if not sampler.inside(t):
            return known.independent(masked, t)
        return known.resampled(masked, t, candidates=sampler.candidates, temperature=sampler.temperature)

    q = chain(denoised, known.shape, linear(), sampler.num_steps)
    counts = torch.bincount(x @ torch.tensor([9, 3, 1]), minlength=V**L)
    assert chi_square(counts, q.flatten()) > 1e-3
    plain = chain(known.independent, known.shape, linear(), sampler.num_steps)
    assert (chi_square(counts, plain.flatten()) < 0.05) == (sampler.candidates > 1)


EVENTS = 4 * (1 - (3 / 4) ** L)  # the mean number of four even steps that reveal anything


def test_every_evaluation_is_counted():
    found = drawn(range(2000), num_steps=4, candidates=3)
    assert set((found.nfe % 4).tolist()) == {0}
    expected = EnergySampler(kind="energy", num_steps=4, candidates=3).evaluations(L, 1, linear())
    assert expected == pytest.approx(4 * EVENTS)
    alone = EnergySampler(kind="energy", num_steps=4, candidates=1)
    assert alone.evaluations(L, 1, linear()) == pytest.approx(EVENTS)
    window = EnergySampler(kind="energy", num_steps=4, candidates=3, window=(0.4, 0.6))
    assert window.evaluations(L, 1, linear()) == pytest.approx(EVENTS * (1 + 3 / 4))
    assert window.name == "energy-4-of-3-0.4-0.6"


@pytest.mark.parametrize("schedule", [linear(), cosine(), polynomial(3.0)])
@pytest.mark.parametrize("window", [(0.0, 1.0), (0.5, 1.0)])
def test_the_mean_number_of_evaluations_is_known(schedule, window):
    """Of each schedule: few steps at which much is revealed, or at which the window is, are fewer evaluations."""
    settings = {"num_steps": 4, "candidates": 3, "window": window}
    nfe = drawn(range(2000), schedule=schedule, **settings).nfe.double()
    expected = EnergySampler(kind="energy", **settings).evaluations(L, 1, schedule)
    assert abs(float(nfe.mean()) - expected) < 4 * float(nfe.std()) / 2000**0.5


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.4, 0.6), (0.1, 0.1)])
def test_what_is_counted_is_what_is_evaluated(window):
    """One evaluation of the denoiser an event, for all candidates, and one of the energy's own network for each."""
    model, num = Counted(), 50
    found = drawn(range(num), model=model, num_steps=4, candidates=3, window=window)
    assert sum(model.rows.values()) == int(found.nfe.sum())
    if window == (0.0, 1.0):
        assert model.rows["autoregressive"] == 3 * model.rows["denoiser"]


def test_outside_of_the_window_only_what_is_revealed_is_drawn():
    """Each position once."""
    model = Counted()
    drawn(range(50), model=model, num_steps=4, candidates=3, window=(0.1, 0.1))
    assert model.positions == 50 * L
    assert model.rows["autoregressive"] == 0


def test_a_larger_batch_waits_no_more_often_for_the_device():
    waits = {}
    for num in (8, 64):
        with Waits() as waits[num]:
            drawn(range(num), num_steps=2, window=(0.4, 0.6))
    assert waits[64].number <= waits[8].number


class Waits(TorchDispatchMode):
    """Counts the numbers that are read one by one."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_what_is_given_stays_and_the_batch_does_not_matter():
    y = torch.tensor([V, 1, V])[:, None].expand(8, -1, -1).clone()
    together = drawn(range(8), y, num_steps=3)
    apart = [drawn(range(i, i + 1), y[:1], num_steps=3) for i in range(8)]
    assert (together.x[:, 1] == 1).all()
    assert torch.equal(together.x, torch.cat([found.x for found in apart]))
    assert torch.equal(together.nfe, torch.cat([found.nfe for found in apart]))


def test_a_network_without_energy_is_refused():
    y = torch.full((1, L, 1), V)
    given = SamplerInput(random_denoiser(SUBTOKENIZER, L), y, y != V, 0, range(1), linear(), SUBTOKENIZER, True)
    with pytest.raises(ValueError, match="needs a model with an energy"):
        EnergySampler(kind="energy", num_steps=2).draw(given)
