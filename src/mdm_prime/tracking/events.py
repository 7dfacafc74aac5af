"""What the lines of a journal may be: whatever else stands there was damaged, or written by somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Status = Literal["FINISHED", "FAILED", "KILLED"]
Time = Annotated[int, Field(ge=0, lt=2**53)]  # milliseconds since 1970
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]  # no way out of a folder


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result


class _Event(BaseModel):
    model_config = ConfigDict(strict=True)
    time: Time


class Process(BaseModel):
    """That whose end ends the run; `started` as the system counts it."""

    model_config = ConfigDict(strict=True)
    host: str
    pid: int
    started: str | None


class Start(_Event):
    """Of a run, or of its continuation."""

    event: Literal["start"]
    stage: str
    name: str
    parent: str | None
    params: Annotated[dict[str, Any], AfterValidator(flat)]
    tags: dict[str, Any]
    process: Process | None = None


class Metrics(_Event):
    """Values at a step."""

    event: Literal["metrics"]
    step: Annotated[int, Field(gt=-(2**53), lt=2**53)]
    values: dict[str, float]


class Tags(_Event):
    """More tags of the run."""

    event: Literal["tags"]
    values: dict[str, Any]


class Document(_Event):
    """A text that becomes a file of the run."""

    event: Literal["document"]
    name: FileName
    text: str


class Artifact(_Event):
    """A file to be copied, as long as it has this hash."""

    event: Literal["artifact"]
    path: str
    folder: FileName | None
    sha256: str


class End(_Event):
    """With the status that the run ended with."""

    event: Literal["end"]
    status: Status


_EVENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[Start | Metrics | Tags | Document | Artifact | End, Field(discriminator="event")]
)


def wrong(event: object) -> str | None:
    """Why this is no event, in a few words; None for one."""
    try:
        _EVENT.validate_python(event)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"
    except RecursionError:
        return "params: nested too deeply"
    return None
