"""Saved arrays, checked: of the shape that they should have, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mdm_prime import hints
from mdm_prime.errors import UserError


def load_array(path: Path, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """A memory-mapped .npy file. Raises UserError when it cannot be read or has another shape; None is any size."""
    with _one_line_of(path):
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return _checked(path, path.name, array, shape)


def load_arrays(path: Path, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file. Raises UserError when one is missing or has another shape than given."""
    with _one_line_of(path), path.open("rb") as file:  # opened here: np.load leaves a broken archive open
        saved = dict(np.load(file, allow_pickle=False))
    if missing := [name for name in shapes if name not in saved]:
        raise UserError(f"{path}: array {missing[0]!r} is missing; delete the file and run the pipeline again")
    return {name: _checked(path, name, saved[name], shape) for name, shape in shapes.items()}


@contextmanager
def _one_line_of(path: Path) -> Iterator[None]:
    """What can go wrong in reading an array, as a UserError."""
    try:
        yield
    except OSError as error:
        again = hints.target(path)
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); make it with: {again}") from None
    except (ValueError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: holds no array ({error}); delete it and run the pipeline again") from None


def _checked(path: Path, name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> NDArray[Any]:
    if len(array.shape) != len(shape) or any(
        want not in (None, size) for size, want in zip(array.shape, shape, strict=True)
    ):
        wanted = tuple(size or "any" for size in shape)
        raise UserError(f"{path}: {name} has shape {array.shape}, not {wanted}; delete it and run the pipeline again")
    return array
