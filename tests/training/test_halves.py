"""Both halves of a mask: the same integral as without, and a network that packs them computes the same."""

import pytest
import torch
from torch import nn

from enumeration import all_masks, random_denoiser
from mdm_prime.core import schedules
from mdm_prime.core.keyed import set_keys
from mdm_prime.core.noise import BatchNoise
from mdm_prime.core.objectives import sequence_losses
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.networks.modules.partition import Partition
from mdm_prime.training.halves import of_both_halves, weights_of_halves
from mdm_prime.training.losses import NoisedBatch, masked_loss

SCHEDULES = {"linear": schedules.linear(), "cubic": schedules.polynomial(3.0), "cosine": schedules.cosine()}
SUBTOKENIZER = Subtokenizer(5, 2)


@pytest.mark.parametrize("t_min", [0.0, 0.1, 0.4, 0.7])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_set_has_the_weight_that_it_has_without_complements(name, t_min):
    """The integral over times of weight times probability, of each set as a mask or as a complement."""
    schedule, n, points = SCHEDULES[name], 4, 400000
    k = all_masks(2, 2)[0].sum((1, 2)).double().unique()  # sets of equal size have equal weights
    t = t_min + (1 - t_min) * (torch.arange(points, dtype=torch.float64) + 0.5) / points
    hidden = schedule.mask_probability(t)[:, None]
    plain = (schedule.loss_weight(t)[:, None] * hidden**k * (1 - hidden) ** (n - k)).mean(0)
    weights, times = weights_of_halves(schedule, t, t_min)
    both = weights[:, :1] * hidden**k * (1 - hidden) ** (n - k) + weights[:, 1:] * (1 - hidden) ** k * hidden ** (n - k)
    torch.testing.assert_close(both.mean(0), plain, rtol=2e-5, atol=0)
    torch.testing.assert_close(schedule.mask_probability(times), 1 - hidden[:, 0])


@pytest.mark.parametrize("joint", [True, False])
def test_loss_is_the_weighted_mean_of_both(joint):
    denoiser, generator = random_denoiser(SUBTOKENIZER, 3), torch.Generator().manual_seed(0)
    x, t = torch.randint(5, (40, 3), generator=generator), torch.linspace(0.15, 1.0, 40)
    clean = SUBTOKENIZER.encode(x)
    hidden = torch.rand(clean.shape, generator=generator) < t.view(-1, 1, 1)
    mask = SUBTOKENIZER.mask_id
    batch = NoisedBatch(denoiser, x, clean.masked_fill(hidden, mask), t, SUBTOKENIZER, SCHEDULES["linear"], True, 0.1)
    found = of_both_halves(batch, joint=joint)
    one, other = (
        sequence_losses(denoiser, x, clean.masked_fill(part, mask), t, SUBTOKENIZER, carry_over=True)[not joint]
        for part in (hidden, ~hidden)
    )
    both_counted = (one / t + other / (1 - t)) / 2
    expected = torch.where(1 - t > 0.1, both_counted, one / t)
    torch.testing.assert_close(found, expected.float(), check_dtype=False)
    assert (other > 0).sum() > 20


def test_two_masks_and_their_complements_with_dropout():
    """Of the second mask the rows have the keys of their examples, as those of the first."""
    torch.manual_seed(0)
    sizes = {"length": 2, "width": 8, "blocks": 1, "heads": 2, "conditioning_width": 4, "dropout": 0.5}
    network = DiT(base=SUBTOKENIZER.base, num_subtokens=2, vocab_size=5, **sizes).train()
    nn.init.normal_(network.head.weight)
    x, t = torch.randint(5, (3, 2)), torch.tensor([0.3, 0.6, 0.9])
    given = {"objective": "complement", "carry_over": True}

    def loss(masks):
        set_keys(network, torch.arange(3))
        noise = BatchNoise(torch.Generator().manual_seed(1), 3)
        return masked_loss(SUBTOKENIZER, SCHEDULES["linear"], masks=masks, **given)(network, x, t, noise)

    assert loss(2).shape == (3,)
    assert torch.isfinite(loss(2)).all()
    assert not torch.equal(loss(2), loss(1))


@pytest.mark.parametrize("objective", ["complement", "complement_nelbo"])
@pytest.mark.parametrize("schedule", SCHEDULES.values())
def test_loss_is_finite_at_both_ends(schedule, objective):
    for time, t_min in ((2.0**-24, 0.0), (1.0, 0.0), (1.0, 0.2), (1 - 2.0**-24, 0.0)):
        x = torch.randint(5, (25, 2), generator=torch.Generator().manual_seed(0))
        loss = masked_loss(SUBTOKENIZER, schedule, objective=objective, carry_over=True, t_min=t_min)
        noise = BatchNoise(torch.Generator().manual_seed(0), 25)
        assert loss(random_denoiser(SUBTOKENIZER, 2), x, torch.full((25,), time), noise).isfinite().all()


def partition(ell):
    torch.manual_seed(0)
    made = Partition(
        base=Subtokenizer(5, ell).base, num_subtokens=ell, vocab_size=5, length=6, width=12, encoder_blocks=1,
        decoder_blocks=1, heads=2, conditioning_width=4,
    ).double()  # fmt: skip
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made


class Unpacked:
    """The same network without its shorter way."""

    def __init__(self, network):
        self.network = network

    def __call__(self, y, t, where):
        return self.network(y, t, where)


@pytest.mark.parametrize("objective", ["complement", "complement_nelbo"])
@pytest.mark.parametrize("ell", [1, 2])
def test_a_network_that_packs_both_halves_has_the_same_loss_and_gradient(ell, objective):
    made, subtokenizer = partition(ell), Subtokenizer(5, ell)
    x, t = torch.randint(5, (8, 6), generator=torch.Generator().manual_seed(0)), torch.linspace(0.05, 0.95, 8).double()
    found = []
    for network in (made, Unpacked(made)):
        loss = masked_loss(subtokenizer, SCHEDULES["linear"], objective=objective, carry_over=True)
        values = loss(network, x, t, BatchNoise(torch.Generator().manual_seed(1), 8))
        found.append((values, *torch.autograd.grad(values.sum(), list(made.parameters()))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("make", ["dit", "partition"])
def test_dropout_is_an_example_s_own(make):
    """Whatever stands beside it in the batch; and the halves have bits of their own."""
    sizes = {"num_subtokens": 1, "vocab_size": 5, "length": 6, "width": 12, "heads": 2, "conditioning_width": 4}
    torch.manual_seed(0)
    if make == "dit":
        network = DiT(base=5, blocks=1, dropout=0.5, **sizes)
    else:
        network = Partition(base=5, encoder_blocks=1, decoder_blocks=1, dropout=0.5, **sizes)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    x, t = torch.zeros(4, 6, dtype=torch.long), torch.full((4,), 0.5)
    loss = masked_loss(Subtokenizer(5, 1), SCHEDULES["linear"], objective="complement", carry_over=True)

    def values(rows, training=True):
        set_keys(network.train(training), torch.tensor([11, 22, 33, 44])[rows])
        noise = BatchNoise(torch.Generator().manual_seed(1), 4, range(rows.start, rows.stop))
        return loss(network, x[rows], t[rows], noise)

    whole = values(slice(0, 4))
    torch.testing.assert_close(torch.cat([values(slice(0, 1)), values(slice(1, 4))]), whole)
    assert not torch.allclose(values(slice(0, 4), training=False), whole)
