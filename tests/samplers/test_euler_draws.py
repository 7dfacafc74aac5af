"""What the image sampler draws from a network's logits: tokens, or sub-tokens from their marginals."""

import pytest
import torch
from test_euler import run

from enumeration import chi_square
from golden_values import golden
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.samplers import euler_steps as euler


@pytest.mark.parametrize(("vocab_size", "ell"), [(5, 1), (5, 2), (16, 2), (17, 5), (17, 3), (50, 3)])
def test_marginals_are_sums_over_tokens(vocab_size, ell):
    subtokenizer = Subtokenizer(vocab_size, ell)
    generator = torch.Generator().manual_seed(0)
    probs = torch.randn(9, vocab_size, generator=generator, dtype=torch.float64).softmax(-1)
    marginals = euler.subtoken_marginals(probs, subtokenizer.base, ell)
    torch.testing.assert_close(marginals.sum(-1), torch.ones(9, ell, dtype=torch.float64))
    expected = torch.zeros_like(marginals)
    for code, digits in enumerate(subtokenizer.digits().tolist()):
        for j, digit in enumerate(digits):
            expected[:, j, digit] += probs[:, code]
    torch.testing.assert_close(marginals, expected)


def test_marginals_are_those_of_the_reference_implementation():
    values = golden("marginals/V50_l3")
    torch.testing.assert_close(euler.subtoken_marginals(values["tokens"], 4, 3), values["digits"], rtol=0, atol=1e-6)


def test_digits_follow_their_marginals_where_every_code_is_valid():
    subtokenizer = Subtokenizer(9, 2)
    logits = torch.randn(9, generator=torch.Generator().manual_seed(1))
    masks = torch.full((20000, 2), subtokenizer.mask_id)
    uniforms = torch.rand(20000, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    drawn = euler.draw_marginally(logits.expand(20000, -1), masks, masks == 3, uniforms, subtokenizer)
    first, second = euler.subtoken_marginals(logits.double().softmax(-1)[None], 3, 2)[0]
    independent = (first[:, None] * second).flatten()
    assert chi_square(subtokenizer.decode(drawn).bincount(minlength=9), independent) > 0.001
    assert chi_square(subtokenizer.decode(drawn).bincount(minlength=9), logits.double().softmax(-1)) < 1e-6


def test_digits_that_no_completion_gives_probability_to_are_drawn_all_the_same():
    """Codes 011 and 101 of V = 7: after 11. only 110 is valid, and no token of probability ends in 0."""
    subtokenizer = Subtokenizer(7, 3)
    logits = torch.full((1000, 7), -torch.inf)
    logits[:, [3, 5]] = 0.0
    masks = torch.full((1000, 3), subtokenizer.mask_id)
    uniforms = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = euler.draw_marginally(logits, masks, masks == 2, uniforms, subtokenizer)
    assert set(subtokenizer.decode(drawn).tolist()) == {1, 3, 5, 6}


@pytest.mark.parametrize("distribution", ["joint", "marginals"])
def test_a_network_that_gives_nan_is_an_error(distribution):
    with pytest.raises(IndexError):
        run(
            lambda y, t, where: torch.full((int(where.sum()), 5), torch.nan),
            Subtokenizer(5, 2),
            2,
            range(3),
            distribution=distribution,
        )
