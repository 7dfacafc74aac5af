"""Positions that show a digit are positions of a smaller vocabulary, in every way that a loss can tell."""

import pytest
import torch

from enumeration import all_sequences
from mdm_prime.core import visible_digits
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.visible_digits import by_visible_digit, positions_of

SIZES = [(5, 2), (7, 2), (8, 3), (11, 3), (10, 4), (16, 4)]  # (8, 3) and (16, 4) without invalid codes


@pytest.fixture
def worth(monkeypatch):
    """Sets how many positions are worth a group of their own."""
    return lambda subtokenizer, positions: monkeypatch.setattr(
        visible_digits,
        "WORTH",
        {"cpu": positions * (subtokenizer.vocab_size - -(-subtokenizer.vocab_size // subtokenizer.base))},
    )


def every_state(subtokenizer):
    """Each token with each mask that hides some of it, in an order that is none."""
    masks = all_sequences(2, subtokenizer.num_subtokens)[1:].bool()
    x = torch.arange(subtokenizer.vocab_size).repeat_interleave(len(masks))
    masks = masks.repeat(subtokenizer.vocab_size, 1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, masks = x[order, None], masks[order, None]
    y = subtokenizer.encode(x).masked_fill(masks, subtokenizer.mask_id)
    return positions_of(x, y, torch.ones_like(x, dtype=torch.bool), subtokenizer)


@pytest.mark.parametrize("positions", [1, 3])
@pytest.mark.parametrize(("vocab_size", "num_subtokens"), SIZES)
def test_each_position_is_in_one_group_and_loses_only_what_is_impossible(vocab_size, num_subtokens, positions, worth):
    subtokenizer = Subtokenizer(vocab_size, num_subtokens)
    worth(subtokenizer, positions)
    everything, digits = every_state(subtokenizer), subtokenizer.digits()
    groups = by_visible_digit(everything, subtokenizer)
    seen = torch.cat([group.at for group in groups])
    assert torch.equal(seen.sort().values, torch.arange(len(everything.tokens)))
    *shown, others = groups
    assert shown
    assert (others.states == subtokenizer.mask_id).all(-1).any()
    for group in shown:
        assert len(group.at) >= positions
        (place,) = set(range(num_subtokens)) - set(group.columns)
        (digit,) = everything.states[group.at, place].unique().tolist()
        tokens = torch.arange(vocab_size)[group.rows]
        assert torch.equal(tokens, (digits[:, place] == digit).nonzero().squeeze(1))
        assert torch.equal(tokens[group.tokens], everything.tokens[group.at])
        assert torch.equal(group.states, everything.states[group.at][:, group.columns])
        assert torch.equal(group.clean, digits[everything.tokens[group.at]][:, group.columns])
        smaller = torch.arange(len(tokens))[:, None] // subtokenizer.base ** torch.arange(num_subtokens - 2, -1, -1)
        assert torch.equal(digits[tokens][:, group.columns], smaller % subtokenizer.base)


def test_few_positions_and_positions_that_show_nothing_stay_together(worth):
    subtokenizer = Subtokenizer(7, 2)
    everything = every_state(subtokenizer)
    worth(subtokenizer, len(everything.tokens) + 1)
    assert by_visible_digit(everything, subtokenizer) == [everything]
    worth(subtokenizer, 8)  # no digit is shown by so many
    assert by_visible_digit(everything, subtokenizer) == [everything]
    x = torch.arange(5)[None]
    hidden = torch.full((1, 5, 1), 5)
    single = positions_of(x, hidden, x >= 0, Subtokenizer(5, 1))
    worth(Subtokenizer(5, 1), 1)
    assert by_visible_digit(single, Subtokenizer(5, 1)) == [single]


def test_no_position_is_left_where_all_show_a_digit(worth):
    subtokenizer = Subtokenizer(9, 2)
    worth(subtokenizer, 1)
    x = torch.arange(9)[None]
    y = subtokenizer.encode(x)
    y[..., 0] = subtokenizer.mask_id
    groups = by_visible_digit(positions_of(x, y, x >= 0, subtokenizer), subtokenizer)
    assert [group.at.tolist() for group in groups] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert [group.rows for group in groups] == [slice(0, 9, 3), slice(1, 9, 3), slice(2, 9, 3)]


def test_a_place_that_only_has_one_digit_says_nothing(worth):
    """5 codes on a grid of 1 x 2 x 2 x 2: all have 0 at the first place."""
    subtokenizer = Subtokenizer(5, 4)
    worth(subtokenizer, 1)
    x = torch.arange(5)[None]
    y = torch.full((1, 5, 4), subtokenizer.mask_id)
    y[..., 0] = 0
    everything = positions_of(x, y, x >= 0, subtokenizer)
    assert by_visible_digit(everything, subtokenizer) == [everything]
    y[..., 2] = subtokenizer.encode(x)[..., 2]
    groups = by_visible_digit(positions_of(x, y, x >= 0, subtokenizer), subtokenizer)
    assert [group.columns for group in groups] == [[0, 1, 3]] * 2


def test_a_gpu_wants_larger_groups():
    """It takes longer to be called than a CPU, and computes faster."""
    subtokenizer = Subtokenizer(50257, 4)
    assert visible_digits.fewest(subtokenizer, "cpu") == 6
    assert visible_digits.fewest(subtokenizer, "cuda") == 358
