"""What a model's evaluation is given, and what it plans to measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.likelihood import Likelihood
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.models import Evaluation

BOUND, BOUND_TOKENS = "bound", "bound_tokens"  # masks of sub-tokens, of whole tokens
DENOISER, AUTOREGRESSIVE, DIFFERENCE = "denoiser", "autoregressive", "difference"  # beside EDLM's estimate
PUBLISHED = "published"  # the published loss, where it is not from the draws of the bound


class Evaluated(NamedTuple):
    """What is evaluated.

    Attributes:
        run: what the network is of.
        network: on `device`.
        tokens: (N, L) held-out sequences, as the network sees them.
        subtokenizer: the map between tokens and sub-tokens.
        schedule: the noise that it was trained with.
        settings: the section `evaluation`.
        device: where to compute.
    """

    run: Run
    network: nn.Module
    tokens: NDArray[np.unsignedinteger]
    subtokenizer: Subtokenizer
    schedule: Schedule
    settings: Evaluation
    device: torch.device


class Measurement(NamedTuple):
    """One of the likelihoods of a run.

    Attributes:
        total: draws, or sequences.
        batch_size: of those that are evaluated at once.
        shard_size: of those that are kept as soon as they are evaluated; None: all of them.
        measured: is given `report`, `kept` and `shard_size`.
    """

    total: int
    batch_size: int
    shard_size: int | None
    measured: Callable[..., Likelihood]
