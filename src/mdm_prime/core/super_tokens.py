"""An RGB pixel as two super-tokens: the same number in base 4096 instead of base 256 (2/3 of a token per channel)."""

from __future__ import annotations

from torch import Tensor

from mdm_prime.core.subtokens import Subtokenizer

_PIXEL_VALUES = 256**3
_CHANNELS = Subtokenizer(_PIXEL_VALUES, num_subtokens=3)  # base 256: R, G, B
_SUPER_TOKENS = Subtokenizer(_PIXEL_VALUES, num_subtokens=2)  # base 4096


def to_super_tokens(x: Tensor) -> Tensor:
    """Pixel values (B, 3 * P) int64, channels first, to super-tokens (B, 2 * P) int64, the first of every pixel first.

    A pixel is the number R * 65536 + G * 256 + B; its super-tokens are the two digits in base 4096.
    """
    return _rewritten(x, _CHANNELS, _SUPER_TOKENS)


def from_super_tokens(x: Tensor) -> Tensor:
    """The inverse: (B, 2 * P) in {0..4095} to (B, 3 * P) in {0..255}, int64."""
    return _rewritten(x, _SUPER_TOKENS, _CHANNELS)


def _rewritten(x: Tensor, before: Subtokenizer, after: Subtokenizer) -> Tensor:
    digits = x.unflatten(1, (before.num_subtokens, -1)).transpose(1, 2)  # (B, P, digits)
    return after.encode(before.decode(digits)).transpose(1, 2).flatten(1)
