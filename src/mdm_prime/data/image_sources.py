"""Where images come from: scikit-learn's digits, photographs, the `datasets` library, ImageNet's own batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm_prime.data import photos, pickles
from mdm_prime.data.toy import PHOTOGRAPHS
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import DigitsData, HubImagesData, ImageBatchesData, ImagesData, PhotosData

if TYPE_CHECKING:
    from PIL.Image import Image

BATCHES = 10  # of ImageNet's training images
CLASSES = 1000  # of ImageNet
ROWS = 1000  # images handed on at once


class Batch(NamedTuple):
    """`pixels`: (N, L) uint8, channels first; `labels`: (N,) int64, from 0."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


Batches = Iterator[Batch]


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


def image_source(data: ImagesData, key: str) -> ImageSource:
    """The source that `data` names; `key` stands before the keys of `data` in messages.

    Raises UserError for a source that is not there or does not have what is asked for.
    """
    if isinstance(data, DigitsData):
        return _digits(data, key)
    if isinstance(data, PhotosData):
        return _photos(data, key)
    if isinstance(data, HubImagesData):
        return _hub_images(data, key)
    return _image_batches(data, key)


def _digits(data: DigitsData, key: str) -> ImageSource:
    """Both parts have every digit in the same share."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    stream = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(data.seed)))  # sklearn takes no Generator
    try:
        rows = train_test_split(
            np.arange(len(digits.data)), test_size=data.test_fraction, random_state=stream, stratify=digits.target
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{key}.test_fraction is {data.test_fraction}: {reason}; give one nearer to 0.5") from None
    train, test = (Batch(digits.data[part].astype(np.uint8), digits.target[part].astype(np.int64)) for part in rows)
    return ImageSource("scikit-learn's load_digits", lambda: iter([train]), lambda: iter([test]))


def _photos(data: PhotosData, key: str) -> ImageSource:
    if data.folder is None:
        photographs = [Path(name) for name in PHOTOGRAPHS]
        name = f"scikit-learn's {' and '.join(PHOTOGRAPHS)}"
    else:
        folder = Path(data.folder)
        photographs = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        name = f"{len(photographs)} photographs of {folder.resolve().name}"
    if not photographs:
        raise UserError(f"{key}.folder: {data.folder} holds no files; give a folder of photographs")
    for part, count in (("train", data.train_images), ("test", data.test_images)):
        if count < len(photographs):
            raise UserError(f"{key}.{part}_images is {count}; allowed: at least {len(photographs)}, one a photograph")

    def read(part: Literal["train", "test"]) -> Batches:
        pixels = photos.crops(photographs, data, key, part)
        yield Batch(pixels, np.arange(len(pixels)) % len(photographs))

    return ImageSource(name, lambda: read("train"), lambda: read("test"))


def _hub_images(data: HubImagesData, key: str) -> ImageSource:
    if data.train_split == data.test_split:
        raise UserError(f"{key}.test_split is {data.test_split!r}, the training split; give another one")
    path = Path(data.path)
    name = path.resolve().name if path.exists() else data.path
    return ImageSource(
        " ".join([name, *([data.name] if data.name else []), f"({data.train_split} and {data.test_split})"]),
        lambda: _batched(_hub_split(data, key, data.train_split)),
        lambda: _batched(_hub_split(data, key, data.test_split)),
    )


def _hub_split(data: HubImagesData, key: str, split: str) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Pixels (L,) and label of every row; images are decoded by the library, one at a time."""
    for index, row in enumerate(_hub_rows(data, key, split)):
        for column_key in ("image_column", "label_column"):
            column = getattr(data, column_key)
            if column not in row:
                raise UserError(f"{key}.{column_key}: {data.path} has no column {column!r}; allowed: {', '.join(row)}")
        where = f"{key}: row {index} of {data.path}, split {split}"
        image, label = row[data.image_column], row[data.label_column]
        if type(label) is not int or label < 0:
            found = label if type(label) is int else f"of type {type(label).__name__}"
            raise UserError(
                f"{where}: label is {found}; allowed: an integer from 0; give another label_column or split"
            )
        try:
            image = photos.rgb(_decoded(image))
        except Exception as error:  # the decoders of damaged images raise errors of many kinds
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{where}: no image ({reason}); give another image_column or repair the data") from None
        if image.size != (data.size, data.size):
            raise UserError(f"{where}: the image is {image.width}x{image.height} pixels; allowed: size {data.size}")
        yield photos.channels_first(np.asarray(image)), label


def _hub_rows(data: HubImagesData, key: str, split: str) -> Iterator[dict[str, Any]]:
    """Rows of a data set of the hub, downloaded once, or of local files, streamed so that no copy of them is made."""
    import datasets

    path = Path(data.path)
    if path.is_file() and path.suffix != ".parquet":
        raise UserError(
            f"{key}.path: {path}: unknown suffix {path.suffix!r}; allowed: .parquet, a folder or the name of a data set"
        )
    source = {"path": "parquet", "data_files": str(path)} if path.is_file() else {"path": data.path}
    streaming = path.exists() and "[" not in split  # part of a split, such as train[:90%], needs the library's copy
    row = 0
    try:
        for values in datasets.load_dataset(**source, name=data.name, split=split, streaming=streaming):
            yield values
            row += 1
    except Exception as error:  # the library, its loaders and decoders raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{key}: {data.path} (name {data.name}, split {split}) cannot be read at row {row}: {reason}; "
            "give a data set of the hub, or a folder or parquet file on this machine"
        ) from None


def _decoded(value: Any) -> Image:
    """An image of the library; of a parquet file that does not say what its columns are, its bytes."""
    import datasets
    from PIL import Image

    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        value = datasets.Image().decode_example({"bytes": value["bytes"], "path": None})
    if not isinstance(value, Image.Image):
        raise TypeError(f"{type(value).__name__} in the image column")
    return value


def _batched(rows: Iterator[tuple[NDArray[np.uint8], int]]) -> Batches:
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


def _image_batches(data: ImageBatchesData, key: str) -> ImageSource:
    folder = Path(data.folder)
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
        lambda: (part for path in train for part in _image_batch(path, data)),
        lambda: _image_batch(test, data),
    )


def _image_batch(path: Path, data: ImageBatchesData) -> Batches:
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
        raise UserError(f"{path}: 'labels' are {number}; allowed: a list of {len(pixels)}, one an image")
    for label in labels:
        if type(label) is not int or not 1 <= label <= CLASSES:
            raise UserError(f"{path}: a label is {label!r}; allowed: integers of 1 to {CLASSES}")
    for start in range(0, len(pixels), ROWS):
        part = slice(start, start + ROWS)
        yield Batch(pixels[part].copy(), np.array(labels[part]) - 1)  # a view would keep the whole file in memory
