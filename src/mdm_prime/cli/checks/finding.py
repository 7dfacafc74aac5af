"""What a check is told, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mdm_prime.cli.checks import torch_facts
from mdm_prime.errors import UserError
from mdm_prime.experiment import config

State = Literal["ok", "warning", "failure"]

ROOT = Path(__file__).parents[4]  # of a checkout; elsewhere there is no requirements.lock in it
FEW = 3  # names shown of many


class Finding(NamedTuple):
    """What a check found, and the command or change that mends it; nothing to mend where all is well.

    A failure stops a run of the pipeline; a warning stops or slows something else.
    """

    state: State
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Scene:
    """What is checked, beside the machine and the current folder."""

    params: Path
    results: Path

    @cached_property
    def loaded(self) -> config.Config | str:
        """What the params file says, or in one line why it does not load."""
        try:
            return config.load(self.params)
        except UserError as error:
            return str(error)
        except Exception as error:  # a defect of the reader is one more finding
            return f"{self.params}: {type(error).__name__}: {error}"

    @cached_property
    def torch(self) -> dict[str, Any]:
        """What torch says of itself, asked once."""
        return torch_facts.ask(self.params)


def few(names: Iterable[str]) -> str:
    """The first of them, and how many there are besides."""
    listed = list(names)
    return ", ".join(listed[:FEW]) + (f" and {len(listed) - FEW} more" if len(listed) > FEW else "")
