"""scikit-learn's two photographs, on every machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PHOTOGRAPHS = ("china.jpg", "flower.jpg")


def load(name: str) -> Image:
    """One of PHOTOGRAPHS, in colours: read from the package's folder, since importing scikit-learn takes seconds.

    Raises OSError where scikit-learn is not installed, or without the photograph.
    """
    from PIL import Image

    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise OSError("scikit-learn is not installed; it is in the extra mdm-prime[pipeline]")
    with Image.open(Path(found.origin).parent / "datasets" / "images" / name) as opened:
        opened.load()
        return opened
