import pytest
import torch

from golden_values import golden, names
from mdm_prime.core.subtokens import Subtokenizer, smallest_base


@pytest.mark.parametrize(
    ("vocab_size", "num_subtokens", "base"),
    [
        (32768, 5, 8),
        (243, 5, 3),
        (64, 3, 4),
        (64, 2, 8),
        (64, 6, 2),
        (65, 3, 5),
        (63, 3, 4),
        (244, 5, 4),
        (2, 1, 2),
        (2, 7, 2),
        (3, 2, 2),
        (1000, 1, 1000),
        (1000, 3, 10),
        (50257, 2, 225),
        (50257, 3, 37),
        (50257, 4, 15),
        (50257, 6, 7),
        (50257, 8, 4),
        (256**3, 2, 4096),
        (10**18, 3, 10**6),
        (10**18 + 1, 3, 10**6 + 1),
        ((2**31 - 1) ** 2, 2, 2**31 - 1),
    ],
)
def test_base_is_the_smallest_that_holds_all_codes(vocab_size, num_subtokens, base):
    assert smallest_base(vocab_size, num_subtokens) == base
    assert Subtokenizer(vocab_size, num_subtokens).mask_id == base


def test_base_at_and_around_every_perfect_power():
    for base in range(2, 40):
        for num_subtokens in range(1, 12):
            power = base**num_subtokens
            assert smallest_base(power, num_subtokens) == base
            if num_subtokens > 1:
                assert smallest_base(power + 1, num_subtokens) == base + 1
            if power > 2:
                assert smallest_base(power - 1, num_subtokens) == (base if num_subtokens > 1 else base - 1)


@pytest.mark.parametrize(
    ("vocab_size", "num_subtokens"),
    [(2, 1), (5, 1), (5, 2), (5, 3), (64, 3), (243, 5), (257, 4), (1000, 6), (4096, 12), (50257, 4), (32768, 5)],
)
def test_decode_inverts_encode_for_every_token(vocab_size, num_subtokens):
    subtokenizer = Subtokenizer(vocab_size, num_subtokens)
    x = torch.arange(vocab_size)
    y = subtokenizer.encode(x)
    assert y.shape == (vocab_size, num_subtokens)
    assert y.dtype == torch.int64
    assert y.min() >= 0
    assert y.max() < subtokenizer.base
    assert torch.equal(subtokenizer.decode(y), x)
    assert torch.equal(subtokenizer.digits(), y)
    assert len(y.unique(dim=0)) == vocab_size


def test_digits_are_most_significant_first():
    assert Subtokenizer(1000, 3).encode(torch.tensor([[407, 5]])).tolist() == [[[4, 0, 7], [0, 0, 5]]]


def test_a_code_past_the_vocabulary_is_told_by_its_number():
    subtokenizer = Subtokenizer(5, 2)  # base 3: 9 codes, of which 5..8 are invalid
    y = torch.tensor([[1, 1], [1, 2], [2, 2]])
    assert subtokenizer.decode(y).tolist() == [4, 5, 8]


@pytest.mark.parametrize(("vocab_size", "num_subtokens"), [(1, 1), (0, 2), (-3, 1), (5, 0), (5, -1)])
def test_impossible_sizes_are_refused(vocab_size, num_subtokens):
    with pytest.raises(ValueError, match="must be at least"):
        Subtokenizer(vocab_size, num_subtokens)


@pytest.mark.parametrize("case", names("subtokens"))
def test_layout_is_that_of_the_reference_implementation(case):
    vocab_size, num_subtokens = (int(part[1:]) for part in case.split("_"))
    values = golden(f"subtokens/{case}")
    subtokenizer = Subtokenizer(vocab_size, num_subtokens)
    assert torch.equal(subtokenizer.encode(values["x"]), values["y"])
    assert torch.equal(subtokenizer.decode(values["y"]), values["x"])
