"""Positions that show the same sub-token at the same place, as positions of a smaller vocabulary.

With carry-over a position can only become a token that agrees with its visible sub-tokens, and one of them leaves 1 / b
of the vocabulary. The codes with digit d at place j, in their order and without that digit, are the codes 0, 1, 2, ...
of one sub-token less in the same base. So the loss of such positions is the loss of a smaller problem, which reads some
rows of the same head: at V = 50,257 and ell = 4 a step computes 0.3 of the logits that it would with all rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mdm_prime.core.bases import grid_sizes
from mdm_prime.core.subtokens import Subtokenizer

# Logits that a group has to spare, since it takes some 100 calls of its own: more on a device that computes faster.
WORTH, WORTH_ELSEWHERE = {"cpu": 2**18}, 2**24  # measured; a guess


class Positions(NamedTuple):
    """Positions that have V' tokens left, of ell' sub-tokens each.

    Attributes:
        tokens: (n,) int64, the true ones among the V'.
        states: (n, ell') noised sub-tokens; the mask is b as ever.
        clean: (n, ell') sub-tokens of the true tokens.
        columns: which ell' of the ell these are.
        at: (n,) int64, their places among all N positions; None: all in their order.
        rows: of the head, V' of them.
    """

    tokens: Tensor
    states: Tensor
    clean: Tensor
    columns: slice | list[int] = slice(None)
    at: Tensor | None = None
    rows: slice | Tensor = slice(None)


def positions_of(x: Tensor, y: Tensor, where: Tensor, subtokenizer: Subtokenizer) -> Positions:
    """Those of tokens x (B, L) and noised sub-tokens y (B, L, ell) at `where` (B, L) bool, in row-major order."""
    tokens = x[where]
    return Positions(tokens, y[where], subtokenizer.encode(tokens))


def fewest(subtokenizer: Subtokenizer, device: str) -> int:
    """How many positions are worth a group of their own on a device of this type."""
    spared = subtokenizer.vocab_size - -(-subtokenizer.vocab_size // subtokenizer.base)  # logits of a position
    return -(-WORTH.get(device, WORTH_ELSEWHERE) // spared)


def places_in_order(subtokenizer: Subtokenizer) -> list[int]:
    """Where sub-tokens can differ; a position with several visible ones is with those that share the first of these.

    The tokens with a digit at the last place, or at the first, are evenly spaced rows of the head.
    """
    sizes = grid_sizes(subtokenizer.base, subtokenizer.num_subtokens, subtokenizer.vocab_size)
    *others, last = (place for place, size in enumerate(sizes) if size > 1)
    return [last, *others]


def by_visible_digit(everything: Positions, subtokenizer: Subtokenizer) -> list[Positions]:
    """Groups of positions that show a digit, where they are worth it, and the others.

    Finding them waits for a GPU once.
    """
    states, base, num_subtokens = everything.states, subtokenizer.base, subtokenizer.num_subtokens
    least = fewest(subtokenizer, states.device.type)
    if len(states) < least:
        return [everything]
    places = torch.tensor(places_in_order(subtokenizer), device=states.device)
    shown = states[:, places] != subtokenizer.mask_id
    place = places[shown.int().argmax(-1)]
    digit = states.gather(1, place[:, None]).squeeze(1)
    none = num_subtokens * base
    key = torch.where(shown.any(-1), place * base + digit, none)
    counts = key.new_zeros(none + 1).index_add_(0, key, torch.ones_like(key))
    sizes = counts[:none].cpu().numpy()
    worth = (sizes >= least).nonzero()[0].tolist()
    if not worth:
        return [everything]
    key = key.masked_fill((counts < least)[key], none)
    given = sizes[worth]
    *groups, others = key.argsort(stable=True).split([*given.tolist(), len(key) - int(given.sum())])
    found = [_without(everything, at, *divmod(k, base), subtokenizer) for k, at in zip(worth, groups, strict=True)]
    if len(others):
        tokens, states, clean, *_ = everything
        found.append(Positions(tokens[others], states[others], clean[others], at=others))
    return found


def _without(everything: Positions, at: Tensor, place: int, digit: int, subtokenizer: Subtokenizer) -> Positions:
    """Those at `at`, all with the digit at the place, as positions of the vocabulary without it."""
    below = subtokenizer.base ** (subtokenizer.num_subtokens - 1 - place)  # codes that agree up to the place
    tokens = everything.tokens[at]
    columns = [j for j in range(subtokenizer.num_subtokens) if j != place]
    return Positions(
        tokens // (below * subtokenizer.base) * below + tokens % below,
        everything.states[at][:, columns],
        everything.clean[at][:, columns],
        columns,
        at,
        _rows(below, digit, subtokenizer, at.device),
    )


def _rows(below: int, digit: int, subtokenizer: Subtokenizer, device: torch.device) -> slice | Tensor:
    """The tokens with the digit where `below` codes agree up to its place, in their order."""
    vocab_size, period = subtokenizer.vocab_size, below * subtokenizer.base
    if below == 1:
        return slice(digit, vocab_size, period)
    if period >= vocab_size:
        return slice(digit * below, min((digit + 1) * below, vocab_size))
    count = vocab_size // period * below + min(max(vocab_size % period - digit * below, 0), below)
    number = torch.arange(count, device=device)
    return number // below * period + digit * below + number % below
