"""Samplers with an order have exact probabilities: small cases written out in full."""

import functools

import pytest
import torch

from enumeration import all_sequences, random_denoiser, random_joint
from mdm_prime.core import schedules
from mdm_prime.core.orders import ORDERS
from mdm_prime.core.revealing import sequence_log_prob
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.training.losses import NoisedBatch
from mdm_prime.training.objectives import joint_loss

LINEAR = schedules.linear()
SHAPES = [(4, 3, 1), (7, 2, 2), (5, 2, 3), (4, 2, 2)]  # V, L, ell; there are invalid codes for the two in the middle


@functools.cache
def trained_network(vocab_size, length, ell):
    """A few steps on a source whose tokens and digits depend on each other."""
    x, p = random_joint(vocab_size, length, seed=3, sharpness=2.0)
    subtokenizer = Subtokenizer(vocab_size, ell)
    torch.manual_seed(0)
    network = DiT(
        base=subtokenizer.base, num_subtokens=ell, vocab_size=vocab_size, length=length, width=12, blocks=1, heads=2,
        conditioning_width=4, time_conditioning=True,
    ).double()  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        tokens = x[torch.multinomial(p, 64, replacement=True, generator=generator)]
        t = torch.rand(64, generator=generator, dtype=torch.float64) * 0.99 + 0.01
        y = subtokenizer.encode(tokens)
        hidden = torch.rand(y.shape, generator=generator) < t.view(-1, 1, 1)
        noised = NoisedBatch(
            network, tokens, y.masked_fill(hidden, subtokenizer.mask_id), t, subtokenizer, LINEAR, True
        )
        optimiser.zero_grad()
        joint_loss.loss(noised).mean().backward()
        optimiser.step()
    return network.eval()


def log_probs(denoiser, x, order, subtokenizer, **options):
    return sequence_log_prob(denoiser, x, ORDERS[order], subtokenizer, LINEAR, **{"carry_over": True} | options)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["random", "trained"])
@pytest.mark.parametrize("carry_over", [True, False])
def test_the_probabilities_of_all_sequences_sum_to_one(shape, kind, order, carry_over):
    vocab_size, length, ell = shape
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = trained_network(*shape) if kind == "trained" else random_denoiser(subtokenizer, length, scale=2.0)
    x = all_sequences(vocab_size, length)
    found = log_probs(denoiser, x, order, subtokenizer, carry_over=carry_over, seed=1)
    assert float(found.exp().sum()) == pytest.approx(1.0, rel=1e-6)
    assert found.isfinite().all()
