"""The official text format: a Lightning checkpoint of the released text code, MDLM and the autoregressive model too."""

from __future__ import annotations

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
from mdm_prime.official.pickled import Foreign

PREFIX = "backbone."
MOST_NESTED = 64  # levels of the configuration; omegaconf has two for each of the file's five
MODEL_KEYS = ("name", "type", "hidden_size", "cond_dim", "length", "n_blocks", "n_heads", "scale_by_sigma", "dropout")
PRIME_KEYS = ("target_length", "base", "vocab_size", "seq_length", "carry_over")


def read(root: Any, weights: str) -> Contents:
    """The `raw` or `ema` weights and the settings. Raises FormatError when the file is not of this format."""
    checkpoint = Settings("checkpoint", root)
    config = Settings("config", plain(checkpoint.section("hyper_parameters").get("config")))
    state = {}
    for name, value in tensors("state_dict", checkpoint.section("state_dict").values).items():
        if not name.startswith(PREFIX):
            raise FormatError(f"state_dict[{name!r}]: unknown; names start with {PREFIX}")
        state[name.removeprefix(PREFIX)] = value
    settings = _settings(config)
    _check_rotary(settings, state.pop(names.TEXT_BUFFER, None))
    step = checkpoint.integer("global_step", least=0, most=MOST_COUNT)
    if weights == "ema":
        ema = checkpoint.section("ema")
        shadows = ema.get("shadow_params")
        if not isinstance(shadows, list):
            raise FormatError(f"ema.shadow_params: is {kind(shadows)}; should be a list of tensors")
        named = tensors("ema.shadow_params", {str(number): value for number, value in enumerate(shadows)})
        state = averaged("ema.shadow_params", list(state), list(named.values()))
    return Contents(settings, state, names.TEXT, step, checkpoint.integer("epoch", least=0, most=MOST_COUNT))


def plain(value: Any) -> Any:
    """Settings of omegaconf as plain dictionaries and lists; anything else as it is.

    What stands at several places is made once. Raises FormatError for what contains itself, or is nested too deeply.
    """
    return _plain(value, {}, 0)


def _plain(value: Any, made: dict[int, Any], depth: int) -> Any:
    if depth > MOST_NESTED:
        raise FormatError(f"config: nested more than {MOST_NESTED} deep")
    if id(value) in made:
        return made[id(value)]
    state = value.state if isinstance(value, Foreign) and value.name.startswith("omegaconf.") else None
    found = value
    if isinstance(state, dict) and "_content" in state:
        found = _plain(state["_content"], made, depth + 1)
    elif isinstance(state, dict) and "_val" in state:
        found = state["_val"]
    elif isinstance(value, dict):
        found = {key: _plain(item, made, depth + 1) for key, item in value.items()}
    elif isinstance(value, list):
        found = [_plain(item, made, depth + 1) for item in value]
    made[id(value)] = found
    return found


def _settings(config: Settings) -> dict[str, Any]:
    model, prime = config.section("model"), config.section("prime")
    model.only(*MODEL_KEYS, "causal", "tie_word_embeddings")
    prime.only(*PRIME_KEYS)
    autoregressive = config.text("backbone", "dit", "ar") == "ar"
    config.text("parameterization", "ar" if autoregressive else "subs")
    if not autoregressive:
        config.section("noise").text("type", "loglinear")
    if config.flag("time_conditioning", default=False):
        raise FormatError("config.time_conditioning: is true; can be read: false, as in all published text networks")
    if model.flag("tie_word_embeddings", default=False):
        raise FormatError("config.model.tie_word_embeddings: is true; can be read: false")
    if model.flag("causal", default=False) != autoregressive:
        raise FormatError(f"config.model.causal: does not fit config.backbone {config.get('backbone')}")
    ell, length = prime.integer("target_length", most=MOST_DIGITS), model.integer("length")
    if prime.integer("seq_length") != length:
        raise FormatError(f"config.prime.seq_length: is {prime.get('seq_length')}; config.model.length is {length}")
    if autoregressive and ell != 1:
        raise FormatError(f"config.prime.target_length: is {ell}; should be 1 for an autoregressive network")
    return {
        "model": "autoregressive" if autoregressive else "masked",
        "num_subtokens": ell,
        "base": prime.integer("base", least=2),
        "vocab_size": prime.integer("vocab_size", least=2),
        "length": length,
        "channels": 1,
        # with one sub-token the released code keeps visible tokens whatever this says
        "carry_over": prime.flag("carry_over") or ell == 1,
        "super_tokens": False,
        "schedule": "linear",
        "exponent": 1.0,
        "network": {
            "kind": "dit",
            "width": model.integer("hidden_size"),
            "blocks": model.integer("n_blocks", most=MOST_BLOCKS),
            "heads": model.integer("n_heads"),
            "conditioning_width": model.integer("cond_dim"),
            "dropout": model.number("dropout"),
            "time_conditioning": False,
        },
    }


def _check_rotary(settings: dict[str, Any], frequencies: Any) -> None:
    """The only weight whose shape tells the number of heads."""
    network = settings["network"]
    wanted = (network["width"] // network["heads"] // 2,)
    if frequencies is None or frequencies.shape != wanted:
        found = "missing" if frequencies is None else f"has shape {frequencies.shape}"
        raise FormatError(
            f"{PREFIX}{names.TEXT_BUFFER}: {found}; {network['heads']} heads of config.model.n_heads need {wanted}"
        )
