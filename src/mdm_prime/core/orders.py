"""Orders in which sub-tokens can be revealed, as data and without torch; their mathematics is in revealing.py."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Order(NamedTuple):
    """Says what is revealed next, from what is revealed already and nothing else.

    Attributes:
        first: which of the masked ones: the first as one reads, the one whose distribution has the least entropy, or
            the first of one seeded permutation.
        whole_tokens: whether all masked sub-tokens of a position are revealed together; else one at a time.
    """

    first: Literal["left_to_right", "lowest_entropy", "random"]
    whole_tokens: bool


ORDERS = {
    "left_to_right": Order("left_to_right", whole_tokens=False),  # most significant sub-token of a position first
    "lowest_entropy": Order("lowest_entropy", whole_tokens=False),
    "random": Order("random", whole_tokens=False),
    "left_to_right_tokens": Order("left_to_right", whole_tokens=True),
    "lowest_entropy_tokens": Order("lowest_entropy", whole_tokens=True),
    "random_tokens": Order("random", whole_tokens=True),
}
