"""Image checkpoints: what is read, and that the imported network is the one that agreed with the reference.

tests/golden/official.safetensors pins the whole way from names to logits: they are this project's own, of weights by
formula, written when the same code gave the logits of the paper's published reference implementation for a checkpoint
in its format (20 MB, too many to keep here): 98,304 of them each for raw and averaged weights, of standard deviation
0.07 and 0.08, the largest differences 3.2e-7 and 3.9e-7.
"""

import re
from pathlib import Path

import official_files
import pytest
import torch
from official_files import IMAGE, by_formula, image_shapes, save
from safetensors.torch import load_file

from mdm_prime.errors import UserError
from mdm_prime.official import imported
from mdm_prime.official.importing import import_checkpoint

GOLDEN = Path(__file__).parents[1] / "golden" / "official.safetensors"
WHOLE_HEADS = {"ell": 1, "base": 4096, "channels": 2, "vocab_size": 4096, "width": 64}
SUPER = {"ell": 1, "base": 4096, "vocab_size": 4096, "channels": 2, "width": 32}


def import_image(folder, weights="ema", head_width=32, **made):
    path = save(folder / "official.pth", official_files.image(**made))
    return import_checkpoint(str(path), folder / "out", layout="official-image", weights=weights, head_width=head_width)


def logits_of(folder):
    """Every seventh logit of the imported network, for sub-tokens by a seed."""
    made, network = imported.load(folder / "out")
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, made.base + 1, (2, made.length, made.num_subtokens), generator=generator)
    return network(y, torch.zeros(2), torch.ones(2, made.length, dtype=torch.bool))[:, ::7]


@pytest.mark.parametrize("weights", ["raw", "ema"])
@torch.no_grad()
def test_the_network_is_the_one_that_agreed_with_the_reference(tmp_path, weights):
    import_image(tmp_path, weights, vocab_size=256, base=16)
    wanted = load_file(GOLDEN)[weights]
    torch.testing.assert_close(logits_of(tmp_path), wanted, rtol=0.0, atol=1e-4)
    assert wanted.std() > 0.3


def test_sizes_are_read_off_the_weights(tmp_path):
    made = import_image(tmp_path, multipliers=(1, 2), blocks=2, attention_at=(2,))
    network = {"kind": "unet", "width": 96, "multipliers": (1, 2), "blocks": 2, "attention_at": (2,)}
    assert made.network.model_dump() == network | {
        "head_width": 32,
        "norm_groups": 32,
        "dropout": 0.0,
        "components": 1,
    }
    assert (made.num_subtokens, made.base, made.vocab_size, made.length, made.channels) == (2, 3, 7, 48, 3)
    assert (made.schedule, made.exponent, made.carry_over, made.super_tokens) == ("polynomial", 3.0, True, False)
    assert (made.source.step, made.source.epoch, made.source.weights) == (500, 4249, "ema")


def test_the_width_of_a_head_is_that_of_the_released_code_unless_it_is_given(tmp_path):
    assert import_image(tmp_path, head_width=None, **WHOLE_HEADS).network.head_width == 64


def test_whole_tokens_lose_the_output_of_the_mask(tmp_path):
    sizes = {**IMAGE, "ell": 1, "base": 7}
    made = import_image(tmp_path, "raw", **sizes)
    assert made.vocab_size == made.base == 7
    state = by_formula(image_shapes(**sizes), 0)
    network = imported.load(tmp_path / "out")[1]
    for part in ("weight", "bias"):
        theirs, ours = state[f"unet.out.2.{part}"], network.state_dict()[f"head.{part}"]
        assert (len(theirs), len(ours)) == (3 * 8, 3 * 7)
        for channel in range(3):
            assert torch.equal(ours[7 * channel : 7 * channel + 7], theirs[8 * channel : 8 * channel + 7])


@pytest.mark.parametrize("length", [2 * 16, 3 * 16])
def test_super_tokens_are_two_for_each_pixel(tmp_path, length):
    sizes = {**IMAGE, **SUPER}
    args = {"seq_length": length, "base": 256, "vocab_size": 256}
    made = import_image(tmp_path, head_width=32, args=lambda settings: settings.update(args), **sizes)
    assert (made.super_tokens, made.vocab_size, made.length, made.channels) == (True, 4096, 32, 2)


@torch.no_grad()
def test_a_mixture_has_a_row_for_each_component(tmp_path):
    made = import_image(tmp_path, components=3)
    assert made.network.components == 3
    assert logits_of(tmp_path).isfinite().all()


def test_a_checkpoint_without_averaged_weights(tmp_path):
    made = import_image(tmp_path, "raw", use_ema=False)
    assert made.source.step is None
    with pytest.raises(
        UserError, match=r"model\.shadow_params\.\*: holds 0 averaged weights; the network has \d+ para"
    ):
        import_checkpoint(str(tmp_path / "official.pth"), tmp_path / "other", layout="official-image")


def sets(**values):
    return lambda settings: settings.update(values)


def drops(name):
    return lambda values: values.pop(name)


STAGE = "model.unet.input_blocks.1.0."


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"args": sets(target_length=3)}, "base: is 3; 7 tokens in 3 sub-tokens need base 2"),
        ({"args": sets(target_length=3, base=2)}, "is 96; should be divisible by 9"),
        ({"args": sets(target_length=4, base=2)}, "'pixel_embedding.embedding_table.weight': have shape (4, 16)"),
        (
            {"args": sets(vocab_size=8)},
            "weights 'unet.out.2.weight': have shape (21, 96, 3, 3); do not fit head.weight",
        ),
        ({"args": sets(seq_length=47)}, "args.seq_length: is 47; should be 3 x a square"),
        ({"args": sets(use_uniform_mixture=True)}, "has 1 rows; args say 4 components"),
        ({"args": sets(super_token=True)}, "args.target_length: is 2; should be 1 with args.super_token"),
        ({"args": sets(schedule_n="3")}, "args.schedule_n: is '3'; should be a number"),
        ({"args": sets(use_ema=False)}, "unet.input_blocks.*: weights missing"),
        ({"args": drops("carry_over")}, "args.carry_over: missing"),
        (
            {"weights": "raw", "blocks": 2, "changes": drops(f"{STAGE}in_layers.2.weight")},
            "levels of different length or width",
        ),
        ({"changes": drops(f"{STAGE}in_layers.0.bias")}, "holds 109 averaged weights; the network has 108 parameters"),
        (
            {"weights": "raw", "changes": sets(**{"model.unet.input_blocks.01.0.in_layers.2.bias": torch.ones(96)})},
            "weights 'unet.input_blocks.01.0.in_layers.2.bias': the network that the file describes has none",
        ),
        ({"changes": drops("shadow_params.5")}, "averaged weights are not numbered from 0 on"),
        ({"changes": sets(other=torch.ones(1))}, "model['other']: unknown; names start with model. or shadow_params."),
        ({"changes": sets(num_updates=torch.ones(2))}, "num_updates: has shape (2,)"),
        ({"head_width": 36}, "network.unet Value error, head_width: is 36; should divide width x multiplier, here 96"),
    ],
)
def test_arguments_that_contradict_the_weights_and_weights_that_do_not_fit(tmp_path, made, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        import_image(tmp_path, **made)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_missing_raw_weights_are_named(tmp_path):
    with pytest.raises(UserError, match=r"weights for encoder\.0\.0\.norm1\.bias: missing"):
        import_image(tmp_path, "raw", changes=drops(f"{STAGE}in_layers.0.bias"))


def test_formats_are_told_apart(tmp_path):
    path = save(tmp_path / "a.pth", official_files.image())
    with pytest.raises(UserError, match=r"not read as official-text: checkpoint\.hyper_parameters: missing"):
        import_checkpoint(str(path), tmp_path / "out", layout="official-text")
    path = save(tmp_path / "a.ckpt", official_files.text())
    with pytest.raises(UserError, match=r"not read as official-image: checkpoint\.args: missing"):
        import_checkpoint(str(path), tmp_path / "out", layout="official-image")
    with pytest.raises(UserError, match="head width: is 32; is for official-image"):
        import_checkpoint(str(path), tmp_path / "out", layout="official-text", head_width=32)
