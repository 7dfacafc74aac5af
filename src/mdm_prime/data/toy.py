"""Two tokens, row and column, whose density is a picture: the entropy is exact, and a glance shows what was learnt."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mdm_prime.data import arrays
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import ToyData

PHOTOGRAPHS = ("china.jpg", "flower.jpg")  # of scikit-learn


def density(image: str, vocab_size: int, contrast: float) -> NDArray[np.float64]:
    """p(row, column), (V, V) float64, of the central square of a gray image.

    Proportional to a power of the brightness, from 0 for the darkest of the V x V cells to 1 for the brightest; in a
    picture that is bright for the most part, of the darkness. So the probability lies on what stands out.

    Args:
        image: PHOTOGRAPHS, or a file.
        vocab_size: V.
        contrast: the power.

    Raises UserError when the file is no image, or of one tone.
    """
    gray = _gray_square(image, vocab_size)
    if gray.min() == gray.max():
        raise UserError(f"toy.data.image: {image} has a single tone; give an image with a motif")
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


def prepare(config: ToyData, output: Path) -> None:
    """Writes train.npy, validation.npy, density.npy, (V, V) float64, and meta.json into `output`."""
    arrays.start(output)
    p = density(config.image, config.vocab_size, config.contrast)
    arrays.save_array(output / "density.npy", p)
    sizes = {"train": config.train_sequences, "validation": config.validation_sequences}
    streams = np.random.SeedSequence(config.seed).spawn(2)  # more training data leaves the validation data as they are
    for (name, size), stream in zip(sizes.items(), streams, strict=True):
        x = sample(p, size, np.random.default_rng(stream)).astype(arrays.token_dtype(config.vocab_size))
        arrays.save_array(output / f"{name}.npy", x)
    arrays.save_meta(
        output,
        {
            "task": "toy",
            "vocab_size": config.vocab_size,
            "length": config.length,
            "train_sequences": config.train_sequences,
            "validation_sequences": config.validation_sequences,
            "entropy_per_token": entropy_per_token(p),
            "sha256": hashlib.sha256(p.tobytes()).hexdigest(),
            "corpus": {"name": Path(config.image).name, "contrast": config.contrast, "seed": config.seed},
            "validation_bytes": None,
        },
    )


def _gray_square(image: str, size: int) -> NDArray[np.float64]:
    """The central square, reduced or enlarged to (size, size), float64."""
    from PIL import Image, ImageOps

    try:
        if image in PHOTOGRAPHS:
            from sklearn.datasets import load_sample_image

            picture = Image.fromarray(load_sample_image(image))
        else:
            with Image.open(image) as opened:
                picture = ImageOps.exif_transpose(opened)
        square = ImageOps.fit(picture.convert("L"), (size, size), method=Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"toy.data.image: {image} cannot be read ({reason}); give a JPEG or PNG file") from None
    return np.asarray(square, dtype=np.float64)
