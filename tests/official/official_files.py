"""Small checkpoints in the official formats: names and order as the released code writes them, numbers by a formula.

`other_libraries` stands in for the libraries whose objects the real files hold, so that their pickles name them.
"""

import sys
from argparse import Namespace
from collections import OrderedDict, defaultdict
from contextlib import contextmanager
from functools import partial
from types import ModuleType

import torch

FOREIGN = {
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.nodes": "AnyNode",
    "omegaconf.base": "Metadata",
    "transformers.tokenization": "Tokenizer",
    "pytorch_lightning.callbacks": "Callback",
}


@contextmanager
def other_libraries():
    """Modules of the names in FOREIGN, with a class each; gone afterwards, as on a machine without these libraries."""
    kept = {name: sys.modules.get(name) for module in FOREIGN for name in (module, module.split(".")[0])}
    sys.modules.update({name: ModuleType(name) for name in kept})
    classes = {}
    for module, name in FOREIGN.items():
        made = type(name, (), {"__module__": module})
        setattr(sys.modules[module], name, made)
        classes[name] = made
    try:
        yield classes
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def by_formula(shapes, phase):
    """Tensors whose entry k is a sine of k^2, scaled by the number of inputs; vectors lie around 0.5."""
    values = OrderedDict()
    for i, (name, shape) in enumerate(shapes.items()):
        k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
        wave = torch.sin(0.7 * k**2 + i + phase).view(shape)
        inputs = torch.Size(shape[1:]).numel()
        values[name] = (wave * (2 / inputs) ** 0.5 if len(shape) > 1 else 0.5 + 0.2 * wave).float()
    return values


TEXT = {"ell": 2, "base": 4, "vocab_size": 13, "width": 24, "heads": 3, "conditioning": 6, "blocks": 2, "length": 5}


def text_shapes(ell, base, vocab_size, width, heads, conditioning, blocks, length, autoregressive=False):
    outputs = vocab_size + (1 if ell == 1 else 0)
    shapes = {"vocab_embed.embedding": (base + 1, width // ell)}
    if not autoregressive:
        shapes |= {"sigma_map.mlp.0.weight": (conditioning, 256), "sigma_map.mlp.0.bias": (conditioning,)}
        shapes |= {"sigma_map.mlp.2.weight": (conditioning, conditioning), "sigma_map.mlp.2.bias": (conditioning,)}
    shapes["rotary_emb.inv_freq"] = (width // heads // 2,)
    for block in range(blocks):
        parts = {"norm1.weight": (width,), "attn_qkv.weight": (3 * width, width), "attn_out.weight": (width, width)}
        parts |= {"norm2.weight": (width,), "mlp.0.weight": (4 * width, width), "mlp.0.bias": (4 * width,)}
        parts |= {"mlp.2.weight": (width, 4 * width), "mlp.2.bias": (width,)}
        if not autoregressive:
            parts |= {"adaLN_modulation.weight": (6 * width, conditioning), "adaLN_modulation.bias": (6 * width,)}
        shapes |= {f"blocks.{block}.{name}": shape for name, shape in parts.items()}
    shapes |= {"output_layer.norm_final.weight": (width,), "output_layer.linear.weight": (outputs, width)}
    shapes["output_layer.linear.bias"] = (outputs,)
    if not autoregressive:
        shapes["output_layer.adaLN_modulation.weight"] = (2 * width, conditioning)
        shapes["output_layer.adaLN_modulation.bias"] = (2 * width,)
    return shapes


def text_config(ell, base, vocab_size, width, heads, conditioning, blocks, length, autoregressive=False):
    sizes = {"hidden_size": width, "cond_dim": conditioning, "n_blocks": blocks, "n_heads": heads, "length": length}
    model = {"name": "small", "type": "ddit", **sizes, "scale_by_sigma": True, "dropout": 0.1}
    if autoregressive:
        model["causal"] = True
    prime = {"target_length": ell, "base": base, "vocab_size": vocab_size, "seq_length": length, "carry_over": False}
    kinds = {"backbone": "ar", "parameterization": "ar"} if autoregressive else {"backbone": "dit"}
    return {"parameterization": "subs", **kinds, "model": model, "prime": prime, "time_conditioning": False} | {
        "noise": {"type": "loglinear"},
        "loader": {"batch_size": "${div_up:8,1}", "sizes": [1, 2]},
    }


def omegaconf(classes, value, parent=None):
    """A configuration as omegaconf pickles it: nodes that know their parent, with the values inside."""
    made = classes[{dict: "DictConfig", list: "ListConfig"}.get(type(value), "AnyNode")]()
    made._metadata, made._parent = classes["Metadata"](), parent
    made._metadata.resolver_cache = defaultdict(dict)
    if isinstance(value, dict):
        made._content = {key: omegaconf(classes, item, made) for key, item in value.items()}
    elif isinstance(value, list):
        made._content = [omegaconf(classes, item, made) for item in value]
    else:
        made._val = value
    return made


def text_checkpoint(state, config, classes, averaged=None):
    """What Lightning saves: `state` and `averaged` by the reference's names without their prefix."""
    tokenizer = classes["Tokenizer"]()
    tokenizer.content = b"\x00 not the tokenizer"
    state = OrderedDict((f"backbone.{name}", value) for name, value in state.items())
    state._metadata = {"": {"version": 1}}
    checkpoint = {"epoch": 3, "global_step": 1000, "pytorch-lightning_version": "2.2.1", "state_dict": state}
    checkpoint |= {"callbacks": {"last": classes["Callback"]()}, "optimizer_states": [{"state": {0: torch.ones(3)}}]}
    checkpoint |= {"lr_schedulers": [partial(dict, a=1)]}
    checkpoint["hyper_parameters"] = {"config": omegaconf(classes, config), "tokenizer": tokenizer}
    if averaged is not None:
        shadows = [value for name, value in averaged.items() if name != "rotary_emb.inv_freq"]
        checkpoint["ema"] = {"decay": 0.9999, "num_updates": 1000, "shadow_params": shadows}
    return checkpoint


def text(changes=None, autoregressive=False, config=None, **sizes):
    """A text checkpoint by formula; `config` changes it, `changes` the state."""
    sizes = {**TEXT, **sizes, "autoregressive": autoregressive}
    state, averaged = (by_formula(text_shapes(**sizes), phase) for phase in (0, 1))
    (changes or (lambda state: None))(state)
    settings = text_config(**sizes)
    (config or (lambda settings: None))(settings)
    with other_libraries() as classes:
        yield text_checkpoint(state, settings, classes, averaged)


IMAGE = {"ell": 2, "base": 3, "vocab_size": 7, "size": 4, "width": 96, "multipliers": (1, 1), "blocks": 1}
IMAGE |= {"attention_at": (2,), "channels": 3, "components": 1}


def image_shapes(ell, base, vocab_size, size, width, multipliers, blocks, attention_at, channels, components):
    outputs = vocab_size + (1 if ell == 1 else 0)
    features = width * multipliers[0]
    shapes = {"pixel_embedding.embedding_table.weight": (base + 1, features // channels // ell)}

    def residual(prefix, inputs, outputs):
        parts = {"in_layers.0.weight": (inputs,), "in_layers.0.bias": (inputs,)}
        parts |= {"in_layers.2.weight": (outputs, inputs, 3, 3), "in_layers.2.bias": (outputs,)}
        parts |= {"emb_layers.embedding_table": (components, 2 * outputs)}
        parts |= {"out_layers.0.weight": (outputs,), "out_layers.0.bias": (outputs,)}
        parts |= {"out_layers.3.weight": (outputs, outputs, 3, 3), "out_layers.3.bias": (outputs,)}
        if inputs != outputs:
            parts |= {"skip_connection.weight": (outputs, inputs, 1, 1), "skip_connection.bias": (outputs,)}
        shapes.update({f"unet.{prefix}.{name}": shape for name, shape in parts.items()})

    def attention(prefix, width):
        parts = {"norm.weight": (width,), "norm.bias": (width,), "qkv.weight": (3 * width, width, 1)}
        parts |= {"qkv.bias": (3 * width,), "proj_out.weight": (width, width, 1), "proj_out.bias": (width,)}
        shapes.update({f"unet.{prefix}.{name}": shape for name, shape in parts.items()})

    number, skips = 0, [features]
    for level, multiplier in enumerate(multipliers):
        if level:
            number += 1  # halves the image
            skips.append(features)
        for _ in range(blocks):
            number += 1
            residual(f"input_blocks.{number}.0", features, width * multiplier)
            features = width * multiplier
            if 2**level in attention_at:
                attention(f"input_blocks.{number}.1", features)
            skips.append(features)
    residual("middle_block.0", features, features)
    attention("middle_block.1", features)
    residual("middle_block.2", features, features)
    number = 0
    for level, multiplier in reversed(list(enumerate(multipliers))):
        for _ in range(blocks + 1):
            residual(f"output_blocks.{number}.0", features + skips.pop(), width * multiplier)
            features = width * multiplier
            if 2**level in attention_at:
                attention(f"output_blocks.{number}.1", features)
            number += 1
    shapes |= {"unet.out.0.weight": (features,), "unet.out.0.bias": (features,)}
    shapes |= {"unet.out.2.weight": (channels * outputs, features, 3, 3), "unet.out.2.bias": (channels * outputs,)}
    return shapes


def image(changes=None, use_ema=True, args=None, **sizes):
    """An image checkpoint by formula; `args` changes its arguments, `changes` its `model`."""
    sizes = {**IMAGE, **sizes}
    shapes = image_shapes(**sizes)
    model = by_formula(shapes, 0)
    if use_ema:
        model = OrderedDict(
            {"num_updates": torch.tensor(500)} | {f"model.{key}": value for key, value in model.items()}
        )
        shadows = by_formula(shapes, 1).values()
        model |= {f"shadow_params.{number}": value for number, value in enumerate(shadows)}
    (changes or (lambda model: None))(model)
    settings = {"dataset": "cifar10", "target_length": sizes["ell"], "base": sizes["base"], "use_ema": use_ema}
    settings |= {"vocab_size": sizes["vocab_size"], "seq_length": sizes["channels"] * sizes["size"] ** 2}
    settings |= {"carry_over": True, "schedule_n": 3.0, "super_token": sizes["channels"] == 2}
    settings["use_uniform_mixture"] = sizes["components"] > 1
    settings["mixture_classes"] = sizes["components"] if sizes["components"] > 1 else 4
    (args or (lambda settings: None))(settings)
    yield {"model": model, "optimizer": {"state": {0: torch.ones(3)}}, "epoch": 4249, "args": Namespace(**settings)}


def save(path, made):
    """Writes what `text` or `image` makes, while the other libraries are there."""
    for checkpoint in made:
        torch.save(checkpoint, path)
    return path
