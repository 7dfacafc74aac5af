"""How images are drawn and compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from mdm_prime.experiment.sections.base import SampleCount, SampleSeed, Section, Seed
from mdm_prime.experiment.sections.models import Variant


class Curve(Section):
    """The three numbers a, n, b of a schedule of the image sampler (euler.py)."""

    a: float
    n: float
    b: float


class ImageSampler(Section):
    """One way to draw images: the paper's Euler sampler, or an exact sampler of the plain reverse process."""

    kind: Literal["euler", "ancestral", "first_hitting"]
    num_steps: PositiveInt | None = None  # null for first_hitting, which has a step for every sub-token
    draws: Literal["marginals", "joint"] = "joint"  # a position's sub-tokens independently, or as one token
    temperature: Curve | None = None  # null: 1
    corrector: Curve | None = None
    time_steps: Curve | None = None  # null: uniform

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ImageSampler:
        if (self.num_steps is None) != (self.kind == "first_hitting"):
            raise ValueError(f"num_steps: should be {'null' if self.num_steps else 'a number'} for {self.kind}")
        if self.kind != "euler":
            for key in ("temperature", "corrector", "time_steps"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: is for the euler sampler")
            if self.draws != "joint":
                raise ValueError("draws: should be joint for an exact sampler")
        return self

    @property
    def name(self) -> str:
        """Kind and number of steps."""
        return self.kind if self.num_steps is None else f"{self.kind}-{self.num_steps}"


def _distinct(samplers: tuple[ImageSampler, ...]) -> tuple[ImageSampler, ...]:
    if len(set(samplers)) != len(samplers):
        raise ValueError("one stands twice")
    return samplers


ImageSamplers = Annotated[tuple[ImageSampler, ...], Field(min_length=1), AfterValidator(_distinct)]


class ImageSampling(Section):
    """How many images are drawn by each sampler of a model."""

    num_samples: SampleCount
    batch_size: PositiveInt
    seed: SampleSeed
    shown: PositiveInt  # images in the imputation and denoising figures


class ImageVariant(Variant):
    """A variant on images."""

    super_tokens: bool = False  # an RGB pixel as two base-4096 tokens: 2/3 of a sub-token per channel


class Classifier(Section):
    """The small network whose features images are compared by where Inception's weights are not given."""

    width: PositiveInt
    num_features: PositiveInt
    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: Seed


class Fidelity(Section):
    """How sets of images are compared (torch-fidelity)."""

    reference: Literal["train", "validation"] = "train"  # images that the samples are compared with
    inception_weights: str | None  # file of torch-fidelity's Inception weights; null: the classifier's features
    kid_subset_size: Annotated[int, Field(ge=2)]
    neighbours: PositiveInt  # of precision and recall
    batch_size: PositiveInt
    seed: Seed
