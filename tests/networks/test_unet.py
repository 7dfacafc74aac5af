"""The networks for images: the U-Net, its mixture, what its section makes of it, and the classifier.

tests/golden/unet.safetensors pins the U-Net's function. Its numbers are this project's own: `y` are sub-tokens and
`logits` every seventh logit of the network below with the weights of `by_formula`, on a CPU in float32. They were
written when the same code, with the weights of the paper's published reference implementation in it (width 96, 2.6
million random numbers, too many to keep here), gave that implementation's logits: 98,304 of them, of standard deviation
0.07, the largest difference 3.3e-7.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mdm_prime.core.keyed import set_keys
from mdm_prime.experiment.shape import Shape
from mdm_prime.networks.dit import DiTNetwork
from mdm_prime.networks.mlp import MLPNetwork
from mdm_prime.networks.modules.classifier import ImageClassifier
from mdm_prime.networks.modules.unet import UNet
from mdm_prime.networks.unet import UNetNetwork

GOLDEN = Path(__file__).parents[1] / "golden" / "unet.safetensors"
UNET = {"width": 12, "multipliers": (1, 2), "blocks": 1, "attention_at": (2,), "head_width": 6, "norm_groups": 4}
SECTION = UNetNetwork(kind="unet", **UNET, dropout=0.0, components=2)
PROBLEM = {"base": 3, "num_subtokens": 2, "vocab_size": 7}


def by_formula(network):
    """Fills parameter i with sin(0.7 k^2 + i) of the flattened index k, scaled; normalisation weights lie around 1."""
    for i, parameter in enumerate(network.parameters()):
        k = torch.arange(parameter.numel(), dtype=torch.float64)
        wave = torch.sin(0.7 * k**2 + i).view(parameter.shape)  # k^2, for sin(k) makes matrices of rank 2
        fan_in = parameter[0].numel()
        parameter.data.copy_(wave * (2 / fan_in) ** 0.5 if parameter.ndim > 1 else 0.1 * wave)
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.weight.data += 1
    return network.eval()


def reference_unet():
    """The configuration that was compared with the reference implementation, at half its width."""
    return UNet(
        base=16,
        num_subtokens=2,
        vocab_size=256,
        channels=3,
        size=8,
        width=48,
        multipliers=(1, 1),
        blocks=1,
        attention_at=(2,),
        head_width=16,
        norm_groups=16,
        dropout=0.1,
    )


def small_unet(**changes):
    """C = 2 channels of 4 x 4 pixels, V = 7, ell = 2, b = 3, two levels of different width."""
    return by_formula(UNet(**{**PROBLEM, "channels": 2, "size": 4, **UNET, **changes}))


def inputs(batch=3, length=32, base=3, ell=2):
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, base + 1, (batch, length, ell), generator=generator)
    return y, torch.rand(batch, generator=generator), torch.rand(batch, length, generator=generator) < 0.5


def everywhere(y):
    return torch.ones(y.shape[:2], dtype=torch.bool)


@torch.no_grad()
def test_function_is_the_one_that_agreed_with_the_reference():
    golden = load_file(GOLDEN)
    y = golden["y"].long()
    logits = by_formula(reference_unet())(y, torch.zeros(2), everywhere(y))
    torch.testing.assert_close(logits[:, ::7], golden["logits"], rtol=0.0, atol=1e-4)  # float64 differs by 3.4e-6
    assert golden["logits"].std() > 0.3


@pytest.mark.parametrize(("ell", "base"), [(1, 256), (2, 16), (3, 7), (4, 4), (8, 2)])
@torch.no_grad()
def test_every_number_of_subtokens_gives_logits_over_tokens(ell, base):
    y, t, where = inputs(batch=2, length=48, base=base, ell=ell)
    network = small_unet(base=base, num_subtokens=ell, vocab_size=256, channels=3, width=72)
    assert network(y, t, where).shape == (int(where.sum()), 256)


@torch.no_grad()
def test_super_tokens_are_an_image_of_two_channels():
    y, t, where = inputs(batch=2, base=64)
    assert small_unet(base=64, vocab_size=4096)(y, t, where).shape == (int(where.sum()), 4096)


@torch.no_grad()
def test_logits_come_for_the_positions_asked_for_in_row_major_order():
    network = small_unet()
    y, t, where = inputs()
    everything = network(y, t, everywhere(y)).view(3, 32, 7)
    torch.testing.assert_close(network(y, t, where), everything[where])
    assert network(y, t, torch.zeros_like(where)).shape == (0, 7)


@torch.no_grad()
def test_positions_are_pixels_channels_first():
    network = small_unet()
    seen = {}
    network.encoder[0].register_forward_pre_hook(lambda module, arguments: seen.update(first=arguments[0]))
    network.head.register_forward_hook(lambda module, arguments, output: seen.update(last=output))
    y, t, _ = inputs()
    logits = network(y, t, everywhere(y)).view(3, 2, 4, 4, 7)
    table = network.embedding.embedding.weight
    assert table.shape == (4, 3)  # three digits and the mask; 12 features for 2 channels of 2 digits
    for c in range(2):
        for row, column in [(0, 0), (1, 3), (2, 1)]:
            digits = y[:, 16 * c + 4 * row + column]
            assert torch.equal(seen["first"][:, 6 * c : 6 * c + 6, row, column], table[digits].flatten(1))
            assert torch.equal(logits[:, c, row, column], seen["last"][:, 7 * c : 7 * c + 7, row, column])


@torch.no_grad()
def test_a_prediction_depends_on_every_subtoken_of_its_image_and_on_no_other_image():
    network = small_unet()
    y, t, _ = inputs()
    before = network(y, t, everywhere(y)).view(3, 32, 7)
    for i in range(0, 32, 5):
        for j in range(2):
            changed = y.clone()
            changed[0, i, j] = (changed[0, i, j] + 1) % 4
            after = network(changed, t, everywhere(y)).view(3, 32, 7)
            assert ((after - before)[0].abs() > 1e-6).any(-1).all()
            torch.testing.assert_close(after[1:], before[1:])


@pytest.mark.parametrize("attention_at", [(), (1, 2)])
@torch.no_grad()
def test_attention_stands_in_the_middle_and_where_it_is_asked_for(attention_at):
    names = {name for name, _ in small_unet(attention_at=attention_at).named_parameters() if name.endswith("qkv.bias")}
    stages = ["encoder.0", "encoder.2", *(f"decoder.{i}" for i in range(4))] if attention_at else []
    assert names == {f"{stage}.1.qkv.bias" for stage in ["middle", *stages]}


@torch.no_grad()
def test_time_has_no_effect():
    y, t, where = inputs()
    assert torch.equal(small_unet()(y, t, where), small_unet()(y, t / 2, where))


@torch.no_grad()
def test_dropout_acts_in_training_only():
    network = small_unet(dropout=0.5)
    y, t, where = inputs()
    assert torch.equal(network(y, t, where), small_unet()(y, t, where))
    network.train()
    found = []
    for keys in ([1, 2, 3], [1, 2, 3], [4, 5, 6]):
        set_keys(network, torch.tensor(keys))
        found.append(network(y, t, where))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_fresh_network_starts_at_zero_where_the_reference_does():
    y, t, where = inputs()
    network = UNet(**UNET, **PROBLEM, channels=2, size=4)
    assert not network(y, t, where).any()
    zero = {name for name, parameter in network.named_parameters() if name.endswith("weight") and not parameter.any()}
    last = {f"{name}.weight" for name, _ in network.named_modules() if name.endswith((".conv2", ".out"))}
    assert len(last) == 8 + 4  # residual blocks, attentions
    assert zero == last | {"head.weight"}


@pytest.mark.parametrize("components", [1, 3])
def test_every_parameter_learns(components):
    torch.manual_seed(0)
    network = small_unet(components=components).train()
    y, t, where = inputs(batch=24)
    set_keys(network, torch.arange(24))
    network(y, t, where).log_softmax(-1)[:, 2].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 1e-6, name
        if "modulation" in name:
            assert parameter.grad.any(-1).all(), name  # every component of the mixture


@torch.no_grad()
def test_bfloat16_changes_logits_by_rounding_only():
    y, t, where = inputs()
    network = small_unet()
    wanted = network(y, t, where)
    with torch.autocast("cpu", torch.bfloat16):
        got = network(y, t, where)
    assert (got - wanted).abs().max() < 0.1 * wanted.std()


def components_of(network):
    """A network for each component of a mixture."""
    for component in range(network.components):
        weights = network.state_dict()
        for name in weights:
            if name.endswith("modulation.weight"):
                weights[name] = weights[name][component : component + 1]
        part = small_unet()
        part.load_state_dict(weights)
        yield part


@torch.no_grad()
def test_a_mixture_predicts_the_mean_of_its_components():
    network = small_unet(components=3)
    y, t, where = inputs()
    parts = [part(y, t, where).softmax(-1) for part in components_of(network)]
    assert (parts[0] - parts[1]).abs().max() > 0.01
    state = torch.get_rng_state()
    logits = network(y, t, where)
    torch.testing.assert_close(logits.exp(), torch.stack(parts).mean(0))
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(len(logits)))
    assert torch.equal(torch.get_rng_state(), state)


@torch.no_grad()
def test_a_mixture_trains_one_component_for_each_image():
    network = small_unet(components=3).train()
    y, t, _ = inputs(batch=1)
    parts = torch.stack([part(y, t, everywhere(y)) for part in components_of(network)])
    same = y.expand(60, -1, -1)
    set_keys(network, torch.arange(60) * 77)
    logits = network(same, t.expand(60), everywhere(same)).view(60, 1, 32, 7)
    distances = (logits - parts).abs().amax((2, 3))
    assert (distances.amin(1) < 1e-5).all()
    assert distances.argmin(1).bincount(minlength=3).min() >= 8  # 20 are expected of each; P(fewer than 8) < 0.001
    torch.manual_seed(0)
    assert torch.equal(network(same, t.expand(60), everywhere(same)).view(60, 1, 32, 7), logits)


@pytest.mark.parametrize(("channels", "length"), [(1, 64), (2, 128), (3, 192)])
def test_build_makes_what_the_parameters_say(channels, length):
    network = SECTION.build(Shape(**PROBLEM, length=length, channels=channels))
    assert isinstance(network, UNet)
    assert network.grid == (channels, 8, 8)
    assert network.components == 2
    assert len(network.encoder) == 3  # a block, halving, a block


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_build_wants_square_images(channels):
    with pytest.raises(ValueError, match=r"kind: is unet, for square images; .* length 60"):
        SECTION.build(Shape(**PROBLEM, length=60, channels=channels))


def test_only_a_transformer_is_autoregressive():
    with pytest.raises(ValueError, match=r"kind: is .*; should be dit for an autoregressive model"):
        SECTION.build(Shape(base=7, num_subtokens=1, vocab_size=7, length=64, causal=True))


def test_other_networks_have_no_use_for_channels():
    transformer = DiTNetwork(
        kind="dit", width=8, blocks=1, heads=2, conditioning_width=4, dropout=0.0, time_conditioning=False
    )
    for section in (transformer, MLPNetwork(kind="mlp", width=8, blocks=1, time_conditioning=False)):
        network = section.build(Shape(**PROBLEM, length=32, channels=2))
        assert network(*inputs()).shape == (int(inputs()[2].sum()), 7)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"num_subtokens": 4}, r"width: x multipliers\[0\] is 12; should be divisible by 8"),
        ({"length": 2 * 49}, "multipliers: 2 levels; should be fewer, to halve size 7"),
    ],
)
def test_a_network_that_cannot_be_is_refused(shape, message):
    values = {**PROBLEM, "length": 128, "channels": 2} | shape
    with pytest.raises(ValueError, match=message):
        SECTION.check(Shape(**values))
    with pytest.raises(ValueError, match=message):
        SECTION.build(Shape(**values))


def test_embeddings_must_fill_the_first_feature_map():
    with pytest.raises(ValueError, match="multiplier = 12 is not divisible by channels x num_subtokens = 2 x 4"):
        small_unet(num_subtokens=4)


def test_images_must_be_halved_without_remainder():
    with pytest.raises(ValueError, match="size 6 cannot be halved 2 times for 3 levels"):
        small_unet(size=6, multipliers=(1, 1, 1))


@pytest.mark.parametrize("size", [4, 8, 28, 64])
@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_classifier_sees_each_image_by_itself(channels, size):
    torch.manual_seed(0)
    network = ImageClassifier(channels, size, num_classes=10, width=8, num_features=12).train()
    images = torch.randint(0, 256, (4, channels, size, size), dtype=torch.uint8)
    features = network.features(images)
    assert features.shape == (4, 12)
    assert features.dtype == torch.float32
    torch.testing.assert_close(network.features(images[1:2]), features[1:2])
    torch.testing.assert_close(network(images), network.head(features))


@torch.no_grad()
def test_classifier_sees_images_between_minus_one_and_one():
    network = ImageClassifier(1, 8, num_classes=2, width=8, num_features=8)
    seen = []
    network.body.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    network.features(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8))
    assert [image.unique().item() for image in seen[0]] == [-1.0, 1.0]
