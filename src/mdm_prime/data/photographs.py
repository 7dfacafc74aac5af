"""scikit-learn's two photographs, on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PHOTOGRAPHS = ("china.jpg", "flower.jpg")


def load(name: str) -> Image:
    """One of PHOTOGRAPHS, in colours."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image(name))
