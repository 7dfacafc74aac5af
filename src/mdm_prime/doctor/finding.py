"""What a check looks at and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mdm_prime.doctor import probe
from mdm_prime.errors import UserError
from mdm_prime.experiment import config
from mdm_prime.experiment.config import Config

State = Literal["ok", "warning", "failure"]


class Finding(NamedTuple):
    """What a check found, and the command or change that mends it; nothing to mend where all is well.

    A failure stops `snakemake --cores all results/tables/`; a warning stops or slows something else.
    """

    state: State
    found: str
    mend: str = ""


class Row(NamedTuple):
    """A finding under the name of its check."""

    name: str
    state: State
    found: str
    mend: str


@dataclass(frozen=True)
class Scene:
    """What is checked, beside the machine and the current folder.

    Attributes:
        params: the params file.
        results: the results folder, which need not exist.
        config: what the params file says, None where it does not load.
        problem: why it does not load, in one line.
    """

    params: Path
    results: Path
    config: Config | None
    problem: str = ""

    @cached_property
    def torch(self) -> dict[str, Any]:
        """What torch says of itself (probe.py), asked once."""
        return probe.ask(self.params)


def scene(params: Path, results: Path) -> Scene:
    """Loads the params file; a problem with it is kept, not raised."""
    try:
        return Scene(params, results, config.load(params))
    except UserError as error:
        return Scene(params, results, None, str(error))
    except Exception as error:  # a defect of the reader is one more finding
        return Scene(params, results, None, f"{params}: {type(error).__name__}: {error}")
