"""quality/VARIANT/seedN.json: how near the images of each sampler of a run are to real ones."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mdm_prime.results.base import Deviation
from mdm_prime.results.models import Model
from mdm_prime.results.scores import Scores


class OfSampler(Scores):
    """With the sampler, as samples.json has it; `nfe` is its mean of network evaluations."""

    sampler: str
    distribution: str
    nfe: Deviation


class QualityFile(Model):
    """`distance_name` is what the distance is called on `features`: fid on Inception's, and on no others."""

    dataset: str
    features: str
    distance_name: str
    rows: Annotated[list[OfSampler], Field(min_length=1)]
