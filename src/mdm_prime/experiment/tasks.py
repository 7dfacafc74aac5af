"""Tasks (a data set with the models on it) and runs (one network): what config.py makes of a params file."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import Field, PositiveInt, TypeAdapter, ValidationError, model_validator

from mdm_prime.experiment import found
from mdm_prime.experiment.runs import PIXEL_CHANNELS, SUPER_TOKEN_VALUES, Checkpoint, Run, as_images
from mdm_prime.experiment.sections import model_kinds
from mdm_prime.experiment.sections.base import MOST_SAMPLES, Name, Names, Section, Seed, Seeds
from mdm_prime.experiment.sections.data import Data
from mdm_prime.experiment.sections.image_data import ImageDataSection
from mdm_prime.experiment.sections.images import DOWNLOADED, Classifier, Fidelity
from mdm_prime.experiment.sections.model_kinds import Model
from mdm_prime.experiment.sections.models import OBJECTIVES, Evaluation, Oracle, Sampling, Training
from mdm_prime.experiment.sections.networks import Network, NetworkSection
from mdm_prime.experiment.sections.samplers import Samplers, SamplerSection

NUMBER_IN_NAME = re.compile(r"l([1-9]\d*)(?:-.*)?")  # l4, l4-bound: a variant of 4 sub-tokens per token

S = TypeVar("S", bound=Section)
_NETWORK: TypeAdapter[NetworkSection] = TypeAdapter(Network)


class Variant(Section):
    """One model of a task; `training` and `network` override single values of the task's."""

    model: Model = Field(default_factory=functools.partial(model_kinds.of, "masked"))
    num_subtokens: PositiveInt | None = None  # null: the number in the name, such as l4 or l4-bound; without one 1
    carry_over: bool = True
    seeds: Seeds | None = None  # null: the task's
    super_tokens: bool = False  # an RGB pixel as two base-4096 tokens: 2/3 of a sub-token per channel
    permutation: Seed | None = None  # of the tokens, before they become digits; null: as they are numbered
    training: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    samplers: Samplers | None = None  # null: the task's

    @model_validator(mode="after")
    def _possible(self) -> Variant:
        for key in ("training", "network"):
            if self.checkpoint and getattr(self, key):
                raise ValueError(f"{key}: is not for a checkpoint, which is not trained here")
        return self


class ImageTask(NamedTuple):
    """What a task on images has besides."""

    data: ImageDataSection
    classifier: Classifier
    fidelity: Fidelity


class Task(Section):
    """A data set, and the models trained, evaluated and sampled on it."""

    data: Data
    network: Network
    training: Training
    models: Names  # the variants that are made, in the order of tables and figures
    seeds: Seeds
    variants: dict[Name, Variant] = Field(default_factory=dict)
    evaluation: Evaluation
    sampling: Sampling
    samplers: Samplers
    classifier: Classifier | None = None  # of images
    fidelity: Fidelity | None = None  # of images
    oracle: Oracle | None = None  # of a source of known entropy
    devices: PositiveInt = 1  # that share each training, evaluation and sampling; changes no result but by rounding
    shard_weights: bool = False  # each device keeps its part of them: for a network that one device cannot hold

    @model_validator(mode="after")
    def _possible(self) -> Task:
        for key in ("classifier", "fidelity"):
            if (getattr(self, key) is not None) != self.on_images:
                raise ValueError(f"{key}: {'missing; images need it' if self.on_images else 'is for images'}")
        if self.oracle:
            if self.data.kind != "known_entropy":
                raise ValueError("oracle: is for data of kind known_entropy")
            limit = (self.data.vocab_size - 1).bit_length()
            if (most := max(self.oracle.num_subtokens)) > limit:
                raise ValueError(f"oracle.num_subtokens: is {most}; at most {limit}, the binary digits of a token")
        weights = self.fidelity and self.fidelity.inception_weights
        if weights and not weights.startswith(DOWNLOADED) and not Path(weights).is_file():
            raise ValueError(f"fidelity.inception_weights: no such file: {weights}; null: the task's own classifier")
        if self.network.for_images != self.on_images:
            raise ValueError(f"network.kind: is {self.network.kind}; does not fit data.kind {self.data.kind}")
        if self.sampling.prefix and not self.data.has_text:
            raise ValueError("sampling.prefix: is for text only")
        for name in self.models:
            if name not in self.variants and not NUMBER_IN_NAME.fullmatch(name):
                raise ValueError(
                    f"models: {name} is no variant; allowed: {', '.join(['l1, l2, ...', *self.variants])}; "
                    "another name needs an entry in variants"
                )
        for name, variant in self.variants.items():
            if NUMBER_IN_NAME.fullmatch(name) and variant.num_subtokens is not None:
                raise ValueError(
                    f"variants.{name}.num_subtokens: stands in the name already; leave it out or choose another name"
                )
        if self.shard_weights and self.devices == 1:
            raise ValueError("shard_weights: is true; needs more than one of devices")
        for name in self.models:  # a base may have variants that do not fit this task
            self._check_variant(name)
        return self

    def _check_variant(self, name: str) -> None:
        variant, ell = self.variant(name), self.num_subtokens(name)
        where = f"variants.{name}"
        if variant.super_tokens and not (
            isinstance(self.data, ImageDataSection) and self.data.channels == PIXEL_CHANNELS
        ):
            raise ValueError(f"{where}.super_tokens: needs images of {PIXEL_CHANNELS} channels")
        if variant.permutation is not None and (self.on_images or variant.checkpoint):
            raise ValueError(f"{where}.permutation: is not for {'images' if self.on_images else 'a checkpoint'}")
        if variant.checkpoint and (variant.checkpoint.format == "official-image") != self.on_images:
            raise ValueError(f"{where}.checkpoint.format: is {variant.checkpoint.format}; does not fit the data")
        vocab_size = SUPER_TOKEN_VALUES if variant.super_tokens else self.data.vocab_size
        limit = (vocab_size - 1).bit_length()
        if ell > limit:
            key = (
                f"{where}.num_subtokens: is {ell}" if variant.num_subtokens else f"models: {name} has {ell} sub-tokens"
            )
            raise ValueError(f"{key}; should be at most {limit}, the binary digits of vocab_size {vocab_size}")
        self._check_parts(name)
        self._check_samplers(name)
        try:
            run = self.run("", name, self.seeds[0])
        except ValidationError:
            return  # an override that is reported with its own key
        try:
            run.model.check(run)
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from None
        blocks = run.length // run.model.at_once(run.length)
        if self.sampling.num_samples * blocks > MOST_SAMPLES:
            raise ValueError(
                f"sampling.num_samples: is {self.sampling.num_samples}; should be at most {MOST_SAMPLES // blocks} "
                f"for {name}, whose samples have {blocks} blocks with random numbers of their own"
            )
        if variant.checkpoint:
            return
        objective = run.training.objective
        if getattr(found.module(OBJECTIVES, objective), "FOR_IMAGES", False) and not self.on_images:
            key = f"{where}.training" if "objective" in variant.training else "training"
            raise ValueError(f"{key}.objective: {objective} is for images")
        complements = getattr(found.module(OBJECTIVES, objective), "COMPLEMENTS", False)
        if complements and not run.model.complements:
            raise ValueError(f"{where}.training.objective: is {objective}; not for the model {run.model.kind}")
        if run.training.whole_tokens_above < 1 and complements:
            raise ValueError(f"{where}.training.whole_tokens_above: is not for the objective {objective}; leave it out")
        if self.shard_weights and not run.model.shardable:
            raise ValueError(f"shard_weights: is true; not for the model {run.model.kind}")
        self._check_batch(name, run.training.batch_size)
        if run.training.optimizer == "muon" and self.shard_weights:
            raise ValueError("shard_weights: is true; not for the optimizer muon, which needs its matrices whole")
        if run.training.optimizer == "muon" and run.network.blocks_at is None:
            key = f"{where}.training" if "optimizer" in variant.training else "training"
            raise ValueError(f"{key}.optimizer: muon is not for a network of kind {run.network.kind}; should be adamw")
        try:
            run.network.check(run.shape)
        except ValueError as error:
            key = str(error).partition(":")[0]
            inside = f"{where}.network" if key in variant.network else "network"
            raise ValueError(f"{inside}.{error} of variant {name}") from None

    def _check_batch(self, name: str, size: int) -> None:
        """Every device has a part of a batch; where passes gather weights, an equal one, and so as many passes."""
        key = f"variants.{name}.training" if "batch_size" in self.variant(name).training else "training"
        if self.devices > size:
            raise ValueError(f"devices: is {self.devices}; should be at most {key}.batch_size {size}")
        if self.shard_weights and size % self.devices:
            raise ValueError(
                f"{key}.batch_size: is {size}; should be divisible by the number of devices, {self.devices}, "
                "where shard_weights is true"
            )

    def _check_parts(self, name: str) -> None:
        """A model is made of trained networks of the same seeds, which are not made of others."""
        model = self.variant(name).model
        for key in model.parts:
            part, where = getattr(model, key), f"variants.{name}.model.{key}: is {getattr(model, key)}"
            if part not in self.models:
                raise ValueError(f"{where}; should be one of models: {', '.join(self.models)}")
            if self.variant(part).model.parts or self.variant(part).checkpoint:
                raise ValueError(f"{where}; should be a variant that is trained here and not made of others")
            if missing := sorted(set(self.seeds_of(name)) - set(self.seeds_of(part))):
                raise ValueError(f"{where}, which has no seed {missing[0]}; give both the same seeds")

    def _check_samplers(self, name: str) -> None:
        model, own = self.variant(name).model, self.variant(name).samplers
        where = f"variants.{name}.samplers" if own else "samplers"
        for sampler in self.samplers_of(name):
            if model.samplers is not None and sampler.kind not in model.samplers:
                raise ValueError(
                    f"{where}: {sampler.kind} is not for the model {model.kind} of {name}; give variants.{name} "
                    f"samplers of kind {', '.join(model.samplers)}"
                )
            if sampler.models is not None and model.kind not in sampler.models:
                raise ValueError(
                    f"{where}: {sampler.kind} is not for the model {model.kind} of {name}; it is for "
                    f"{', '.join(sampler.models)}"
                )

    @property
    def on_images(self) -> bool:
        return isinstance(self.data, ImageDataSection)

    @property
    def of_images(self) -> ImageTask | None:
        """What only a task on images has; None for another one."""
        if self.classifier is None or self.fidelity is None:
            return None
        return ImageTask(as_images(self.data), self.classifier, self.fidelity)

    def variant(self, name: str) -> Variant:
        """The variant of a name: as `variants` has it, or that of l1, l2, ... where it has none."""
        return self.variants.get(name) or Variant()

    def num_subtokens(self, name: str) -> int:
        """Ell of a variant: its own value, the number in its name, or 1."""
        number = NUMBER_IN_NAME.fullmatch(name)
        return self.variant(name).num_subtokens or (int(number[1]) if number else 1)

    def samplers_of(self, name: str) -> tuple[SamplerSection, ...]:
        """The samplers of a variant: its own, or the task's."""
        return self.variant(name).samplers or self.samplers

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """The seeds of a variant: its own, or the task's; a checkpoint has none and is there once."""
        variant = self.variant(name)
        return (variant.seeds or self.seeds)[: 1 if variant.checkpoint else None]

    def run(self, task: str, name: str, seed: int) -> Run:
        """The run of a variant and a seed; `task` is this task's name."""
        if (task, name, seed) not in self._runs:
            self._runs[task, name, seed] = self._run(task, name, seed)
        return self._runs[task, name, seed]

    @functools.cached_property
    def _runs(self) -> dict[tuple[str, str, int], Run]:
        """Those made so far: the table of stages asks for each some twenty times. A copy of a task would share them."""
        return {}

    def _run(self, task: str, name: str, seed: int) -> Run:
        variant = self.variant(name)
        return Run(
            task=task,
            variant=name,
            seed=seed,
            model=variant.model,
            num_subtokens=self.num_subtokens(name),
            carry_over=variant.carry_over,
            super_tokens=variant.super_tokens,
            permutation=variant.permutation,
            data=self.data,
            network=overridden(self.network, variant.network),
            training=overridden(self.training, variant.training),
            checkpoint=variant.checkpoint,
            parts={key: self.run(task, getattr(variant.model, key), seed) for key in variant.model.parts},
        )

    def runs(self, task: str) -> Iterator[Run]:
        """Every run, models in their order, seeds innermost."""
        for name in self.models:
            for seed in self.seeds_of(name):
                yield self.run(task, name, seed)


def overridden(section: S, values: Mapping[str, Any]) -> S:
    """A section with other values at some of its keys; a network of another kind has these alone.

    Raises ValidationError.
    """
    if isinstance(section, NetworkSection) and values.get("kind", section.kind) != section.kind:
        return cast(S, _NETWORK.validate_json(json.dumps(dict(values)), strict=True))
    return type(section).model_validate_json(json.dumps({**section.model_dump(mode="json"), **values}), strict=True)
