"""How images are compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from mdm_prime.experiment.sections.base import Section, Seed

DOWNLOADED = "https://"  # what the address of a file begins with that is fetched when it is needed


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

    reference: Literal["train", "heldout"] = "train"  # images that the samples are compared with
    inception_weights: str | None  # file or address of torch-fidelity's; null: the classifier's features
    kid_subset_size: Annotated[int, Field(ge=2)]
    neighbours: PositiveInt  # of precision and recall
    batch_size: PositiveInt
    seed: Seed
