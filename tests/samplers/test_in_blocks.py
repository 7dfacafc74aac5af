"""Sampling block by block: its distribution, with finished blocks kept and without."""

import pytest
import torch

from enumeration import all_sequences, chi_square, random_weights
from mdm_prime.core import schedules
from mdm_prime.core.blocks import blocks_log_prob
from mdm_prime.core.orders import ORDERS
from mdm_prime.core.samples import SamplerInput
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.block_dit import BlockDiT
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.samplers.ancestral import AncestralSampler
from mdm_prime.samplers.euler import EulerSampler
from mdm_prime.samplers.exact import prior_sample
from mdm_prime.samplers.first_hitting import FirstHittingSampler
from mdm_prime.samplers.in_blocks import draw_in_blocks
from mdm_prime.samplers.ordered import OrderedSampler
from mdm_prime.samplers.partition import PartitionSampler

LENGTH = 4
ANCESTRAL, FIRST_HITTING = AncestralSampler(kind="ancestral", num_steps=6), FirstHittingSampler(kind="first_hitting")
IN_ORDER = OrderedSampler(kind="ordered", order="left_to_right")
EULER = EulerSampler(kind="euler", num_steps=6)
SAMPLERS = [ANCESTRAL, FIRST_HITTING, IN_ORDER, EULER]


def settings(subtokenizer, length=LENGTH, time_conditioning=True):
    return {
        "base": subtokenizer.base, "num_subtokens": subtokenizer.num_subtokens, "vocab_size": subtokenizer.vocab_size,
        "length": length, "width": 12, "blocks": 2, "heads": 2, "conditioning_width": 4,
        "time_conditioning": time_conditioning,
    }  # fmt: skip


def block_dit(subtokenizer, block_size, length=LENGTH, time_conditioning=True):
    network = BlockDiT(block_size=block_size, **settings(subtokenizer, length, time_conditioning))
    return random_weights(network, scale=0.4)


def asked(subtokenizer, indices, prefix=(), network=None, length=LENGTH, record=None):
    y, fixed = prior_sample(len(indices), length, subtokenizer, torch.tensor(prefix, dtype=torch.long))
    return SamplerInput(network, y, fixed, 0, indices, schedules.linear(), subtokenizer, True, record)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
@pytest.mark.parametrize(("vocab_size", "ell"), [(3, 1), (4, 2)])
@pytest.mark.parametrize("prefix", [(), (1,), (1, 2, 0)])
def test_kept_blocks_change_nothing_and_neither_does_the_batch(sampler, vocab_size, ell, prefix):
    subtokenizer = Subtokenizer(vocab_size, ell)
    network = block_dit(subtokenizer, 2)
    found = draw_in_blocks(sampler, network, asked(subtokenizer, range(5, 45), prefix), 2)
    without = draw_in_blocks(sampler, network, asked(subtokenizer, range(5, 45), prefix), 2, cached=False)
    assert torch.equal(found.x, without.x)
    assert torch.equal(found.nfe, without.nfe)
    assert (found.x[:, : len(prefix)] == torch.tensor(prefix, dtype=torch.long)).all()
    assert len(found.x.unique(dim=0)) > 2
    alone = draw_in_blocks(sampler, network, asked(subtokenizer, range(9, 10), prefix), 2)
    assert torch.equal(alone.x[0], found.x[4])
    assert int(alone.nfe[0]) == int(found.nfe[4])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
def test_one_block_is_what_the_sampler_draws_from_the_plain_network(sampler):
    subtokenizer = Subtokenizer(4, 2)
    network, plain = block_dit(subtokenizer, LENGTH), DiT(**settings(subtokenizer)).double().eval()
    plain.load_state_dict(network.state_dict())
    found = draw_in_blocks(sampler, network, asked(subtokenizer, range(20)), LENGTH)
    with torch.no_grad():
        expected = sampler.draw(asked(subtokenizer, range(20), network=plain))
    assert torch.equal(found.x, expected.x)
    assert torch.equal(found.nfe, expected.nfe)


@pytest.mark.parametrize(("vocab_size", "ell", "block_size"), [(3, 1, 1), (3, 1, 2), (4, 2, 2)])
def test_samples_have_the_exact_probabilities_of_the_order(vocab_size, ell, block_size):
    subtokenizer = Subtokenizer(vocab_size, ell)
    network = block_dit(subtokenizer, block_size, time_conditioning=False)  # the times of some samplers are random
    x = all_sequences(vocab_size, LENGTH)
    probs = blocks_log_prob(
        network, x, ORDERS["left_to_right"], subtokenizer, schedules.linear(), block_size=block_size, carry_over=True
    ).exp()
    samplers = [IN_ORDER] if block_size * ell > 1 else [IN_ORDER, FIRST_HITTING, ANCESTRAL]  # one order, if one place
    for sampler in samplers:
        samples = draw_in_blocks(sampler, network, asked(subtokenizer, range(4000)), block_size)
        place = torch.tensor([vocab_size**i for i in reversed(range(LENGTH))])
        counts = torch.bincount((samples.x * place).sum(1), minlength=len(x))
        assert chi_square(counts, probs) > 1e-3


def test_evaluations_and_the_positions_of_each_are_those_of_one_block(monkeypatch):
    """What the table of block diffusion says of speed: a block each, and every clean position but the last block's."""
    subtokenizer, length, read, finished = Subtokenizer(4, 2), 8, [], []
    network = block_dit(subtokenizer, 2, length)
    forward = network.forward

    def counted(y, t, where, **options):
        read.append(y.shape[1] + options["clean"].shape[1])
        finished.append(options["clean"][..., 0].numel())
        return forward(y, t, where, **options)

    monkeypatch.setattr(network, "forward", counted)
    for sampler, evaluations in ((FIRST_HITTING, 16), (IN_ORDER, 16)):
        read.clear()
        samples = draw_in_blocks(sampler, network, asked(subtokenizer, range(1), length=length), 2)
        assert samples.nfe.tolist() == [evaluations] == [len(read)]
        assert sum(read) == evaluations * 2 + length - 2
    read.clear()
    prefix = (1, 2, 3, 0, 1)
    samples = draw_in_blocks(FIRST_HITTING, network, asked(subtokenizer, range(1), prefix, length=length), 2)
    assert samples.nfe.tolist() == [6] == [len(read)]
    assert sum(read) == 6 * 2 + length - 2
    finished.clear()
    draw_in_blocks(EULER, network, asked(subtokenizer, range(60), length=length), 2)  # some are idle in a step
    assert sum(finished) == 60 * (length - 2)


def test_a_number_for_each_block_of_the_last_sample_there_may_be():
    """2 blocks of 2^23 samples: as many as there are numbers, and check-params allows so many."""
    subtokenizer = Subtokenizer(3, 1)
    given = asked(subtokenizer, range(2**23 - 1, 2**23))
    assert draw_in_blocks(FIRST_HITTING, block_dit(subtokenizer, 2), given, 2).x.shape == (1, LENGTH)


def test_the_steps_are_those_of_all_blocks_together():
    assert ANCESTRAL.of_part(3).num_steps == 2
    assert ANCESTRAL.of_part(100).num_steps == 1
    assert FIRST_HITTING.of_part(3) == FIRST_HITTING
    with_one_more = PartitionSampler(kind="partition", num_steps=8, spread="binomial")  # which is no step of the params
    assert with_one_more.of_part(1) == with_one_more


def test_on_the_way_whole_sequences_are_told_from_time_one_to_zero():
    subtokenizer, told = Subtokenizer(3, 1), []
    given = asked(subtokenizer, range(3), record=lambda t, y: told.append((t, int((y == 3).sum()))))
    draw_in_blocks(IN_ORDER, block_dit(subtokenizer, 2), given, 2)
    times, masks = zip(*told, strict=True)
    assert list(times) == sorted(times, reverse=True)
    assert list(masks) == sorted(masks, reverse=True)
    assert (times[0], masks[0]) == (1.0, 12)
    assert (times[-1], masks[-1]) == (0.0, 0)
