"""Sets of images as arrays of pixel values and labels, written without ever being held whole."""

from __future__ import annotations

import hashlib
from array import array
from pathlib import Path

import numpy as np

from mdm_prime.data import arrays
from mdm_prime.data.image_sources import Batches, image_source
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import ImagesData

ARRAYS = ("train.npy", "train_labels.npy", "validation.npy", "validation_labels.npy")  # in the order they are hashed


def prepare(task: str, data: ImagesData, output: Path) -> None:
    """Writes layout.IMAGE_DATA_FILES into `output`; `validation` are the test images, in the order of their source.

    Pixels are (N, L) uint8, channels first; labels (N,) int64 from 0. In meta.json, `classes` is one more than the
    largest label of a training image, and `sha256` that of the four arrays' files, one after the other.

    Raises UserError for a source that cannot be read, that has images of another shape, or whose labels do not number
    classes.
    """
    arrays.start(output)
    key = f"images.{task}.data"
    source = image_source(data, key)
    num_train, classes = _write(output, "train", data, source.train())
    if num_train == 0:
        raise UserError(f"{key}: {source.name} has no training images; give another source")
    if classes > num_train:
        raise UserError(
            f"{key}: a label of {source.name} is {classes - 1}, with {num_train} training images; allowed: labels that "
            "number the classes from 0"
        )
    num_test, test_classes = _write(output, "validation", data, source.test())
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
        {
            "task": task,
            "vocab_size": data.vocab_size,
            "length": data.length,
            "train_sequences": num_train,
            "validation_sequences": num_test,
            "entropy_per_token": None,
            "sha256": digest.hexdigest(),
            "corpus": {
                "name": data.dataset,
                "channels": data.channels,
                "size": data.size,
                "classes": classes,
                "source": source.name,
            },
            "validation_bytes": None,
        },
    )


def _write(output: Path, split: str, data: ImagesData, batches: Batches) -> tuple[int, int]:
    """Writes the images and labels of a split; returns how many there are, and one more than the largest label."""
    labels = array("q")
    with arrays.writing_sequences(output / f"{split}.npy", data.vocab_size, data.length) as writer:
        for batch in batches:
            writer.append(batch.pixels.reshape(-1))
            labels.extend(batch.labels.tolist())
    arrays.save_array(output / f"{split}_labels.npy", np.array(labels, "<i8"))
    return writer.sequences, max(labels, default=-1) + 1
