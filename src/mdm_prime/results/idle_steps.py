"""idle_steps.json: sampling steps that change nothing, counted without a network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mdm_prime.results.base import Deviation, Positive, Result


class IdleSteps(Result):
    """Mean number of idle ones among `num_steps` steps, and its standard error over sequences."""

    num_steps: Positive
    num_subtokens: Positive
    length: Positive
    num_sequences: Positive
    idle_measured: Deviation
    idle_stderr: Deviation


class IdleStepsFile(Result):
    """A row for each number of steps and of sub-tokens."""

    rows: Annotated[list[IdleSteps], Field(min_length=1)]
