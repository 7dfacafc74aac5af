"""Data sets: sequences of tokens, and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mdm_prime.experiment.sections.base import Fraction, Section, Seed


class KnownEntropyData(Section):
    """A seeded first-order Markov source whose entropy is known exactly."""

    kind: Literal["known_entropy"]
    vocab_size: Annotated[int, Field(ge=2)]
    length: PositiveInt
    concentration: PositiveFloat  # of the Dirichlet rows: small values make a sparse, predictable source
    train_sequences: PositiveInt
    validation_sequences: PositiveInt
    seed: Seed


class HubText(Section):
    """A text data set read through the `datasets` library."""

    path: str  # hub name, or a folder or file on this machine
    name: str | None = None
    split: str = "train"
    text_column: str = "text"


class TextData(Section):
    """Text: the embedded documentation of Python, own files, or a data set of the hub."""

    kind: Literal["text"]
    files: tuple[str, ...] = ()  # one document each; empty: the embedded text, unless `hub` is given
    hub: HubText | None = None
    tokenizer: str | None = None  # a tokenizers JSON file or a hub name; null trains byte-level BPE
    vocab_size: Annotated[int, Field(ge=257)]
    length: PositiveInt
    validation_fraction: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _one_source(self) -> TextData:
        if self.files and self.hub:
            raise ValueError("give either files or hub, not both")
        for file in (*self.files, *([self.tokenizer] if _is_path(self.tokenizer) else [])):
            if not Path(str(file)).is_file():
                raise ValueError(f"{'tokenizer' if file == self.tokenizer else 'files'}: no such file: {file}")
        return self


class ToyData(Section):
    """A 2-D density from a gray image on a vocab_size x vocab_size grid, on what stands out in it (data/toy.py)."""

    kind: Literal["toy"]
    image: str  # china.jpg or flower.jpg (scikit-learn's photographs), or a file
    vocab_size: Annotated[int, Field(ge=2)]
    contrast: PositiveFloat
    train_sequences: PositiveInt
    validation_sequences: PositiveInt
    seed: Seed
    length: Literal[2] = 2

    @model_validator(mode="after")
    def _image_exists(self) -> ToyData:
        if self.image not in ("china.jpg", "flower.jpg") and not Path(self.image).is_file():
            raise ValueError(f"image: no such file: {self.image}; allowed: china.jpg, flower.jpg or the path of a file")
        return self


class ImageData(Section):
    """What every set of images has: C channels, H = W = size; a pixel's channel is a token of V values."""

    dataset: Annotated[str, Field(min_length=1)]  # what tables call it
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=4)]
    vocab_size: Annotated[int, Field(ge=2, le=256)]
    augmentation: Literal["none", "flip", "shift"] = "none"  # of training images; shift loses no ink
    seed: Seed

    @property
    def length(self) -> int:
        """L = C * H * W, channels first."""
        return self.channels * self.size * self.size


class DigitsData(ImageData):
    """scikit-learn's 1,797 handwritten digits: 8x8 pixels of 17 gray levels."""

    kind: Literal["digits"]
    dataset: str = "digits"
    channels: Literal[1] = 1
    size: Literal[8] = 8
    vocab_size: Literal[17] = 17
    augmentation: Literal["none", "shift"] = "none"  # a mirrored digit is no digit
    test_fraction: Fraction


class PhotosData(ImageData):
    """Square crops of photographs; training and test crops come from different parts of each."""

    kind: Literal["photos"]
    dataset: str = "photos"
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    folder: str | None = None  # of images; null: scikit-learn's two photographs
    train_images: Annotated[int, Field(ge=2)]
    test_images: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _folder_exists(self) -> PhotosData:
        if self.folder is not None and not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self


class HubImagesData(ImageData):
    """Images read through the `datasets` library, such as CIFAR-10 (uoft-cs/cifar10)."""

    kind: Literal["hub_images"]
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    path: str  # hub name, or a folder or parquet file on this machine
    name: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_column: str = "img"
    label_column: str = "label"


class ImageBatchesData(ImageData):
    """ImageNet's own downsampled images: train_data_batch_1, ... and val_data, dictionaries of arrays."""

    kind: Literal["image_batches"]
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    folder: str

    @model_validator(mode="after")
    def _folder_exists(self) -> ImageBatchesData:
        if not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self


ImagesData = DigitsData | PhotosData | HubImagesData | ImageBatchesData
Data = Annotated[KnownEntropyData | TextData | ToyData | ImagesData, Field(discriminator="kind")]


def _is_path(name: str | None) -> bool:
    return name is not None and name.endswith(".json")
