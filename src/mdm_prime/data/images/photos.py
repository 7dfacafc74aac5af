"""Square crops of photographs, different parts of each for training and for testing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mdm_prime.data import photographs
from mdm_prime.data.image_files import Batch, Batches, ImageSource, ImageSourceSection, eight_bits
from mdm_prime.data.photographs import PHOTOGRAPHS
from mdm_prime.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

STRIPS = 8  # upright ones of equal width, of which every fourth is for tests: both parts show what is in a photograph
REGIONS = {"train": ((0, 2), (3, 6), (7, 8)), "test": ((2, 3), (6, 7))}  # from the strip before the first to the last


class PhotosData(ImageSourceSection):
    """Square crops of photographs, in colours or in gray; training and test crops come from different parts of each."""

    kind: Literal["photos"]
    dataset: str = "photos"
    channels: Literal[1, 3] = 3  # 1: in gray
    vocab_size: Literal[256] = 256
    folder: str | None = None  # of images; null: scikit-learn's two photographs
    train_images: Annotated[int, Field(ge=2)]
    test_images: Annotated[int, Field(ge=2)]
    crops_across: Annotated[int, Field(ge=1)] = 8  # a photograph's shorter side; the more, the less one crop shows

    @model_validator(mode="after")
    def _folder_exists(self) -> PhotosData:
        if self.folder is not None and not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self

    def source(self, key: str) -> ImageSource:
        if self.folder is None:
            paths = [Path(name) for name in PHOTOGRAPHS]
            name = f"scikit-learn's {' and '.join(PHOTOGRAPHS)}"
        else:
            folder = Path(self.folder)
            paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
            name = f"{len(paths)} photographs of {folder.resolve().name}"
        if not paths:
            raise UserError(f"{key}.folder: {self.folder} holds no files; give a folder of photographs")
        for part, count in (("train", self.train_images), ("test", self.test_images)):
            if count < len(paths):
                raise UserError(f"{key}.{part}_images is {count}; allowed: at least {len(paths)}, one per photograph")

        def read(part: Literal["train", "test"]) -> Batches:
            pixels = crops(paths, self, key, part)
            yield Batch(pixels, np.arange(len(pixels)) % len(paths))

        return ImageSource(name, lambda: read("train"), lambda: read("test"))


def crops(paths: list[Path], data: PhotosData, key: str, part: Literal["train", "test"]) -> NDArray[np.uint8]:
    """Different crops of every photograph, drawn evenly: crop i is of photograph i modulo their number.

    A photograph is cut into the strips of REGIONS, then each is reduced (never enlarged), the photograph to a shorter
    side of `crops_across` crops. So no pixel of it is in crops of both parts.

    Args:
        paths: files; with `data.folder` null, names of scikit-learn's.
        data: size, numbers of crops and seed.
        key: stands before the keys of `data` in messages.
        part: whose strips.

    Returns:
        (N, L) uint8, channels first.

    Raises UserError for a photograph that cannot be read, is too small or has fewer different crops than are wanted.
    """
    count = data.train_images if part == "train" else data.test_images
    pixels = np.empty((count, data.length), np.uint8)
    of_train, of_test = np.random.SeedSequence(data.seed).spawn(2)  # places independent of each other
    streams = (of_train if part == "train" else of_test).spawn(len(paths))
    for i, (path, stream) in enumerate(zip(paths, streams, strict=True)):
        picture = _photograph(path, data, key)
        if picture.width < STRIPS * data.size or picture.height < data.size:
            raise UserError(
                f"{key}: {path.name} is {picture.width}x{picture.height} pixels; allowed: a width of "
                f"{STRIPS * data.size} and a height of {data.size} or more, for training and test crops of size "
                f"{data.size}"
            )
        windows = [
            sliding_window_view(region, (data.size, data.size), (0, 1))  # one (size, size) for each place
            for region in _regions(picture, REGIONS[part], data)
        ]
        places = [window.shape[0] * window.shape[1] for window in windows]
        into = pixels[i :: len(paths)]
        if len(into) > sum(places):
            raise UserError(
                f"{key}.{part}_images is {count}, {len(into)} of them from {path.name}, which has {sum(places)} "
                "different crops; give a smaller number or more photographs"
            )
        chosen = np.random.default_rng(stream).choice(sum(places), len(into), replace=False)
        for row, place in zip(into, chosen, strict=True):
            region = int(np.searchsorted(np.cumsum(places), place, side="right"))
            y, x = divmod(int(place) - sum(places[:region]), windows[region].shape[1])
            row[:] = windows[region][y, x].ravel()  # channels first, as the axes of a window come last
    return pixels


def _regions(picture: Image, strips: Iterable[tuple[int, int]], data: PhotosData) -> Iterator[NDArray[np.uint8]]:
    """What lies between the strips first and last, reduced: (height, width, channels) uint8."""
    from PIL import Image

    scale = min(1.0, data.crops_across * data.size / min(picture.size))
    for first, last in strips:
        left, right = picture.width * first // STRIPS, picture.width * last // STRIPS
        width, height = max(data.size, round((right - left) * scale)), max(data.size, round(picture.height * scale))
        region = picture.crop((left, 0, right, picture.height)).resize((width, height), Image.Resampling.LANCZOS)
        yield np.asarray(region).reshape(height, width, data.channels)


def _photograph(path: Path, data: PhotosData, key: str) -> Image:
    from PIL import Image, ImageOps

    if data.folder is None:
        return eight_bits(photographs.load(path.name), data.channels)
    try:
        with Image.open(path) as opened:
            return eight_bits(ImageOps.exif_transpose(opened), data.channels)
    except Exception as error:  # the decoders of damaged files raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{key}.folder: {path} cannot be read ({reason}); give JPEG or PNG files only") from None
