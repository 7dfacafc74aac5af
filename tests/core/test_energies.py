"""Residual energies: the telescoping sum, resampling, log Z and the noise-contrastive optimum, by enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from enumeration import all_masks, all_sequences, chi_square, random_denoiser
from mdm_prime.core.energies import (
    autoregressive_energy,
    candidates,
    completion_log_prob,
    log_partition,
    log_weights,
    noise_contrastive_loss,
)
from mdm_prime.core.objectives import autoregressive_loss
from mdm_prime.core.subtokens import Subtokenizer

V, L = 4, 3
SUBTOKENIZER = Subtokenizer(V, 1)
TABLE = 1.5 * torch.randn(L, V + 1, L, V, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def autoregressive(y, t, where):
    """Logits that depend on all earlier tokens."""
    position = torch.arange(L)
    seen = TABLE[position, y.squeeze(-1)]  # (B, L, L, V): what each seen token says to each position
    before = (position[:, None] <= position)[..., None]  # y is shifted: place i holds token i - 1
    return (seen * before).sum(1)[where]


def states():
    """Every sequence in every state: x, y, t and the weight 1 / (k C(L, k)) of its mask."""
    masks, weights = all_masks(L, 1)
    for x in all_sequences(V, L):
        y = SUBTOKENIZER.encode(x).masked_fill(masks, SUBTOKENIZER.mask_id)
        yield x.expand(len(y), -1), y, torch.rand(len(y), generator=torch.Generator().manual_seed(0)), weights


@pytest.mark.parametrize("seed", [0, 1])
def test_the_estimate_of_coar_is_the_likelihood_of_its_autoregressive_model(seed):
    """Whatever the denoiser: the sum over masks of (log p_theta - E) is log p_AR, sequence by sequence."""
    denoiser = random_denoiser(SUBTOKENIZER, L, seed, scale=2.0)
    for x, y, t, weights in states():
        energies = autoregressive_energy(denoiser, autoregressive, x, y, t, SUBTOKENIZER)
        estimate = weights @ -(completion_log_prob(denoiser, x, y, t, SUBTOKENIZER) - energies)
        assert float(estimate) == pytest.approx(float(autoregressive_loss(autoregressive, x[:1], V)), abs=1e-9)


def test_the_partition_function_of_coar_is_one():
    """In every state; yet what it says of masked tokens ignores the visible ones behind them."""
    denoiser, x = random_denoiser(SUBTOKENIZER, L), all_sequences(V, L)
    for mask in all_masks(L, 1)[0]:
        y = SUBTOKENIZER.encode(x).masked_fill(mask, SUBTOKENIZER.mask_id)
        t = torch.zeros(len(x))
        energies = autoregressive_energy(denoiser, autoregressive, x, y, t, SUBTOKENIZER)
        weights = (completion_log_prob(denoiser, x, y, t, SUBTOKENIZER) - energies).exp().view(V, V, V)
        total = weights.sum(tuple(mask.flatten().nonzero().flatten().tolist()))
        assert torch.allclose(total, torch.ones_like(total))


def test_candidates_are_drawn_from_the_denoiser():
    denoiser, num, k = random_denoiser(SUBTOKENIZER, L), 4000, 2
    y = torch.tensor([V, 1, V])[:, None].expand(num, -1, -1)
    uniforms = torch.rand(num, k, L, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, log_p = candidates(denoiser, y, torch.zeros(num), uniforms, SUBTOKENIZER)
    assert (x[..., 1] == 1).all()
    for other, known in zip(x.unbind(1), log_p.unbind(1), strict=True):
        assert torch.allclose(known, completion_log_prob(denoiser, other, y, torch.zeros(num), SUBTOKENIZER))
    every = all_sequences(V, L)
    p = completion_log_prob(denoiser, every, y[: len(every)], torch.zeros(len(every)), SUBTOKENIZER).exp()
    p = p * (every[:, 1] == 1)
    for other in x.unbind(1):
        counts = torch.bincount(other @ torch.tensor([16, 4, 1]), minlength=V**L)
        assert chi_square(counts, p) > 1e-3
    assert (x[:, 0] != x[:, 1]).any()
    last = torch.tensor([False, False, True]).expand(num, -1)
    some = candidates(denoiser, y, torch.zeros(num), uniforms, SUBTOKENIZER, last)
    assert torch.equal(some.x[..., 2], x[..., 2])
    first = candidates(denoiser, y, torch.zeros(num), uniforms, SUBTOKENIZER, last.flip(-1))
    assert torch.allclose(some.log_p + first.log_p, log_p)


def test_the_likelier_candidate_is_preferred():
    """The sign: a low energy is a high share, and a low temperature makes it higher."""
    energies = torch.tensor([[0.0, 2.0]])
    shares = log_weights(energies).exp()
    assert shares[0, 0] == pytest.approx(1 / (1 + math.exp(-2)))
    assert log_weights(energies, 0.5).exp()[0, 0] == pytest.approx(1 / (1 + math.exp(-4)))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_estimate_of_log_z_is_too_low_and_less_so_with_more_candidates(k):
    """The expectation over every tuple of k candidates; with one it is the mean of -E."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    energies = torch.tensor([0.0, 1.5, -2.0], dtype=torch.float64)
    exact = float((p.log() - energies).logsumexp(0))
    expected = sum(
        math.prod(p[i].item() for i in chosen) * float(log_partition(energies[list(chosen)][None]))
        for chosen in itertools.product(range(3), repeat=k)
    )
    fewer = float(-(p * energies).sum())
    assert expected < exact
    assert expected == pytest.approx(fewer) if k == 1 else expected > fewer + 0.1


def test_noise_contrastive_training_ends_at_the_true_ratio():
    """By gradient steps on every state of one: E tends to log p_theta - log p, whose Z is one."""
    p, q = (torch.randn(6, generator=torch.Generator().manual_seed(s), dtype=torch.float64).softmax(0) for s in (0, 1))
    energy = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [energy], max_iter=200, tolerance_grad=1e-12, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        every = noise_contrastive_loss(energy[:, None].expand(6, 6), energy[None].expand(6, 6))
        loss = (p[:, None] * q * every).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert torch.allclose(energy.detach(), q.log() - p.log(), atol=1e-4)
    assert float((q * (-energy.detach()).exp()).sum()) == pytest.approx(1, abs=1e-4)
    assert float(F.softplus(energy).detach()[0]) > 0
