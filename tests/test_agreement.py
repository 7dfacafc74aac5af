"""What the other tests leave out of the comparison with the paper's published reference implementation.

tests/golden/agreement.safetensors holds numbers that the reference implementation gave on a CPU in float32, with random
weights: losses of two more vocabularies, times and weights of all of them, sub-token marginals of images, and the text
network of three sub-tokens at two times. Only `dit_l1` is this project's own: every fifth logit of the network with the
weights of `by_formula`, written when the same code, with the reference's weights for one sub-token in it (78 thousand
random numbers, too many to keep here), gave the reference's logits at three times without any difference.

Elsewhere: digits of tokens (tests/test_subtokens.py) and of pixels (tests/test_image_layout.py), super-tokens
(tests/data/test_super_tokens.py), the text network of two sub-tokens, the autoregressive and the toy network
(tests/test_models.py), the image network (tests/test_unet.py), losses of three vocabularies (tests/test_objectives.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from golden_values import golden, names
from mdm_prime.core.objectives import consistent, sequence_losses, token_log_probs, true_token_loss
from mdm_prime.core.schedules import linear
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.super_tokens import to_super_tokens
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.samplers import euler_steps as euler

ALL = load_file(Path(__file__).parent / "golden" / "agreement.safetensors")
CLOSE = {"rtol": 0.0, "atol": 1e-5}
EPS = 1e-3  # of the reference's schedule

# V, l and b of every case of the reference, text and images
BASES = {(50, 2): 8, (50, 3): 4, (64, 1): 64, (64, 2): 8, (64, 3): 4, (64, 6): 2, (257, 4): 5, (4096, 12): 2}
BASES |= {(50257, 2): 225, (50257, 3): 37, (50257, 4): 15, (50257, 6): 7, (50257, 8): 4}
BASES |= {(256, 2): 16, (256, 3): 7, (256, 4): 4, (256, 8): 2}


def part(prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, integers as int64."""
    found = {key.removeprefix(f"{prefix}/"): value for key, value in ALL.items() if key.startswith(f"{prefix}/")}
    return {key: value if value.is_floating_point() else value.long() for key, value in found.items()}


def cases(prefix: str) -> list[tuple[int, int]]:
    """V and l of the cases under a prefix."""
    found = {key.split("/")[1] for key in ALL if key.startswith(f"{prefix}/")}
    return sorted((int(name.split("_")[0][1:]), int(name.split("_")[1][1:])) for name in found)


def dit(ell: int, vocab_size: int) -> DiT:
    """The reference's text network; for l = 1 its outputs hold the mask as well, as the last of 65."""
    return DiT(
        base={1: 64, 3: 4}[ell],
        num_subtokens=ell,
        vocab_size=vocab_size,
        length=64,
        width=48,
        blocks=2,
        heads=4,
        conditioning_width=16,
        time_conditioning=True,
    ).eval()


def by_formula(network: nn.Module) -> nn.Module:
    """Fills parameter i with sin(0.7 k^2 + i) of the flattened index k, scaled; normalisation weights lie around 1."""
    for i, parameter in enumerate(network.parameters()):
        k = torch.arange(parameter.numel(), dtype=torch.float64)
        wave = torch.sin(0.7 * k**2 + i).view(parameter.shape)
        parameter.data.copy_(wave * (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1 * wave)
    for module in network.modules():
        if isinstance(module, nn.LayerNorm) and module.bias is None:
            module.weight.data += 1
    return network


def everywhere(y: Tensor) -> Tensor:
    return torch.ones(y.shape[:2], dtype=torch.bool)


def test_the_cases_are_all_of_the_reference() -> None:
    assert cases("times") == [(50, 2), (50, 3), (64, 2), (64, 3), (257, 4)]
    three, two = names("objectives"), cases("objectives")
    assert three == ["V50_l2", "V50_l3", "V64_l3"]
    assert two == [(64, 2), (257, 4)]
    assert cases("marginals") == [(16, 2), (50, 3), (256, 2)]


@pytest.mark.parametrize(("case", "base"), BASES.items())
def test_base_of_every_case(case: tuple[int, int], base: int) -> None:
    assert Subtokenizer(*case).base == base


def test_super_tokens_have_the_layout_of_the_reference() -> None:
    values = part("supertokens")
    found = to_super_tokens(values["tokens"].flatten(1))
    assert torch.equal(found.unflatten(1, (2, 4, 4)), values["supertokens"])


@pytest.mark.parametrize(("vocab_size", "ell"), cases("times"))
def test_times_masks_and_weights(vocab_size: int, ell: int) -> None:
    """The reference masks with probability (1 - eps) t and weighs with 1/t; here the probability is t."""
    values = part(f"times/V{vocab_size}_l{ell}")
    t = values["t"][:, None]
    torch.testing.assert_close(linear().loss_weight(t), values["weight"], rtol=1e-5, atol=0.0)
    torch.testing.assert_close(linear().mask_probability(t) * (1 - EPS), values["mask_probability"], **CLOSE)
    assert (linear().mask_probability(t) - values["mask_probability"]).abs().max() > 1e-4


@pytest.mark.parametrize(("vocab_size", "ell"), cases("objectives"))
def test_carry_over_probabilities_and_published_loss(vocab_size: int, ell: int) -> None:
    values, subtokenizer = part(f"objectives/V{vocab_size}_l{ell}"), Subtokenizer(vocab_size, ell)
    x, y, logits = values["x"], values["y"], values["logits"]
    flat = logits.flatten(0, 1), y.flatten(0, 1), subtokenizer.base
    log_probs = token_log_probs(*flat, True)
    torch.testing.assert_close(log_probs, values["log_probs"].flatten(0, 1), **CLOSE)
    excluded = torch.isneginf(values["log_probs"].flatten(0, 1))
    assert torch.equal(~consistent(flat[1], subtokenizer.base, vocab_size), excluded)
    assert excluded.any()
    for carry_over, name in ((True, "loss"), (False, "loss_plain")):
        token_losses = true_token_loss(token_log_probs(*flat, carry_over), x.flatten()).view_as(x)
        torch.testing.assert_close(values["weight"] * token_losses, values[name], rtol=1e-6, atol=1e-5)
        sums = sequence_losses(
            lambda y, t, where: logits[where], x, y, torch.zeros(len(x)), subtokenizer, carry_over=carry_over
        )
        torch.testing.assert_close(values["weight"].squeeze(1) * sums.joint, values[name].sum(-1), rtol=1e-6, atol=1e-4)
    assert (values["loss"] - values["loss_plain"]).abs().max() > 0.1


@pytest.mark.parametrize(("vocab_size", "ell"), cases("marginals"))
def test_subtoken_marginals_of_an_image(vocab_size: int, ell: int) -> None:
    """The reference has the digits of channel c at c * ell .. c * ell + ell - 1, and a last class for the mask."""
    values, base = part(f"marginals/V{vocab_size}_l{ell}"), Subtokenizer(vocab_size, ell).base
    tokens = values["tokens"]  # (B, channels, H, W, V)
    found = euler.subtoken_marginals(tokens.flatten(0, 3), base, ell).unflatten(0, tokens.shape[:4])
    reference = values["digits"]  # (B, channels * ell, H, W, base + 1)
    assert not reference[..., base].any()
    torch.testing.assert_close(found.permute(0, 1, 4, 2, 3, 5).flatten(1, 2), reference[..., :base], **CLOSE)
    assert reference[..., :base].std() > 0.01


@torch.no_grad()
def test_text_network_of_three_subtokens_at_any_time() -> None:
    """The reference gives its network sigma, -log of the visible share, where ours is given a time."""
    values, weights = part("dit_l3"), golden("dit_l3/weights")
    weights |= {name.removeprefix("weights/"): value for name, value in values.items() if name.startswith("weights/")}
    network = dit(3, 64)
    network.load_state_dict(weights)
    y = golden("dit_l3")["y"]
    found = network(y, values["sigma"], everywhere(y)).view(2, 12, 64)
    torch.testing.assert_close(found, values["logits"], **CLOSE)
    at_0 = network(y, torch.zeros(2), everywhere(y)).view(2, 12, 64)
    torch.testing.assert_close(at_0, golden("dit_l3")["logits_at_0"], **CLOSE)
    assert (found - at_0).abs().max() > 0.01


@torch.no_grad()
def test_text_network_of_whole_tokens_is_the_one_that_agreed() -> None:
    values, network = part("dit_l1"), by_formula(dit(1, 65))
    y = values["y"]
    for name, t in (("at_0", torch.zeros(2)), ("later", torch.tensor([0.3, 1.7]))):
        torch.testing.assert_close(network(y, t, everywhere(y))[:, ::5], values[name], rtol=0.0, atol=1e-4)
    assert values["at_0"].std() > 0.3
    assert (values["at_0"] - values["later"]).abs().max() > 0.01
