"""Where a pixel's sub-tokens stand, compared with the published reference implementation.

tests/golden/image_layouts.safetensors holds tokens (2, 3, 4, 4) of 256 values and what the reference makes of them:
sub-tokens (2, 3 * ell, 4, 4), the digits of channel c at c * ell to c * ell + ell - 1.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.unet import UNet

LAYOUTS = load_file(Path(__file__).parents[1] / "golden" / "image_layouts.safetensors")


@pytest.mark.parametrize("ell", [2, 3, 4, 8])
def test_subtokens_of_an_image_are_those_of_the_reference(ell: int) -> None:
    tokens = LAYOUTS[f"l{ell}/tokens"].long()
    subtokenizer = Subtokenizer(256, ell)
    y = subtokenizer.encode(tokens.flatten(1))  # (B, L, ell), channels first
    assert torch.equal(subtokenizer.decode(y), tokens.flatten(1))
    reference = LAYOUTS[f"l{ell}/subtokens"].long()
    assert torch.equal(y.unflatten(1, (3, 4, 4)).permute(0, 1, 4, 2, 3).flatten(1, 2), reference)


@pytest.mark.parametrize("ell", [2, 4, 8])
def test_the_network_reads_them_in_the_order_of_the_reference(ell: int) -> None:
    """The first feature map: channel by channel, sub-token by sub-token, the features of each embedding."""
    subtokenizer = Subtokenizer(256, ell)
    network = UNet(
        base=subtokenizer.base,
        num_subtokens=ell,
        vocab_size=256,
        channels=3,
        size=4,
        width=48,
        multipliers=(1,),
        blocks=1,
        attention_at=(),
        head_width=16,
        norm_groups=16,
    )
    seen: list[torch.Tensor] = []
    first = next(module for module in network.modules() if isinstance(module, nn.GroupNorm))
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    y = subtokenizer.encode(LAYOUTS[f"l{ell}/tokens"].long().flatten(1))
    network(y, torch.zeros(2), torch.ones(2, 48, dtype=torch.bool))
    embedded = network.embedding.embedding(LAYOUTS[f"l{ell}/subtokens"].long())  # (B, 3 * ell, H, W, features)
    torch.testing.assert_close(seen[0], embedded.permute(0, 1, 4, 2, 3).flatten(1, 2))
