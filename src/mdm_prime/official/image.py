"""The official image format: what the released image code saved, with or without averaged weights.

The file does not say how the network is built. Its levels, blocks, widths, attention and components are read off the
weights; the released code's constants are the width of a head, which is an argument, and 32 normalisation groups.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

from mdm_prime.official import names
from mdm_prime.official.contents import (
    MOST_BLOCKS,
    MOST_COUNT,
    MOST_DIGITS,
    Contents,
    FormatError,
    Settings,
    averaged,
    kind,
    tensors,
)
from mdm_prime.official.pickled import Foreign, TensorHandle

PREFIX, SHADOWS, UPDATES = "model.", "shadow_params.", "num_updates"
HEAD_WIDTH, NORM_GROUPS = 64, 32  # of the released code
MOST_LEVELS = 16  # each halves the image
SUPER_VALUES, PIXEL_CHANNELS, SUPER_CHANNELS = 4096, 3, 2

State = dict[str, TensorHandle]


def read(root: Any, weights: str, head_width: int) -> Contents:
    """The `raw` or `ema` weights and the settings. Raises FormatError when the file is not of this format."""
    checkpoint = Settings("checkpoint", root)
    namespace = checkpoint.get("args")
    if not isinstance(namespace, Foreign) or namespace.name != "argparse.Namespace":
        raise FormatError(f"checkpoint.args: is {kind(namespace)}; should be an argparse.Namespace")
    args = Settings("args", namespace.state)
    state = tensors("model", checkpoint.section("model").values)
    shadows = {name: state.pop(name) for name in list(state) if name.startswith(SHADOWS)}
    step = state.pop(UPDATES, None)
    if args.flag("use_ema"):
        for name in state:
            if not name.startswith(PREFIX):
                raise FormatError(f"model[{name!r}]: unknown; names start with {PREFIX} or {SHADOWS}")
        state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    if weights == "ema":
        ordered = [shadows.pop(f"{SHADOWS}{number}", None) for number in range(len(shadows))]
        found = [shadow for shadow in ordered if shadow]
        if shadows:
            raise FormatError(f"model[{min(shadows)!r}]: averaged weights are not numbered from 0 on")
        state = averaged(f"model.{SHADOWS}*", list(state), found)
    return Contents(
        _settings(args, state, head_width),
        state,
        names.IMAGE,
        step,
        checkpoint.integer("epoch", least=0, most=MOST_COUNT),
    )


def _settings(args: Settings, state: State, head_width: int) -> dict[str, Any]:
    ell, super_tokens = args.integer("target_length", most=MOST_DIGITS), args.flag("super_token", default=False)
    network = _network(state, head_width)
    if super_tokens and ell != 1:
        raise FormatError(f"args.target_length: is {ell}; should be 1 with args.super_token")
    components, mixture = network["components"], args.flag("use_uniform_mixture", default=False)
    wanted = args.integer("mixture_classes") if mixture else 1
    if components != wanted:
        raise FormatError(f"emb_layers.embedding_table: has {components} rows; args say {wanted} components")
    channels = SUPER_CHANNELS if super_tokens else PIXEL_CHANNELS
    length = args.integer("seq_length")
    sizes = [math.isqrt(length // parts) for parts in {channels, PIXEL_CHANNELS} if _is_square(length, parts)]
    if len(sizes) != 1:
        raise FormatError(f"args.seq_length: is {length}; should be {channels} x a square")
    return {
        "model": "masked",
        "num_subtokens": ell,
        "base": SUPER_VALUES if super_tokens else args.integer("base", least=2),
        "vocab_size": SUPER_VALUES if super_tokens else args.integer("vocab_size", least=2),
        "length": channels * sizes[0] ** 2,
        "channels": channels,
        "carry_over": args.flag("carry_over"),
        "super_tokens": super_tokens,
        "schedule": "polynomial",
        "exponent": args.number("schedule_n"),
        "network": network,
    }


def _is_square(length: int, parts: int) -> bool:
    return length % parts == 0 and math.isqrt(length // parts) ** 2 * parts == length


def _network(state: State, head_width: int) -> dict[str, Any]:
    """The section of a network, from the names and shapes of its weights."""
    numbers, widths, attention = [], {}, set()
    components = 1
    for name, handle in state.items():
        if found := re.fullmatch(r"unet\.input_blocks\.([0-9]{1,4})\.0\.in_layers\.2\.weight", name):
            numbers.append(int(found[1]))
            widths[int(found[1])] = handle.shape[0] if handle.shape else 0
        elif found := re.fullmatch(r"unet\.input_blocks\.([0-9]{1,4})\.1\.qkv\.weight", name):
            attention.add(int(found[1]))
        elif name.endswith("emb_layers.embedding_table") and handle.shape:
            components = handle.shape[0]
    numbers.sort()
    levels: list[list[int]] = [numbers[:1]]
    for last, number in pairwise(numbers):
        if number > last + 1:  # between levels, one block halves the image and has no weights
            levels.append([])
        levels[-1].append(number)
    level_widths = [{widths[number] for number in level} for level in levels]
    if not numbers or len({len(level) for level in levels}) != 1 or any(len(found) != 1 for found in level_widths):
        raise FormatError("unet.input_blocks.*: weights missing, or levels of different length or width")
    sizes = [found.pop() for found in level_widths]
    if len(levels) > MOST_LEVELS or len(numbers) > MOST_BLOCKS or not all(sizes):
        raise FormatError(
            f"unet.input_blocks.*: {len(levels)} levels of {len(levels[0])} blocks and widths {sizes[:8]}"
        )
    width = math.gcd(*sizes)
    return {
        "kind": "unet",
        "width": width,
        "multipliers": tuple(size // width for size in sizes),
        "blocks": len(levels[0]),
        "attention_at": tuple(2**depth for depth, level in enumerate(levels) if attention & set(level)),
        "head_width": head_width,
        "norm_groups": NORM_GROUPS,
        "dropout": 0.0,  # the file does not say; without effect in evaluation
        "components": components,
    }
