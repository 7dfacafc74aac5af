"""Denoisers with an energy are used as the denoiser that they have."""

from __future__ import annotations

import pytest
import torch

from mdm_prime.core.objectives import sequence_losses
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.energies import AutoregressiveEnergy, LearntEnergy
from small_networks import random_dit

V, L = 5, 4
SUBTOKENIZER = Subtokenizer(V, 1)


@pytest.mark.parametrize("with_energy", [
    lambda denoiser: AutoregressiveEnergy(denoiser, random_dit(V, L, causal=True), SUBTOKENIZER),
    lambda denoiser: LearntEnergy(denoiser, random_dit(V, L), 16),
])  # fmt: skip
def test_its_losses_do_not_make_all_logits_at_once(with_energy):
    """It hands out the denoiser's head, which is then never called itself."""
    denoiser = random_dit(V, L)
    model, calls = with_energy(denoiser), []
    assert model.logits_layer is denoiser.head
    denoiser.head.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randint(V, (3, L))
    y, t = torch.full((3, L, 1), V), torch.ones(3)
    where = torch.ones(3, L, dtype=torch.bool)
    states = model(y, t, where, hidden=True)
    assert torch.equal(torch.nn.functional.linear(states, denoiser.head.weight, denoiser.head.bias), model(y, t, where))
    calls.clear()
    assert torch.equal(
        *(sequence_losses(net, x, y, t, SUBTOKENIZER, carry_over=True).joint for net in (model, denoiser))
    )
    assert not calls


def test_a_denoiser_without_a_head_has_none():
    model = AutoregressiveEnergy(torch.nn.Identity(), torch.nn.Identity(), SUBTOKENIZER)
    assert model.logits_layer is None
