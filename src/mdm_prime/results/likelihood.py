"""likelihood/VARIANT/seedN.json: both bounds, the published loss and exact values of a run, in nats per token."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mdm_prime.experiment.sections.models import OrderName
from mdm_prime.results.base import Deviation, Nats, Positive, Result
from mdm_prime.results.exact import ExactValue
from mdm_prime.results.models import Facts


class OfSequences(ExactValue):
    """On how many held-out sequences."""

    num_sequences: Positive


class Value(Result):
    """An estimate by draws on held-out sequences."""

    nats: Nats
    stderr: Deviation


class OfEnergy(Result):
    """From the same draws as `joint_loss`, which is EDLM's estimate.

    Attributes:
        num_samples: draws.
        denoiser: the bound of the denoiser by itself.
        autoregressive: the exact value of the autoregressive part, on the sequences that were drawn; None without one.
        difference: joint_loss - autoregressive.
    """

    num_samples: Positive
    denoiser: Value
    autoregressive: Value | None
    difference: Value | None


class LikelihoodFile(Facts):
    """`bound_tokens` is the bound by masks of whole tokens; None for a model without such masks.

    `energy` is of a model with an energy, whose `nelbo` is exact, on `num_samples` sequences.
    """

    num_samples: Positive
    nelbo: Nats
    nelbo_stderr: Deviation
    joint_loss: Nats
    joint_loss_stderr: Deviation
    bound_tokens: Nats | None
    bound_tokens_stderr: Deviation | None
    exact: dict[OrderName, OfSequences]
    energy: OfEnergy | None

    @model_validator(mode="after")
    def _masks(self) -> Self:
        there = self.kind.exact_order is None and (self.num_subtokens == 1 or self.kind.whole_tokens)
        for key in ("bound_tokens", "bound_tokens_stderr"):
            if (getattr(self, key) is not None) != there:
                raise ValueError(f"{key}: should be {'given' if there else 'null'} for the model {self.model}")
        if (self.energy is not None) != bool(self.kind.parts):
            raise ValueError(f"energy: should be {'given' if self.kind.parts else 'null'} for the model {self.model}")
        return self
