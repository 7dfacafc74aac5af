"""Chance inside of a network: of an example, whatever the batch, and as good as torch's own."""

import pytest
import torch
from torch import nn

from mdm_prime.core.keyed import Choice, Dropout, mixed, set_keys

KEYS = torch.tensor([0, 1, 2, 2**31, 2**32 - 1, 123456789])


def layers(*modules):
    network = nn.ModuleList(modules).train()
    set_keys(network, KEYS)
    return network


def test_what_is_dropped_of_an_example_does_not_depend_on_the_others():
    first, second = network = layers(Dropout(0.5), Dropout(0.5))
    h = torch.randn(len(KEYS), 5, 7)
    whole = [first(h), second(h)]
    assert not torch.equal(*whole)
    set_keys(network, KEYS[2:4])
    assert torch.equal(first(h[2:4]), whole[0][2:4])
    assert torch.equal(second(h[2:4]), whole[1][2:4])
    dropped = [whole[0] == 0, whole[1] == 0]
    assert len({*map(str, dropped[0].flatten(1).int().tolist())}) == len(KEYS)
    kept = ~dropped[0]
    assert torch.equal(whole[0][kept], h[kept] * 2)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_and_its_independence(probability):
    """Shares of neighbours in each direction (place, key, layer) that are dropped together: p^2 if independent."""
    network = layers(Dropout(probability), Dropout(probability))
    keys, places = 400, 500
    set_keys(network, torch.arange(keys))
    h = torch.ones(keys, places)
    first, second = ((layer(h) == 0).double() for layer in network)
    error = (probability * (1 - probability) / first.numel()) ** 0.5
    assert abs(first.mean() - probability) < 4 * error
    pairs = [(first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, second), (first[:, 256:], first[:, :-256])]
    for one, other in pairs:
        both = probability**2
        assert abs((one * other).mean() - both) < 4 * (both * (1 - both) / one.numel()) ** 0.5 + 4 * error * probability


def test_nothing_is_dropped_outside_of_training():
    (layer,) = layers(Dropout(0.5))
    h = torch.randn(len(KEYS), 3)
    assert layer.eval()(h) is h
    assert layers(Dropout(0.0))[0](h) is h


def test_every_choice_is_as_likely():
    (choice,) = network = layers(Choice(3))
    set_keys(network, torch.arange(3000))
    counts = choice(KEYS).bincount(minlength=3)
    assert (counts - 1000).abs().max() < 4 * (3000 * 2 / 9) ** 0.5
    set_keys(network, torch.arange(7, 9))
    again = choice(KEYS)
    set_keys(network, torch.arange(10))
    assert torch.equal(choice(KEYS)[7:9], again)
    assert Choice(1)(KEYS).tolist() == [0] * len(KEYS), "without keys"


def test_mixing_loses_nothing_and_moves_half_of_the_bits():
    x = torch.randint(-(2**31), 2**31, (2000,), generator=torch.Generator().manual_seed(0)).unique().int()
    assert len(mixed(x).unique()) == len(x)
    for bit in range(32):
        flip = torch.tensor(1 << bit if bit < 31 else -(2**31), dtype=torch.int32)
        changed = (mixed(x) ^ mixed(x ^ flip))[:, None] >> torch.arange(32, dtype=torch.int32) & 1
        shares = changed.double().mean(0)
        assert (shares - 0.5).abs().max() < 0.1, bit


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_layers_take_new_keys(backend):
    (layer,) = network = layers(Dropout(0.5))
    compiled = torch.compile(layer, backend=backend)
    h = torch.randn(len(KEYS), 4)
    for keys in (KEYS, KEYS.flip(0)):
        set_keys(network, keys)
        assert torch.equal(compiled(h), layer(h))
