"""baselines.json: the exact likelihood of models that count instead of learning."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mdm_prime.results.base import Count, Deviation, Nats, Positive, Result


class Counted(Result):
    """Nats per token of the held-out part, and their standard error over its sequences."""

    baseline: str
    nats: Nats
    nats_stderr: Deviation


class BaselinesFile(Result):
    """Counted in `train_tokens` tokens, measured on `num_sequences` sequences."""

    task: str
    num_sequences: Positive
    train_tokens: Count
    rows: Annotated[list[Counted], Field(min_length=1)]
