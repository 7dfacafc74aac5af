"""features/baselines.json: what real test images and independent pixels score."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mdm_prime.results.base import Result, Share
from mdm_prime.results.scores import Scores


class OfBaseline(Scores):
    """With its name."""

    baseline: str


class FeaturesFile(Result):
    """`classifier_accuracy` is None on Inception's features, whose accuracy on these images nobody measures."""

    task: str
    dataset: str
    features: str
    distance_name: str
    classifier_accuracy: Share | None
    rows: Annotated[list[OfBaseline], Field(min_length=1)]
