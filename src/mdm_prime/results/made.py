"""made/STAGE.json: what a stage was made of, written when it has succeeded."""

from __future__ import annotations

from pydantic import JsonValue

from mdm_prime.results.base import Result


class Fingerprint(Result):
    """A file as it was; size and time only spare the reading of one that has kept them."""

    size: int
    mtime_ns: int
    sha256: str


class Begun(Result):
    """What a stage is about to be made of.

    Attributes:
        command: its words behind `mdm-prime`.
        values: of the params and the code, by their dotted keys.
        inputs: hash of each file below results/SCALE; None for one that was not there.
        outside: files elsewhere.
    """

    command: str
    values: dict[str, JsonValue]
    inputs: dict[str, str | None]
    outside: dict[str, Fingerprint]


class Record(Begun):
    """With what it made."""

    outputs: dict[str, Fingerprint]
