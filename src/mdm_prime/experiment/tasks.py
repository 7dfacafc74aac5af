"""Tasks, a data set each with the models on it, and runs, one trained network each: what config.py makes of a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mdm_prime.experiment.sections import (
    Classifier,
    Data,
    Evaluation,
    Fidelity,
    ImageSampler,
    ImageSamplers,
    ImageSampling,
    ImagesData,
    ImageVariant,
    KnownEntropyData,
    Name,
    Names,
    Network,
    Sampling,
    Section,
    Seeds,
    TextData,
    ToyData,
    Training,
    Variant,
)

PIXEL_CHANNELS, SUPER_TOKENS, SUPER_TOKEN_VALUES = 3, 2, 4096  # 256^3 = 4096^2: three channels as two tokens


class Run(Section):
    """Everything that one trained network depends on; `name` is TASK/VARIANT/seedN."""

    task: str
    variant: str
    seed: int
    model: Literal["masked", "autoregressive"]
    num_subtokens: int
    carry_over: bool
    super_tokens: bool = False
    data: Data
    network: Network
    training: Training

    @property
    def name(self) -> str:
        return f"{self.task}/{self.variant}/seed{self.seed}"

    @property
    def vocab_size(self) -> int:
        """V of the tokens that the network sees."""
        return SUPER_TOKEN_VALUES if self.super_tokens else self.data.vocab_size

    @property
    def length(self) -> int:
        """L of the tokens that the network sees."""
        return self.data.length * SUPER_TOKENS // PIXEL_CHANNELS if self.super_tokens else self.data.length

    @property
    def digest(self) -> str:
        """Hash of the whole run, kept in its checkpoints."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class _AnyTask(Section):
    """What tasks on tokens and on images share."""

    network: Network
    training: Training
    models: Names  # the variants to train, in the order of tables and figures
    seeds: Seeds
    evaluation: Evaluation


class Task(_AnyTask):
    """A data set of token sequences, and the models trained, evaluated and sampled on it."""

    data: Annotated[KnownEntropyData | TextData | ToyData, Field(discriminator="kind")]
    variants: dict[Name, Variant]
    sampling: Sampling

    @model_validator(mode="after")
    def _possible(self) -> Task:
        if self.network.kind != ("mlp" if self.data.kind == "toy" else "dit"):
            raise ValueError(f"network.kind: is {self.network.kind}; does not fit data.kind {self.data.kind}")
        if self.training.objective == "cross_entropy":
            raise ValueError("training.objective: cross_entropy is for images")
        if not isinstance(self.data, TextData) and self.sampling.prefix:
            raise ValueError("sampling.prefix: is for text only")
        _check_names(self.models, self.variants)
        for name, variant in self.variants.items():
            _check_base(name, variant.num_subtokens, self.data.vocab_size)
            _check_network(name, self.network, variant)
        return self

    @property
    def samplers(self) -> Mapping[str, tuple[ImageSampler, ...]]:
        """Empty: on tokens the section `sampling` is the one sampler."""
        return {}


class ImageTask(_AnyTask):
    """A set of images, and the models trained, evaluated, sampled and compared on it."""

    data: Annotated[ImagesData, Field(discriminator="kind")]
    variants: dict[Name, ImageVariant]
    sampling: ImageSampling
    samplers: dict[Name, ImageSamplers]  # of every model
    classifier: Classifier
    fidelity: Fidelity

    @model_validator(mode="after")
    def _possible(self) -> ImageTask:
        weights = self.fidelity.inception_weights
        if weights is not None and not Path(weights).is_file():
            raise ValueError(f"fidelity.inception_weights: no such file: {weights}; null: the task's own classifier")
        if self.network.kind != "unet":
            raise ValueError(f"network.kind: is {self.network.kind}; should be unet for images")
        for name, variant in self.variants.items():
            if variant.model != "masked":
                raise ValueError(f"variants.{name}.model: is {variant.model}; should be masked for images")
            if variant.super_tokens and self.data.channels != PIXEL_CHANNELS:
                raise ValueError(f"variants.{name}.super_tokens: needs images of {PIXEL_CHANNELS} channels")
            vocab_size = SUPER_TOKEN_VALUES if variant.super_tokens else self.data.vocab_size
            _check_base(name, variant.num_subtokens, vocab_size)
            parts = variant.num_subtokens * (SUPER_TOKENS if variant.super_tokens else self.data.channels)
            width = variant.network.get("width", self.network.width) * self.network.multipliers[0]
            if isinstance(width, int) and width % parts:
                raise ValueError(
                    f"network.width: width x multipliers[0] is {width}; should be divisible by {parts}, the sub-tokens "
                    f"of a pixel in variant {name}"
                )
        _check_names(self.models, self.variants)
        for name in self.samplers:
            if name not in self.variants:
                raise ValueError(f"samplers.{name}: is no variant; allowed: {', '.join(self.variants)}")
        for name in self.models:
            if name not in self.samplers:
                raise ValueError(f"samplers.{name}: missing; every one of models needs its samplers")
        if self.data.size % 2 ** (len(self.network.multipliers) - 1):
            raise ValueError(f"network.multipliers: {len(self.network.multipliers)} levels halve size {self.data.size}")
        return self


def _check_names(models: tuple[str, ...], variants: Mapping[str, Variant]) -> None:
    for name in models:
        if name not in variants:
            raise ValueError(f"models: {name} is no variant; allowed: {', '.join(variants)}")
    for name, variant in variants.items():
        if (digits := re.fullmatch(r"l(\d+)", name)) and variant.num_subtokens != int(digits[1]):
            raise ValueError(
                f"variants.{name}.num_subtokens: is {variant.num_subtokens}; should be {digits[1]}; "
                "or give the variant another name"
            )


def _check_base(name: str, num_subtokens: int, vocab_size: int) -> None:
    limit = (vocab_size - 1).bit_length()
    if num_subtokens > limit:
        raise ValueError(
            f"variants.{name}.num_subtokens: is {num_subtokens}; should be at most {limit}, "
            f"the binary digits of vocab_size {vocab_size}"
        )


def _check_network(name: str, network: Network, variant: Variant) -> None:
    if network.kind == "mlp":
        if variant.model == "autoregressive":
            raise ValueError(f"variants.{name}.model: autoregressive needs network.kind dit")
        return
    values = {**network.model_dump(), **variant.network}
    width, heads = values["width"], values["heads"]
    if not (isinstance(width, int) and isinstance(heads, int) and heads > 0):
        return  # an override of a wrong type: reported with its own key
    key = f"variants.{name}.network.width" if "width" in variant.network else "network.width"
    if width % variant.num_subtokens:
        raise ValueError(
            f"{key}: is {width}; should be divisible by num_subtokens {variant.num_subtokens} of variant {name}"
        )
    if width % (2 * heads):
        raise ValueError(f"{key}: is {width}; should be divisible by 2 x heads = {2 * heads} of variant {name}")
