import torch

from mdm_prime.core.super_tokens import from_super_tokens, to_super_tokens

# One image of the reference implementation (4x4 pixels: R, G, B) and its super-tokens, in hexadecimal.
PIXELS = bytes.fromhex(
    "8c929ebb85905f60bcabec1feb632c18be4f15934d210427 7c43a2a22a4ed266267ab07ad1fe05fae6dbf588 28c50507"
)
SUPER_TOKENS = """
    8cb 924 9e1 bb9 854 902 5f0 602 bc7 ab4 eca 1fa eb2 634 2cd 186
    e26 f7a 5b0 37a dd1 1fe 405 7fa ce6 3db 2f5 288 a28 ec5 205 607
"""


def test_super_tokens_of_the_reference():
    pixels = torch.tensor(list(PIXELS))[None]
    tokens = torch.tensor([int(token, 16) for token in SUPER_TOKENS.split()])[None]
    assert torch.equal(to_super_tokens(pixels), tokens)
    assert torch.equal(from_super_tokens(tokens), pixels)


def test_super_tokens_are_the_pixel_in_base_4096():
    x = torch.randint(0, 256, (5, 3 * 7), generator=torch.Generator().manual_seed(0))
    found = to_super_tokens(x)
    assert (found.shape, found.dtype) == ((5, 2 * 7), torch.int64)
    red, green, blue = x.view(5, 3, 7).unbind(1)
    first, second = found.view(5, 2, 7).unbind(1)
    assert torch.equal(first * 4096 + second, red * 65_536 + green * 256 + blue)
    assert torch.equal(from_super_tokens(found), x)
    assert int(to_super_tokens(torch.full((1, 3), 255)).min()) == 4095
