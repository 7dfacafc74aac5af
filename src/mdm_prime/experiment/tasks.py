"""Tasks, a data set each with the models on it, and runs, one trained network each: what config.py makes of a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from mdm_prime.core.bases import smallest_base
from mdm_prime.experiment import found
from mdm_prime.experiment.sections.base import Name, Names, Section, Seeds
from mdm_prime.experiment.sections.data import Data
from mdm_prime.experiment.sections.image_data import ImageData
from mdm_prime.experiment.sections.images import Classifier, Fidelity, ImageSampling, ImageVariant
from mdm_prime.experiment.sections.models import OBJECTIVES, Evaluation, Sampling, Training, Variant
from mdm_prime.experiment.sections.networks import Network
from mdm_prime.experiment.sections.samplers import Samplers, SamplerSection
from mdm_prime.experiment.shape import Shape

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

    data: Data
    variants: dict[Name, Variant]
    samplers: Samplers  # of every model
    sampling: Sampling

    @model_validator(mode="after")
    def _possible(self) -> Task:
        if self.network.for_images:
            raise ValueError(f"network.kind: is {self.network.kind}; does not fit data.kind {self.data.kind}")
        _check_objective(self.training.objective, images=False)
        if self.sampling.prefix and not self.data.has_text:
            raise ValueError("sampling.prefix: is for text only")
        _check_names(self.models, self.variants)
        for name, variant in self.variants.items():
            _check_base(name, variant.num_subtokens, self.data.vocab_size)
            causal = variant.model == "autoregressive"
            _check_network(
                name,
                self.network,
                variant,
                Shape(
                    base=smallest_base(self.data.vocab_size, variant.num_subtokens),
                    num_subtokens=variant.num_subtokens,
                    vocab_size=self.data.vocab_size,
                    length=self.data.length,
                    causal=causal,
                ),
            )
        return self

    def samplers_of(self, variant: str) -> tuple[SamplerSection, ...]:
        """What a variant is sampled by."""
        return self.samplers


class ImageTask(_AnyTask):
    """A set of images, and the models trained, evaluated, sampled and compared on it."""

    data: ImageData
    variants: dict[Name, ImageVariant]
    sampling: ImageSampling
    samplers: dict[Name, Samplers]  # of every model
    classifier: Classifier
    fidelity: Fidelity

    @model_validator(mode="after")
    def _possible(self) -> ImageTask:
        weights = self.fidelity.inception_weights
        if weights is not None and not Path(weights).is_file():
            raise ValueError(f"fidelity.inception_weights: no such file: {weights}; null: the task's own classifier")
        if not self.network.for_images:
            raise ValueError(f"network.kind: is {self.network.kind}; should be one for images, such as unet")
        _check_objective(self.training.objective, images=True)
        if self.sampling.prefix:
            raise ValueError("sampling.prefix: is for text only")
        for name, variant in self.variants.items():
            if variant.model != "masked":
                raise ValueError(f"variants.{name}.model: is {variant.model}; should be masked for images")
            if variant.super_tokens and self.data.channels != PIXEL_CHANNELS:
                raise ValueError(f"variants.{name}.super_tokens: needs images of {PIXEL_CHANNELS} channels")
            vocab_size = SUPER_TOKEN_VALUES if variant.super_tokens else self.data.vocab_size
            channels = SUPER_TOKENS if variant.super_tokens else self.data.channels
            _check_base(name, variant.num_subtokens, vocab_size)
            _check_network(
                name,
                self.network,
                variant,
                Shape(
                    base=smallest_base(vocab_size, variant.num_subtokens),
                    num_subtokens=variant.num_subtokens,
                    vocab_size=vocab_size,
                    length=self.data.size**2 * channels,
                    channels=channels,
                ),
            )
        _check_names(self.models, self.variants)
        for name in self.samplers:
            if name not in self.variants:
                raise ValueError(f"samplers.{name}: is no variant; allowed: {', '.join(self.variants)}")
        for name in self.models:
            if name not in self.samplers:
                raise ValueError(f"samplers.{name}: missing; every one of models needs its samplers")
        return self

    def samplers_of(self, variant: str) -> tuple[SamplerSection, ...]:
        """What a variant is sampled by."""
        return self.samplers[variant]


def _check_objective(name: str, *, images: bool) -> None:
    if getattr(found.module(OBJECTIVES, name), "FOR_IMAGES", False) and not images:
        raise ValueError(f"training.objective: {name} is for images")


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


def _check_network(name: str, network: Network, variant: Variant, shape: Shape) -> None:
    try:
        section = type(network).model_validate_json(
            json.dumps({**network.model_dump(mode="json"), **variant.network}), strict=True
        )
    except ValidationError:
        return  # an override of a wrong type: reported with its own key
    try:
        section.check(shape)
    except ValueError as error:
        key = str(error).partition(":")[0]
        where = f"variants.{name}.network" if key in variant.network else "network"
        raise ValueError(f"{where}.{error} of variant {name}") from None
