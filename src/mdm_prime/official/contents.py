"""What a format's reader finds in a checkpoint, and how it says that something is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mdm_prime.official.pickled import Foreign, TensorHandle

MOST = 2**24  # of a size: of a vocabulary, a sequence, a width
MOST_COUNT = 2**62  # of steps and passes
MOST_DIGITS = 24  # sub-tokens of a token: the binary digits of the largest vocabulary
MOST_BLOCKS = 512  # of a network, built to know the shapes of its weights


class FormatError(Exception):
    """What is wrong with a checkpoint: key, value, what is allowed."""


@dataclass(frozen=True)
class Contents:
    """A checkpoint in one of the official formats.

    Attributes:
        settings: every field of imported.Imported but base and source.
        parameters: the weights asked for, by the reference's names.
        rules: the mapping of these names (names.py).
        step: updates of the weights, perhaps as a tensor (); None where the file does not say.
        epoch: passes through the data.
    """

    settings: Mapping[str, Any]
    parameters: Mapping[str, TensorHandle]
    rules: Mapping[str, str]
    step: int | TensorHandle | None
    epoch: int


class Settings:
    """Named values of a checkpoint; `where` is what messages call their place."""

    def __init__(self, where: str, values: Any) -> None:
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise FormatError(f"{where}: is {kind(values)}; should be named values")
        self.where = where
        self.values: dict[str, Any] = values

    def section(self, key: str) -> Settings:
        return Settings(f"{self.where}.{key}", self.get(key))

    def get(self, key: str) -> Any:
        if key not in self.values:
            raise FormatError(f"{self.where}.{key}: missing")
        return self.values[key]

    def integer(self, key: str, least: int = 1, most: int = MOST) -> int:
        value = self.get(key)
        if type(value) is not int or not least <= value <= most:
            raise FormatError(f"{self.where}.{key}: is {kind(value)}; should be an integer from {least} to {most}")
        return value

    def number(self, key: str) -> float:
        value = self.get(key)
        if type(value) not in (int, float) or not -MOST <= value <= MOST:
            raise FormatError(f"{self.where}.{key}: is {kind(value)}; should be a number from -{MOST} to {MOST}")
        return float(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """A boolean; `default` is that of the released code, for a key that it wrote later only."""
        value = self.get(key) if default is None else self.values.get(key, default)
        if type(value) is not bool:
            raise FormatError(f"{self.where}.{key}: is {kind(value)}; should be true or false")
        return value

    def text(self, key: str, *allowed: str) -> str:
        value = self.get(key)
        if value not in allowed:
            raise FormatError(f"{self.where}.{key}: is {kind(value)}; can be read: {', '.join(allowed)}")
        return str(value)

    def only(self, *known: str) -> None:
        """Raises FormatError for a key that this project does not know, for it may change what the network means."""
        for key in self.values:
            if key not in known:
                raise FormatError(f"{self.where}.{key}: unknown; known: {', '.join(known)}")


def kind(value: Any) -> str:
    """A value for a message."""
    if isinstance(value, Foreign):
        return f"an object {value.name}"[:100]
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def tensors(where: str, found: Mapping[Any, Any]) -> dict[str, TensorHandle]:
    """Named tensors. Raises FormatError for anything else."""
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, TensorHandle):
            raise FormatError(f"{where}[{kind(name)}]: is {kind(value)}; should be a tensor")
    return dict(found)


def averaged(where: str, names: list[str], shadows: list[TensorHandle]) -> dict[str, TensorHandle]:
    """Averaged weights, which are stored without names in the order of the parameters."""
    if len(shadows) != len(names):
        raise FormatError(f"{where}: holds {len(shadows)} averaged weights; the network has {len(names)} parameters")
    return dict(zip(names, shadows, strict=True))
