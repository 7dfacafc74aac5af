"""The sections of a params file of official checkpoints: where they are, what they are, what they are scored on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from mdm_prime.experiment.sections.base import Name, SampleCount, SampleSeed, Section
from mdm_prime.experiment.sections.data import Data
from mdm_prime.experiment.sections.image_data import ImageData
from mdm_prime.experiment.sections.images import Classifier, Fidelity
from mdm_prime.experiment.sections.models import Evaluation
from mdm_prime.experiment.sections.samplers import Samplers

FRAME = 2  # separators around a framed sequence


class OfficialEvaluation(Evaluation):
    """How many draws the likelihood is estimated with, and in how many jobs."""

    shards: PositiveInt  # jobs, each on other held-out sequences
    limit: PositiveInt | None = None  # at most this many batches of batch_size; null: num_samples draws

    @property
    def draws(self) -> int:
        """Draws of all shards together."""
        return self.num_samples if self.limit is None else min(self.num_samples, self.limit * self.batch_size)

    @property
    def jobs(self) -> int:
        """The number of shards: fewer where each would have less than two draws."""
        return max(1, min(self.shards, self.draws // 2))


class OfficialSampling(Section):
    """How many images are drawn by each sampler, and in how many jobs."""

    num_samples: SampleCount
    batch_size: PositiveInt
    seed: SampleSeed
    shards: PositiveInt

    @property
    def jobs(self) -> int:
        return min(self.shards, self.num_samples)


class Assumed(Section):
    """What --dry-run assumes before anything is there. No result depends on it."""

    parameters: PositiveInt  # weights of one network
    passes_per_second: PositiveFloat  # forward passes of one sequence or image, on one device


class OfficialCheckpoint(Section):
    """A file of the authors, and the row of the paper that it belongs to."""

    source: Annotated[str, Field(min_length=1)]  # below `repository`; or a whole path; or hf://OWNER/NAME/FILE@REVISION
    weights: Literal["ema", "raw"] = "ema"
    model: Literal["ARM", "MDM", "MDM-Prime"]
    num_subtokens: PositiveInt = 1
    carry_over: bool  # in evaluation and sampling here; the file may say otherwise of its training

    @model_validator(mode="after")
    def _is_that_model(self) -> OfficialCheckpoint:
        if (self.num_subtokens > 1) != (self.model == "MDM-Prime"):
            raise ValueError(f"num_subtokens: is {self.num_subtokens}; does not fit model {self.model}")
        return self


class OfficialImageCheckpoint(Section):
    """The same of images, with the samplers that the paper chose for it."""

    source: Annotated[str, Field(min_length=1)]
    weights: Literal["ema", "raw"] = "ema"
    num_subtokens: PositiveInt = 1
    super_tokens: bool = False
    components: PositiveInt = 1
    carry_over: bool
    head_width: PositiveInt | None = None  # null: that of the released code
    samplers: Samplers


class OfficialText(Section):
    """Text, and the checkpoints that are evaluated on it."""

    data: Data
    framed: bool  # a sequence is data.length tokens between two separators, as the released code trains and evaluates
    evaluation: OfficialEvaluation
    checkpoints: Annotated[dict[Name, OfficialCheckpoint], Field(min_length=1)]
    assumed: Assumed

    @property
    def length(self) -> int:
        """L of the sequences that a network sees."""
        return self.data.length + FRAME * self.framed


class OfficialImages(Section):
    """Images, and the checkpoints that are evaluated and sampled on them."""

    data: ImageData
    evaluation: OfficialEvaluation
    sampling: OfficialSampling
    classifier: Classifier
    fidelity: Fidelity
    checkpoints: Annotated[dict[Name, OfficialImageCheckpoint], Field(min_length=1)]
    assumed: Assumed

    @property
    def length(self) -> int:
        """L of an image in the data set; super-tokens are made from it."""
        return self.data.length

    @field_validator("fidelity")
    @classmethod
    def _inception_is_there(cls, fidelity: Fidelity) -> Fidelity:
        weights = fidelity.inception_weights
        if weights is not None and not Path(weights).is_file():
            raise ValueError(f"inception_weights: no such file: {weights}; null: the task's own classifier")
        return fidelity


def address_of(repository: str, source: str) -> str:
    """Where a checkpoint is: a path, or hf://OWNER/NAME/FILE@REVISION."""
    if source.startswith("hf://"):
        return source
    if found := re.fullmatch(r"(hf://[^@]+)@(.+)", repository):
        return f"{found[1]}/{source}@{found[2]}"
    return (Path(repository) / source).as_posix()
