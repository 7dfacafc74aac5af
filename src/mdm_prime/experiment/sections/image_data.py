"""The base of every section of images; each source is a file of mdm_prime/data/images that declares itself."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mdm_prime.experiment.found import OneOf
from mdm_prime.experiment.sections.data import DataSection

PACKAGES = ("mdm_prime.data.images",)


class ImageDataSection(DataSection):
    """What every set of images has: C channels, H = W = size; a pixel's channel is a token of V values."""

    outputs: ClassVar[tuple[str, ...]] = (
        "train.npy",
        "heldout.npy",
        "meta.json",
        "train_labels.npy",
        "heldout_labels.npy",
    )
    dataset: Annotated[str, Field(min_length=1)]  # what tables call it
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=4)]
    vocab_size: Annotated[int, Field(ge=2, le=256)]
    augmentation: Literal["none", "flip", "shift"] = "none"  # of training images; shift loses no ink

    @property
    def length(self) -> int:
        """L = C * H * W, channels first."""
        return self.channels * self.size * self.size


ImageData = Annotated[ImageDataSection, OneOf(PACKAGES)]
