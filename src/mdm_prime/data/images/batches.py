"""ImageNet's own downsampled images: train_data_batch_1, ... and val_data, dictionaries of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import model_validator

from mdm_prime.data import pickles
from mdm_prime.data.image_files import ROWS, Batch, Batches, ImageSource, ImageSourceSection
from mdm_prime.errors import UserError

BATCHES = 10  # of the training images
CLASSES = 1000


class ImageBatchesData(ImageSourceSection):
    """A folder with all eleven files, there or in train/ and val/."""

    kind: Literal["image_batches"]
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    folder: str

    @model_validator(mode="after")
    def _folder_exists(self) -> ImageBatchesData:
        if not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self

    def source(self, key: str) -> ImageSource:
        folder = Path(self.folder)
        names = {f"train_data_batch_{number}": "train" for number in range(1, BATCHES + 1)} | {"val_data": "val"}
        found = {
            name: [path for path in (folder / name, folder / subfolder / name) if path.is_file()]
            for name, subfolder in names.items()
        }
        if missing := [name for name, paths in found.items() if not paths]:
            raise UserError(
                f"{key}.folder: {folder} lacks {', '.join(missing)}; wanted: train_data_batch_1 to "
                f"train_data_batch_{BATCHES} and val_data, there or in train/ and val/"
            )
        *train, test = (paths[0] for paths in found.values())
        return ImageSource(
            f"{BATCHES} batches and val_data of {folder.resolve().name}",
            lambda: (part for path in train for part in _read(path, self)),
            lambda: _read(test, self),
        )


def _read(path: Path, data: ImageBatchesData) -> Batches:
    """One file's images, a dictionary of `data` (N, 3 * size * size) uint8 and `labels`, N of 1..CLASSES."""
    batch = pickles.load_dictionary(path)
    for name in ("data", "labels"):
        if name not in batch:
            raise UserError(f"{path}: has no {name!r}, only {', '.join(map(repr, batch))}; give ImageNet's batches")
    pixels, labels = batch["data"], batch["labels"]
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (data.length,)):
        shape = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise UserError(f"{path}: 'data' is {shape}; allowed: uint8 (N, {data.length}), images of size {data.size}")
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not isinstance(labels, list) or len(labels) != len(pixels):
        number = len(labels) if isinstance(labels, list) else type(labels).__name__
        raise UserError(f"{path}: 'labels' are {number}; allowed: a list of {len(pixels)}, one per image")
    for label in labels:
        if type(label) is not int or not 1 <= label <= CLASSES:
            raise UserError(f"{path}: a label is {label!r}; allowed: integers of 1 to {CLASSES}")
    for start in range(0, len(pixels), ROWS):
        part = slice(start, start + ROWS)
        yield Batch(pixels[part].copy(), np.array(labels[part]) - 1)  # a view would keep the whole file in memory
