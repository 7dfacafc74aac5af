"""What a network is built for, apart from its own settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The tokens that a network sees.

    Attributes:
        base: b, without the mask.
        num_subtokens: ell.
        vocab_size: V.
        length: L, tokens of a sequence; of an image, channels x size x size.
        channels: tokens of a pixel; 1 for what is no image.
        causal: whether a position sees no later one: the network of an autoregressive model.
    """

    base: int
    num_subtokens: int
    vocab_size: int
    length: int
    channels: int = 1
    causal: bool = False
