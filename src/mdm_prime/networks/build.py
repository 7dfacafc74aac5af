"""A network from its section of the params file."""

from __future__ import annotations

import math

from torch import nn

from mdm_prime.experiment.sections import DiTNetwork, Network, UNetNetwork
from mdm_prime.networks.dit import DiT
from mdm_prime.networks.mlp import MLP
from mdm_prime.networks.unet import UNet


def build(
    network: Network,
    *,
    base: int,
    num_subtokens: int,
    vocab_size: int,
    length: int,
    channels: int = 1,
    causal: bool = False,
) -> nn.Module:
    """A network with fresh weights, drawn from torch's global generator.

    Args:
        network: its section of the params file.
        base: b, without the mask.
        num_subtokens: ell.
        vocab_size: V.
        length: L, tokens of a sequence; of an image, channels x size x size.
        channels: tokens of a pixel.
        causal: whether a position sees no later one.

    Raises ValueError for an autoregressive network that is no transformer, and for images that do not fit.
    """
    sizes = network.model_dump(exclude={"kind"})
    if isinstance(network, DiTNetwork):
        return DiT(base=base, num_subtokens=num_subtokens, vocab_size=vocab_size, causal=causal, **sizes)
    if causal:
        raise ValueError("an autoregressive model needs network.kind dit")
    if isinstance(network, UNetNetwork):
        size = math.isqrt(length // channels)
        if length != channels * size * size:
            raise ValueError(f"length {length} is not that of a square image with {channels} tokens a pixel")
        return UNet(
            base=base, num_subtokens=num_subtokens, vocab_size=vocab_size, channels=channels, size=size, **sizes
        )
    return MLP(base=base, num_subtokens=num_subtokens, vocab_size=vocab_size, length=length, **sizes)
