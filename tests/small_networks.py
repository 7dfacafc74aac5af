"""Networks of a few weights, random everywhere, so that every output depends on every input that it may read."""

from __future__ import annotations

import torch

from mdm_prime.experiment.shape import Shape
from mdm_prime.networks.dit import DiTNetwork


def random_dit(vocab_size, length, causal=False):
    """Of whole tokens, without dropout, that ignores the time; the same at every call."""
    torch.manual_seed(0)
    section = DiTNetwork(
        kind="dit", width=16, blocks=1, heads=2, conditioning_width=8, dropout=0.0, time_conditioning=False
    )
    shape = Shape(base=vocab_size, num_subtokens=1, vocab_size=vocab_size, length=length, channels=1, causal=causal)
    network = section.build(shape)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    return network.eval()
