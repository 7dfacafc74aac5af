"""Two tokens, row and column, whose density is a picture: the entropy is exact, and a glance shows what was learnt."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mdm_prime import files
from mdm_prime.data import arrays, photographs
from mdm_prime.data.photographs import PHOTOGRAPHS
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.data import DataSection
from mdm_prime.results.data_set import DataSet


class ToyData(DataSection):
    """A 2-D density from a gray image on a vocab_size x vocab_size grid, on what stands out in it."""

    outputs: ClassVar[tuple[str, ...]] = ("train.npy", "heldout.npy", "meta.json", "density.npy")
    kind: Literal["toy"]
    image: str  # one of PHOTOGRAPHS, or a file
    vocab_size: Annotated[int, Field(ge=2)]
    contrast: PositiveFloat
    train_sequences: PositiveInt
    heldout_sequences: PositiveInt
    length: Literal[2] = 2

    @model_validator(mode="after")
    def _image_exists(self) -> ToyData:
        if self.image not in PHOTOGRAPHS and not Path(self.image).is_file():
            allowed = ", ".join(PHOTOGRAPHS)
            raise ValueError(f"image: no such file: {self.image}; allowed: {allowed} or the path of a file")
        return self

    def prepare(self, output: Path, task: str, key: str) -> None:
        """Writes the sequences, density.npy, (V, V) float64, and meta.json."""
        arrays.start(output)
        try:
            p = density(self.image, self.vocab_size, self.contrast)
        except ValueError as error:
            raise UserError(f"{key}.image: {self.image} {error}") from None
        files.save_array(output / "density.npy", p)
        sizes = {"train": self.train_sequences, "heldout": self.heldout_sequences}
        streams = np.random.SeedSequence(self.seed).spawn(2)  # more training data, the same held out
        for (name, size), stream in zip(sizes.items(), streams, strict=True):
            x = sample(p, size, np.random.default_rng(stream)).astype(arrays.token_dtype(self.vocab_size))
            files.save_array(output / f"{name}.npy", x)
        arrays.save_meta(
            output,
            DataSet(
                task=task,
                vocab_size=self.vocab_size,
                length=self.length,
                train_sequences=self.train_sequences,
                heldout_sequences=self.heldout_sequences,
                entropy_per_token=entropy_per_token(p),
                sha256=hashlib.sha256(p.tobytes()).hexdigest(),
                corpus={"name": Path(self.image).name, "contrast": self.contrast, "seed": self.seed},
                heldout_bytes=None,
            ),
        )


def density(image: str, vocab_size: int, contrast: float) -> NDArray[np.float64]:
    """p(row, column), (V, V) float64, of the central square of a gray image.

    Proportional to a power of the brightness, from 0 for the darkest of the V x V cells to 1 for the brightest; in a
    picture that is bright for the most part, of the darkness. So the probability lies on what stands out.

    Args:
        image: PHOTOGRAPHS, or a file.
        vocab_size: V.
        contrast: the power.

    Raises ValueError when the file is no image, or of one tone.
    """
    gray = _gray_square(image, vocab_size)
    if gray.min() == gray.max():
        raise ValueError("has a single tone; give an image with a motif")
    brightness = (gray - gray.min()) / (gray.max() - gray.min())
    weight = (1 - brightness if brightness.mean() > 0.5 else brightness) ** contrast
    return np.asarray(weight / weight.sum())


def entropy_per_token(p: NDArray[np.float64]) -> float:
    """Half the entropy of p(row, column), in nats."""
    return float(-np.sum(p * np.log(np.where(p > 0, p, 1.0)))) / 2


def sample(p: NDArray[np.float64], num: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws `num` cells of p (V, V): (num, 2) int64, row and column."""
    cumulative = np.cumsum(p)
    cells = np.searchsorted(cumulative / cumulative[-1], rng.random(num), side="right")
    return np.stack(np.divmod(cells, p.shape[1]), axis=1)


def _gray_square(image: str, size: int) -> NDArray[np.float64]:
    """The central square, reduced or enlarged to (size, size), float64."""
    from PIL import Image, ImageOps

    try:
        if image in PHOTOGRAPHS:
            picture = photographs.load(image)
        else:
            with Image.open(image) as opened:
                picture = ImageOps.exif_transpose(opened)
        square = ImageOps.fit(picture.convert("L"), (size, size), method=Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot be read ({reason}); give a JPEG or PNG file") from None
    return np.asarray(square, dtype=np.float64)
