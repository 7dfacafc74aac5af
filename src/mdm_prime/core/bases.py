"""The base of sub-tokens; needs no torch, so that params can be checked without."""

from __future__ import annotations


def smallest_base(vocab_size: int, num_subtokens: int) -> int:
    """The smallest b with b ** num_subtokens >= vocab_size, in integer arithmetic.

    `ceil(vocab_size ** (1 / num_subtokens))` is one too large at perfect powers such as 32,768 = 8 ** 5.
    """
    if vocab_size < 2 or num_subtokens < 1:
        raise ValueError(f"vocab_size {vocab_size} must be at least 2 and num_subtokens {num_subtokens} at least 1")
    base: int = max(2, round(vocab_size ** (1 / num_subtokens)))
    while base**num_subtokens >= vocab_size and base > 1:
        base -= 1
    while base**num_subtokens < vocab_size:
        base += 1
    return base


def grid_sizes(base: int, num_subtokens: int, vocab_size: int) -> list[int]:
    """(1, ..., 1, a, b, ..., b): the smallest grid of ell axes that holds V codes; their digits from a on are all 0."""
    return [min(base, -(-vocab_size // base**place)) for place in range(num_subtokens - 1, -1, -1)]
