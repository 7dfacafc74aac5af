"""The base of every result JSON: the same declaration refuses what a stage should not write and what is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mdm_prime import files, hints
from mdm_prime.errors import UserError

T = TypeVar("T")
MOST_NATS = 700.0  # whose exponential, a perplexity, is a float
LONGEST_VALUE = 60  # characters of a value in a message

Count = Annotated[int, Field(ge=0, lt=2**53)]  # exact as a float, as JSON has it elsewhere
Positive = Annotated[int, Field(gt=0, lt=2**53)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Nats = Annotated[float, Field(lt=MOST_NATS)]
Deviation = Annotated[float, Field(ge=0.0)]  # a standard error, a spread
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Result(BaseModel):
    """All of its keys and no other, every number finite, no value in the place of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def read(cls, path: str | Path, again: str | None = None) -> Self:
        """Raises UserError for a file that is missing or damaged; `again` is the command that makes it."""
        found = files.read_json(path, again)
        with files.one_line(path, "not as it was written", again):
            try:
                return cls.model_validate_json(json.dumps(found), strict=True)  # sections in it are not strict
            except ValidationError as error:
                raise ValueError(_first(error)) from None

    def write(self, path: str | Path) -> None:
        """Keys stand in the order of their declaration."""
        files.write_json(path, self.model_dump(mode="json"))


def known(value: T | None, path: Path, key: str) -> T:
    """A value that is null in some files of its kind, but in none such as this. Raises UserError where it is."""
    if value is None:
        raise UserError(f"{path}: {key}: is null; delete it and run the pipeline again: {hints.target(path)}")
    return value


def _first(error: ValidationError) -> str:
    """The first problem: key, value, what it should be."""
    problem: Any = error.errors(include_url=False)[0]
    key, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("missing", "extra_forbidden"):
        return f"{key}: {'missing' if problem['type'] == 'missing' else 'unknown key'}"
    shown = json.dumps(problem["input"], default=str)
    shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]} [...]"
    said = message if isinstance(problem["input"], dict | BaseModel) else f"is {shown}; {message}"
    return ": ".join(part for part in (key, said.replace("Input should", "should")) if part)
