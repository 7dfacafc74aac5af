"""Chance inside of a network that belongs to examples: it does not depend on which others are beside one.

torch's own dropout draws for a whole batch at once, so processes could not share a batch and see what one would. Here
the bits are a hash of a key of the example, of a place in it and of the number of the layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LOW_31_BITS = 2**31 - 1


class Keyed(nn.Module):
    """Base of what needs chance in training; its batch has to be that of the last `set_keys`."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = 0
        self.keys = self.of_examples = torch.zeros(0, dtype=torch.int32)

    def bits(self, number: int) -> Tensor:
        """(B, number) int32 from 0 to 2^31 - 1."""
        places = torch.arange(number, dtype=torch.int32, device=self.keys.device) + self.layer * 0x01000193
        return mixed(mixed(places) ^ self.keys[:, None]) & LOW_31_BITS


class Dropout(Keyed):
    """Sets values to zero with this probability in training."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, h: Tensor) -> Tensor:
        """H (B, ...); returns the same shape."""
        if not self.training or self.probability == 0:
            return h
        kept = self.bits(h[0].numel()).view_as(h) >= int(self.probability * 2**31)
        return h * kept / (1 - self.probability)


class Choice(Keyed):
    """One of so many things for each example, each as likely."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, like: Tensor) -> Tensor:
        """(B,) int64 for a batch (B, ...), on its device."""
        if self.count == 1:
            return like.new_zeros(len(like), dtype=torch.int64)
        return self.bits(1)[:, 0].long() % self.count


def mixed(x: Tensor) -> Tensor:
    """A bijection of int32 that looks like chance: the finaliser of MurmurHash3."""
    x = x ^ ((x >> 16) & 0xFFFF)  # shifted without its sign
    x = x * -0x7A143595  # 0x85ebca6b
    x = x ^ ((x >> 13) & 0x7FFFF)
    x = x * -0x3D4D51CB  # 0xc2b2ae35
    return x ^ ((x >> 16) & 0xFFFF)


def set_keys(network: nn.Module, keys: Tensor) -> None:
    """Gives a network the keys (B,) int64, below 2^32, of the examples that it will see."""
    small = keys.to(torch.int32)
    for layer, module in enumerate(module for module in network.modules() if isinstance(module, Keyed)):
        module.layer, module.keys, module.of_examples = layer, small, small


def split_keys(network: nn.Module) -> None:
    """Gives each example that the network has a key of two rows that follow each other, with keys of their own."""
    for module in network.modules():
        if isinstance(module, Keyed):
            own = module.of_examples
            module.keys = torch.stack([own, mixed(own + 1)], 1).flatten()
