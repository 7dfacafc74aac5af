"""The sections of a params file, each with what its values may be. config.py reads and joins them."""

from __future__ import annotations

from mdm_prime.sections.base import Counts, Fraction, Name, Names, SampleCount, SampleSeed, Section, Seed, Seeds
from mdm_prime.sections.data import (
    Data,
    DigitsData,
    HubImagesData,
    HubText,
    ImageBatchesData,
    ImageData,
    ImagesData,
    KnownEntropyData,
    PhotosData,
    TextData,
    ToyData,
)
from mdm_prime.sections.images import (
    Classifier,
    Curve,
    Fidelity,
    ImageSampler,
    ImageSamplers,
    ImageSampling,
    ImageVariant,
)
from mdm_prime.sections.models import Compute, Evaluation, IdleSteps, Oracle, Sampling, Training, Variant
from mdm_prime.sections.networks import DiTNetwork, MLPNetwork, Network, UNetNetwork

__all__ = [
    "Classifier",
    "Compute",
    "Counts",
    "Curve",
    "Data",
    "DiTNetwork",
    "DigitsData",
    "Evaluation",
    "Fidelity",
    "Fraction",
    "HubImagesData",
    "HubText",
    "IdleSteps",
    "ImageBatchesData",
    "ImageData",
    "ImageSampler",
    "ImageSamplers",
    "ImageSampling",
    "ImageVariant",
    "ImagesData",
    "KnownEntropyData",
    "MLPNetwork",
    "Name",
    "Names",
    "Network",
    "Oracle",
    "PhotosData",
    "SampleCount",
    "SampleSeed",
    "Sampling",
    "Section",
    "Seed",
    "Seeds",
    "TextData",
    "ToyData",
    "Training",
    "UNetNetwork",
    "Variant",
]
