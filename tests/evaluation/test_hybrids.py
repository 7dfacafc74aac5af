"""EDLM's estimates by draws, beside exact values."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from enumeration import all_sequences, random_denoiser
from mdm_prime.core.energies import autoregressive_energy
from mdm_prime.core.schedules import cosine, linear
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.chains import Enumerated, published_estimate
from mdm_prime.evaluation.hybrids import reported
from mdm_prime.evaluation.likelihood import autoregressive_likelihood, autoregressive_values, masked_likelihood
from mdm_prime.evaluation.measurement import BOUND, PUBLISHED, Evaluated
from mdm_prime.experiment.sections.models import Evaluation
from mdm_prime.models.energy_ar import evaluation as energy_ar
from mdm_prime.networks.modules.energies import AutoregressiveEnergy
from small_networks import random_dit

V, L = 5, 4
SUBTOKENIZER = Subtokenizer(V, 1)
OPTIONS = {"num_samples": 4000, "batch_size": 1000, "seed": 0, "device": torch.device("cpu")}
TOKENS = np.random.default_rng(0).integers(0, V, (400, L)).astype(np.uint8)


@pytest.fixture(scope="module")
def autoregressive():
    return random_dit(V, L, causal=True)


@pytest.mark.parametrize("schedule", [linear(), cosine()])
@pytest.mark.parametrize("scale", [0.0, 3.0])
def test_coar_reports_its_autoregressive_model(autoregressive, schedule, scale):
    """Equal within the error of the masks, for a uniform denoiser as for a bad one, and far from what that reports."""
    denoiser = random_denoiser(SUBTOKENIZER, L, scale=scale)
    energy = partial(autoregressive_energy, denoiser, autoregressive)

    def of(x, y, t, log_p):
        return energy(x, y, t, SUBTOKENIZER, log_p)

    values = autoregressive_values(autoregressive, TOKENS, V, OPTIONS["device"])(slice(0, len(TOKENS)))
    found = reported(denoiser, of, TOKENS, SUBTOKENIZER, schedule, exact=values, **OPTIONS)
    exact = autoregressive_likelihood(autoregressive, TOKENS, V, batch_size=100, device=torch.device("cpu"))
    assert found.exact.mean == pytest.approx(exact.nelbo.mean)
    assert found.published.mean - found.exact.mean == pytest.approx(found.difference.mean)
    assert abs(found.difference.mean) < 4 * found.difference.stderr < 0.15
    plain = masked_likelihood(denoiser, TOKENS, SUBTOKENIZER, schedule, carry_over=True, **OPTIONS)
    assert found.denoiser == pytest.approx(plain.nelbo)
    assert abs(plain.nelbo.mean - exact.nelbo.mean) > 0.1


def test_the_denoiser_is_evaluated_once_a_draw(autoregressive):
    rows, alone = [], random_denoiser(SUBTOKENIZER, L)

    def denoiser(y, t, where):
        rows.append(len(y))
        return alone(y, t, where)

    def of(x, y, t, log_p=None):
        return autoregressive_energy(denoiser, autoregressive, x, y, t, SUBTOKENIZER, log_p)

    reported(denoiser, of, TOKENS, SUBTOKENIZER, linear(), **OPTIONS)
    assert sum(rows) == OPTIONS["num_samples"]
    rows.clear()
    reported(denoiser, of, TOKENS, SUBTOKENIZER, linear(), **OPTIONS, num_candidates=3)
    assert sum(rows) == 2 * OPTIONS["num_samples"]  # and once for all candidates


class Kept:
    """What several processes share; the first one computes it."""

    def __init__(self):
        self.parts = {}

    def claimed(self):
        return [number for number in range(2) if number not in self.parts]

    def load(self, index):
        return self.parts[index]

    def save(self, index, **arrays):
        self.parts[index] = arrays


def test_what_another_process_has_evaluated_is_not_evaluated_again(autoregressive):
    """Neither the exact values nor the draws; and the exact ones once, though they are compared with the draws."""
    network = AutoregressiveEnergy(torch.nn.Identity(), autoregressive, SUBTOKENIZER)
    network.denoiser.forward = random_denoiser(SUBTOKENIZER, L)
    rows = []
    autoregressive.register_forward_hook(lambda network, given, made: rows.append(len(given[0])))
    settings = Evaluation(num_samples=600, batch_size=100, seed=0)
    given = Evaluated(None, network, TOKENS, SUBTOKENIZER, linear(), settings, torch.device("cpu"))
    kept, found = {BOUND: Kept(), PUBLISHED: Kept()}, []
    for _ in range(2):
        plan = energy_ar.measurements(given)
        found.append(
            {name: part.measured(kept=kept[name], shard_size=-(-part.total // 2)) for name, part in plan.items()}
        )
        assert sum(rows) == len(TOKENS) + 600
    assert found[0] == found[1]
    assert (
        energy_ar.measurements(given)[PUBLISHED].measured(kept=kept[PUBLISHED], shard_size=300) == found[0][PUBLISHED]
    )
    bound, published = found[0][BOUND], found[0][PUBLISHED]
    assert bound.num_samples == len(TOKENS)
    assert published.num_samples == 600
    assert set(published.beside) == {"denoiser", "autoregressive", "difference"}
    difference = published.joint_loss.mean - published.beside["autoregressive"].mean
    assert published.beside["difference"].mean == pytest.approx(difference)


@pytest.mark.parametrize("k", [1, 4])
def test_the_estimate_with_candidates(k):
    """Of a single candidate it is what enumeration says with the mean of -E in the place of log Z."""
    denoiser = random_denoiser(SUBTOKENIZER, L)
    table = torch.randn(V**L, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def energy(x, y, t, log_p=None):
        return table[x @ torch.tensor([125, 25, 5, 1])]

    model = Enumerated(denoiser, SUBTOKENIZER, L, energy)
    x = all_sequences(V, L).numpy().astype(np.uint8)
    found = reported(denoiser, energy, x, SUBTOKENIZER, linear(), **OPTIONS | {"num_samples": 20000}, num_candidates=k)
    p = torch.full(model.shape, V**-L, dtype=torch.float64)

    def of_one(masked, t):
        return (model.independent(masked, t) * -model.energies(masked, t)).sum(masked, keepdim=True)

    one, exact = (published_estimate(model, p, log_z) / L for log_z in (of_one, model.log_partition))
    assert one < exact - 0.1
    if k == 1:
        assert abs(found.published.mean - one) < 4 * found.published.stderr < 0.15
    else:
        assert one < found.published.mean < exact


def test_the_candidates_do_not_depend_on_the_batch():
    denoiser = random_denoiser(SUBTOKENIZER, L)
    found = [
        reported(
            denoiser, lambda x, y, t, log_p: x.double().sum(-1), TOKENS, SUBTOKENIZER, linear(), num_candidates=2,
            **OPTIONS | {"batch_size": size},
        ).published.mean
        for size in (100, 1000)
    ]  # fmt: skip
    assert found[0] == pytest.approx(found[1])
