"""The base of every section, and the kinds of numbers in them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values. Raises ValueError where one stands twice."""
    if len(set(values)) != len(values):
        raise ValueError("a value stands twice")
    return values


Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch takes
SampleSeed = Annotated[int, Field(ge=0, lt=2**8)]  # a generator of 32 bits for each sample: 8 for the seed,
SampleCount = Annotated[int, Field(gt=0, le=2**24)]  # 24 for the sample's number
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(distinct)]
Counts = Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(distinct)]
Name = Annotated[str, Field(pattern=NAME)]
Names = Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(distinct)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown key, no coercion of strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
