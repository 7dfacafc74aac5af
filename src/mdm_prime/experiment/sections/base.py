"""The base of every section, and the kinds of numbers in them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values. Raises ValueError where one stands twice."""
    if len(set(values)) != len(values):
        raise ValueError("a value stands twice")
    return values


Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch takes
SampleSeed = Annotated[int, Field(ge=0, lt=2**8)]  # a generator of 32 bits for each sample: 8 for the seed,
MOST_SAMPLES = 2**24  # 24 for the sample's number
SampleCount = Annotated[int, Field(gt=0, le=MOST_SAMPLES)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(distinct)]
Counts = Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(distinct)]
Name = Annotated[str, Field(pattern=NAME)]
Names = Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(distinct)]


# The most that a key may say, in whatever section it stands: what is larger fits into no machine, or ends in no year.
MOST = {
    "batch_size": 2**20,
    "blocks": 2**10,
    "components": 2**12,
    "conditioning_width": 2**16,
    "copies_of_one_bit": 2**10,
    "head_width": 2**16,
    "heads": 2**12,
    "length": 2**20,
    "max_states": 2**24,
    "micro_batch_size": 2**20,
    "multipliers": 2**8,
    "norm_groups": 2**12,
    "num_features": 2**16,
    "num_steps": 2**20,
    "num_subtokens": 2**5,
    "seed": 2**63 - 1,  # what torch takes
    "seeds": 2**63 - 1,
    "size": 2**12,
    "threads": 2**10,  # each takes memory of its own, and the process dies of too many
    "vocab_size": 2**24,
    "width": 2**16,
}
MOST_OF_ANY = 2**31 - 1  # of an integer: what an index of 32 bits counts
MOST_OF_ANY_FLOAT = 1e30  # its square is no float32


class Section(BaseModel):
    """Base of every section: frozen, no unknown key, no coercion of strings, no number beyond MOST."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    most_of_any: ClassVar[int] = MOST_OF_ANY

    @model_validator(mode="after")
    def _possible_sizes(self) -> Self:
        for key in type(self).model_fields:
            value = getattr(self, key)
            for number in value if isinstance(value, tuple) else (value,):
                most = MOST.get(key, self.most_of_any if isinstance(number, int) else MOST_OF_ANY_FLOAT)
                if isinstance(number, int | float) and number > most:
                    raise ValueError(f"{key}: is {str(number)[:40]}; should be at most {most}")
        return self
