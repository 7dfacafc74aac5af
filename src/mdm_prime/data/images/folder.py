"""Own images as they are: a folder of files of one size, without labels, a part of them held out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from mdm_prime.data.image_files import ImageSource, ImageSourceSection, Row, pixels_of, splitting
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.base import Fraction


class ImageFolderData(ImageSourceSection):
    """Every file of a folder, hidden ones apart, is an image of size x size pixels, in colours unless channels is 1."""

    kind: Literal["image_folder"]
    channels: Literal[1, 3] = 3
    vocab_size: Literal[256] = 256
    folder: str
    heldout_fraction: Fraction = 0.1  # of the different images; equal ones are on the same side

    @model_validator(mode="after")
    def _folder_exists(self) -> ImageFolderData:
        if not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self

    def source(self, key: str) -> ImageSource:
        folder = Path(self.folder)
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        name = f"{len(paths)} images of {folder.resolve().name}"

        def rows() -> Iterator[Row]:
            return ((self._pixels(path, key), 0) for path in paths)

        try:
            return splitting(rows, self.heldout_fraction, self.seed, name)
        except ValueError as error:
            raise UserError(f"{key}.folder: {error}") from None

    def _pixels(self, path: Path, key: str) -> NDArray[np.uint8]:
        """(L,) pixels of a file."""
        from PIL import Image, ImageOps

        try:
            with Image.open(path) as opened:
                return pixels_of(ImageOps.exif_transpose(opened), self)
        except Exception as error:  # the decoders of damaged files raise errors of many kinds
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{key}.folder: {path} cannot be read ({reason}); give images of one size only") from None
