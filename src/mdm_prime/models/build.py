"""A network from its section of the params file."""

from __future__ import annotations

from torch import nn

from mdm_prime.models.dit import DiT
from mdm_prime.models.mlp import MLP
from mdm_prime.sections import DiTNetwork, Network


def build(
    network: Network, *, base: int, num_subtokens: int, vocab_size: int, length: int, causal: bool = False
) -> nn.Module:
    """A network with fresh weights, drawn from torch's global generator.

    Raises ValueError for an autoregressive perceptron.
    """
    sizes = network.model_dump(exclude={"kind"})
    if isinstance(network, DiTNetwork):
        return DiT(base=base, num_subtokens=num_subtokens, vocab_size=vocab_size, causal=causal, **sizes)
    if causal:
        raise ValueError("an autoregressive model needs network.kind dit")
    return MLP(base=base, num_subtokens=num_subtokens, vocab_size=vocab_size, length=length, **sizes)
