r"""The one mapping between the reference implementation's networks and this project's: names, axes, mask token, time.

Names: TEXT and IMAGE below. A weight of attention on images is stored there as a convolution and loses its last axis.

Mask token: both have an embedding for it, the last of b + 1. For l = 1 the reference counts it among the outputs too,
as the last one of every position, and excludes it (text) or never trains it (images). This project has no such output:
it is dropped, and probabilities are normalised over the others.

Digits: most significant first in both. Text lays a token's digits side by side in one axis of L * l; images lay them
beside each other in the channels, (B, C * l, H, W). Here sub-tokens are (B, L, l), and an image's L = C * H * W.

Time: t = 0 is clean and t = 1 masked here and in text; images run the other way, with t^n for (1 - t)^n here. The
published text masks with probability (1 - 0.001) t and weighs with 1 / t; here a mask has probability t. The networks
do not see time.

Conditioning: the autoregressive network has none. Here every shift, scale and gate of it is a constant: `constants`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

TEXT = {
    r"vocab_embed\.embedding": r"embedding.embedding.weight",
    r"sigma_map\.(mlp\.\d)\.(\w+)": r"time_embedding.\1.\2",
    r"blocks\.([0-9]{1,4})\.adaLN_modulation\.(\w+)": r"blocks.\1.modulation.\2",
    r"blocks\.([0-9]{1,4})\.(norm\d|attn_qkv|attn_out|mlp\.\d)\.(\w+)": r"blocks.\1.\2.\3",
    r"output_layer\.norm_final\.(\w+)": r"norm.\1",
    r"output_layer\.adaLN_modulation\.(\w+)": r"modulation.\1",
    r"output_layer\.linear\.(\w+)": r"head.\1",
}
TEXT_BUFFER = "rotary_emb.inv_freq"  # in a state_dict, but no parameter; computed here
_BLOCK = r"unet\.((?:in|out)put_blocks\.[0-9]{1,4}|middle_block)\.(\d)\."
IMAGE = {
    r"pixel_embedding\.embedding_table\.(\w+)": r"embedding.embedding.\1",
    _BLOCK + r"in_layers\.0\.(\w+)": r"\1.\2.norm1.\3",
    _BLOCK + r"in_layers\.2\.(\w+)": r"\1.\2.conv1.\3",
    _BLOCK + r"emb_layers\.embedding_table": r"\1.\2.modulation.weight",
    _BLOCK + r"out_layers\.0\.(\w+)": r"\1.\2.norm2.\3",
    _BLOCK + r"out_layers\.3\.(\w+)": r"\1.\2.conv2.\3",
    _BLOCK + r"skip_connection\.(\w+)": r"\1.\2.skip.\3",
    _BLOCK + r"(norm|qkv)\.(\w+)": r"\1.\2.\3.\4",
    _BLOCK + r"proj_out\.(\w+)": r"\1.\2.out.\3",
    r"unet\.out\.0\.(\w+)": r"norm.\1",
    r"unet\.out\.2\.(\w+)": r"head.\1",
}


def ours(name: str, rules: Mapping[str, str]) -> str | None:
    """Name here for a parameter of the reference; None for a name that no rule knows."""
    for pattern, replacement in rules.items():
        if found := re.fullmatch(pattern, name):
            return _stage(found.expand(replacement))
    return None


def _stage(name: str) -> str:
    """A stage's name; the reference counts its embedding as input block 0."""
    if found := re.match(r"input_blocks\.([0-9]{1,4})", name):
        return f"encoder.{int(found[1]) - 1}{name[found.end() :]}"
    return name.replace("output_blocks.", "decoder.").replace("middle_block.", "middle.")


def num_outputs(vocab_size: int, num_subtokens: int) -> int:
    """Outputs of the reference for one token: V, and for l = 1 the mask token after them."""
    return vocab_size + (num_subtokens == 1)


def convert(name: str, value: Tensor, *, vocab_size: int, num_subtokens: int, channels: int) -> Tensor:
    """A parameter of the reference under this project's `name`, as this project's network holds it.

    The outputs of a head are (channels * num_outputs, ...) there and (channels * V, ...) here. Raises RuntimeError for
    a head of another size.
    """
    if name.startswith("head."):
        outputs = value.unflatten(0, (channels, num_outputs(vocab_size, num_subtokens)))
        kept: Tensor = outputs[:, :vocab_size].flatten(0, 1).contiguous()
        return kept
    if name.endswith((".qkv.weight", ".out.weight")) and value.ndim == 3:
        return value.squeeze(-1)
    return value


def constants(shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """What the autoregressive network does not have, of the parameters of this project's network for it.

    A block computes h + gate * f(norm(h) * (1 + scale) + shift) with shift 0, scale 0, gate 1, twice.
    """
    found = {}
    for name, shape in shapes.items():
        if name.startswith("time_embedding.") or "modulation." in name:
            found[name] = torch.zeros(shape)
        if re.fullmatch(r"blocks\.\d+\.modulation\.bias", name):
            found[name].view(2, 3, -1)[:, 2] = 1.0  # gates
    return found
