import pytest
import torch
from torch import nn

from mdm_prime.training import ema


def set_weights(network, value):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def test_average_by_hand():
    network = nn.Linear(2, 2)
    set_weights(network, 1.0)
    average, expected = ema.copy_weights(network), 1.0
    for step in range(1, 200):
        set_weights(network, float(step % 7))
        ema.update(average, network, 0.9, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 7)
        for value in average.values():
            assert value.flatten().tolist() == pytest.approx([expected] * value.numel(), rel=1e-5)


def test_no_decay_keeps_the_weights_themselves():
    network = nn.Linear(3, 3)
    average = ema.copy_weights(network)
    for step in (1, 2, 3):
        nn.init.normal_(network.weight)
        ema.update(average, network, 0.0, step)
        assert all(torch.equal(average[name], parameter) for name, parameter in network.named_parameters())


def test_copy_is_a_copy():
    network = nn.Linear(2, 2)
    average = ema.copy_weights(network)
    set_weights(network, 5.0)
    assert all((value != 5.0).all() and not value.requires_grad for value in average.values())
