"""Images read through the `datasets` library, such as CIFAR-10 (uoft-cs/cifar10), or from a folder or parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mdm_prime.data.image_files import ImageSource, ImageSourceSection, Row, batched, pixels_of, splitting
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.base import Fraction

if TYPE_CHECKING:
    from PIL.Image import Image


class HubImagesData(ImageSourceSection):
    """Two splits of a data set; where there is no test split, a part of the training split is held out."""

    kind: Literal["hub_images"]
    channels: Literal[1, 3] = 3
    vocab_size: Literal[256] = 256
    path: str  # hub name, or a folder or parquet file on this machine
    name: str | None = None
    train_split: str = "train"
    test_split: str | None = None  # null: "test"; where there is none, heldout_fraction is held out
    heldout_fraction: Fraction = 0.1  # of the different images
    image_column: str = "img"
    label_column: str | None = "label"  # null: images without labels

    def source(self, key: str) -> ImageSource:
        if self.train_split == self.test_split:
            raise UserError(f"{key}.test_split is {self.test_split!r}, the training split; give another one")
        path = Path(self.path)
        name = " ".join([path.resolve().name if path.exists() else self.path, *([self.name] if self.name else [])])
        if self.test_split is None and not _has_split(self, "test"):
            name = f"{name} ({self.train_split}, {self.heldout_fraction:.0%} of it held out)"
            try:
                return splitting(lambda: _images(self, key, self.train_split), self.heldout_fraction, self.seed, name)
            except ValueError as error:
                raise UserError(f"{key}: {error}") from None
        test_split = self.test_split or "test"
        return ImageSource(
            f"{name} ({self.train_split} and {test_split})",
            lambda: batched(_images(self, key, self.train_split)),
            lambda: batched(_images(self, key, test_split)),
        )


def _has_split(data: HubImagesData, split: str) -> bool:
    """Also true where that cannot be found out: reading then says what is wrong."""
    import datasets

    try:
        names = datasets.get_dataset_split_names(**_address(data), config_name=data.name)
    except Exception:  # the library and its loaders raise errors of many kinds
        return True
    return split in names


def _address(data: HubImagesData) -> dict[str, str]:
    """What the library calls a data set."""
    if Path(data.path).is_file():
        return {"path": "parquet", "data_files": data.path}
    return {"path": data.path}


def _images(data: HubImagesData, key: str, split: str) -> Iterator[Row]:
    """Pixels (L,) and label of every row; images are decoded by the library, one at a time."""
    for index, row in enumerate(_rows(data, key, split)):
        for column_key in ("image_column", "label_column"):
            column = getattr(data, column_key)
            if column is not None and column not in row:
                without = "; null for images without labels" if column_key == "label_column" else ""
                raise UserError(
                    f"{key}.{column_key}: {data.path} has no column {column!r}; allowed: {', '.join(row)}{without}"
                )
        where = f"{key}: row {index} of {data.path}, split {split}"
        label = 0 if data.label_column is None else row[data.label_column]
        if type(label) is not int or label < 0:
            found = label if type(label) is int else f"of type {type(label).__name__}"
            raise UserError(
                f"{where}: label is {found}; allowed: an integer from 0; give another label_column or split"
            )
        try:
            pixels = pixels_of(_decoded(row[data.image_column]), data)
        except Exception as error:  # the decoders of damaged images raise errors of many kinds
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{where}: no image of the set ({reason}); repair it or give another image_column"
            ) from None
        yield pixels, label


def _rows(data: HubImagesData, key: str, split: str) -> Iterator[dict[str, Any]]:
    """Rows of a data set of the hub, downloaded once, or of local files, streamed so that no copy of them is made."""
    import datasets

    path = Path(data.path)
    if path.is_file() and path.suffix != ".parquet":
        raise UserError(
            f"{key}.path: {path}: unknown suffix {path.suffix!r}; allowed: .parquet, a folder or the name of a data set"
        )
    streaming = path.exists() and "[" not in split  # part of a split, such as train[:90%], needs the library's copy
    row = 0
    try:
        for values in datasets.load_dataset(**_address(data), name=data.name, split=split, streaming=streaming):
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
