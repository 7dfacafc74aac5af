"""Sets of images as arrays of pixel values and labels, written without ever being held whole."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm_prime import files
from mdm_prime.data import arrays
from mdm_prime.data.splitting import content_hash, heldout_threshold
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.image_data import ImageDataSection
from mdm_prime.results.data_set import DataSet

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from mdm_prime.core.noise import Noise

ARRAYS = ("train.npy", "train_labels.npy", "heldout.npy", "heldout_labels.npy")  # in the order they are hashed
ROWS = 1000  # images handed on at once
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # modes; alpha is dropped


class Batch(NamedTuple):
    """`pixels`: (N, L) uint8, channels first; `labels`: (N,) int64, from 0."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


Batches = Iterator[Batch]
Row = tuple[NDArray[np.uint8], int]  # pixels (L,) and label of one image


@dataclass(frozen=True)
class ImageSource:
    """Training and test images, read in batches.

    Attributes:
        name: for meta.json; no folder of this machine is in it.
        train, test: read from the first image on, and raise UserError for what cannot be read.
    """

    name: str
    train: Callable[[], Batches]
    test: Callable[[], Batches]


class ImageSourceSection(ImageDataSection):
    """Base of a section of images: its subclass has `kind` and `source`."""

    def source(self, key: str) -> ImageSource:
        """Where the images come from; `key` stands before the keys of the section in messages.

        Raises UserError for a source that is not there or does not have what is asked for.
        """
        raise NotImplementedError

    def prepare(self, output: Path, task: str, key: str) -> None:
        _write(self, self.source(key), output, task, key)

    def augmented(self, x: Tensor, noise: Noise) -> Tensor:
        from mdm_prime.data.augmentation import augment

        return augment(x, self, noise)


def _write(data: ImageDataSection, source: ImageSource, output: Path, task: str, key: str) -> None:
    """Writes data.outputs into `output`; `heldout` are the test images, in the order of their source.

    Pixels are (N, L) uint8, channels first; labels (N,) int64 from 0, all 0 for images without. In meta.json, `classes`
    is one more than the largest label of a training image, and `sha256` that of the four arrays' files, one after the
    other.

    Raises UserError for a source that cannot be read, that has images of another shape, or whose labels do not number
    classes.
    """
    arrays.start(output)
    num_train, classes = _write_split(output, "train", data, source.train())
    if num_train == 0:
        raise UserError(f"{key}: {source.name} has no training images; give another source")
    if classes > num_train:
        raise UserError(
            f"{key}: a label of {source.name} is {classes - 1}, with {num_train} training images; allowed: labels that "
            "number the classes from 0"
        )
    num_test, test_classes = _write_split(output, "heldout", data, source.test())
    if num_test == 0:
        raise UserError(f"{key}: {source.name} has no test images; give another source")
    if test_classes > classes:
        raise UserError(
            f"{key}: a test image of {source.name} has the label {test_classes - 1}; allowed: the labels of the "
            f"training images, 0 to {classes - 1}"
        )
    digest = hashlib.sha256()
    for name in ARRAYS:
        with (output / name).open("rb") as file:
            while content := file.read(2**20):
                digest.update(content)
    arrays.save_meta(
        output,
        DataSet(
            task=task,
            vocab_size=data.vocab_size,
            length=data.length,
            train_sequences=num_train,
            heldout_sequences=num_test,
            entropy_per_token=None,
            sha256=digest.hexdigest(),
            corpus={
                "name": data.dataset,
                "channels": data.channels,
                "size": data.size,
                "classes": classes,
                "source": source.name,
            },
            heldout_bytes=None,
        ),
    )


def _write_split(output: Path, split: str, data: ImageDataSection, batches: Batches) -> tuple[int, int]:
    """Writes the images and labels of a split; returns how many there are, and one more than the largest label."""
    labels = array("q")
    with arrays.writing_sequences(output / f"{split}.npy", data.vocab_size, data.length) as writer:
        for batch in batches:
            writer.append(batch.pixels.reshape(-1))
            labels.extend(batch.labels.tolist())
    files.save_array(output / f"{split}_labels.npy", np.array(labels, "<i8"))
    return writer.sequences, max(labels, default=-1) + 1


def batched(rows: Iterable[Row]) -> Batches:
    """Joins single images to batches."""
    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for image, label in rows:
        pixels.append(image)
        labels.append(label)
        if len(labels) == ROWS:
            yield Batch(np.stack(pixels), np.array(labels))
            pixels, labels = [], []
    if labels:
        yield Batch(np.stack(pixels), np.array(labels))


def splitting(rows: Callable[[], Iterable[Row]], fraction: float, seed: int, name: str) -> ImageSource:
    """Holds out about `fraction` of the different images that `rows` reads anew with each call; equal ones together.

    Raises ValueError for fewer than two different images.
    """
    hashes = array("Q", (content_hash(pixels.tobytes(), seed) for pixels, _ in rows()))
    if len(set(hashes)) < 2:
        raise ValueError(f"{name} has {len(set(hashes))} different images; give at least 2, since one is held out")
    threshold = heldout_threshold(np.frombuffer(hashes, np.uint64), fraction)

    def part(heldout: bool) -> Batches:
        chosen = (row for row, number in zip(rows(), hashes, strict=True) if (number < threshold) == heldout)
        return batched(chosen)

    return ImageSource(name, lambda: part(False), lambda: part(True))


def pixels_of(image: Image, data: ImageDataSection) -> NDArray[np.uint8]:
    """(L,) uint8, channels first, of an image. Raises ValueError for one of another size, or of more than 8 bits."""
    found = eight_bits(image, data.channels)
    if found.size != (data.size, data.size):
        raise ValueError(f"the image is {found.width}x{found.height} pixels; allowed: size {data.size}")
    return channels_first(np.asarray(found))


def eight_bits(image: Image, channels: int = 3) -> Image:
    """In gray for one channel, else in colours.

    Raises ValueError for an image of more than 8 bits a channel, which PIL would cut off at 255.
    """
    if image.mode not in EIGHT_BITS:
        raise ValueError(f"its mode is {image.mode}; allowed: {', '.join(EIGHT_BITS)}")
    return image.convert("L" if channels == 1 else "RGB")


def channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C) or (H, W) to (C * H * W,)."""
    return np.moveaxis(pixels, -1, 0).reshape(-1) if pixels.ndim == 3 else pixels.reshape(-1)
