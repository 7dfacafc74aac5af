"""hybrids/VARIANT/seedN.json: what EDLM reports of a model with an energy, beside what is exact; nats per token."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mdm_prime.results.base import Count, Deviation, Nats, Positive, Result, Share
from mdm_prime.results.likelihood import Value
from mdm_prime.results.models import Model


class Chain(Result):
    """The distribution of the samples of one sampler, by enumeration, beside the source's.

    Attributes:
        num_steps: T; None: infinitely many.
        candidates: k; 0: none, the denoiser by itself; None: infinitely many, the exact partition function.
        window: the times at which there are candidates.
        evaluations: of networks, the mean over samples; None where there are infinitely many.
        nats: cross-entropy, the expected negative log-likelihood of data.
        total_variation: distance from the source.
    """

    num_steps: Positive | None
    candidates: Count | None
    window: tuple[Share, Share]
    evaluations: Deviation | None
    nats: Nats
    total_variation: Share

    @model_validator(mode="after")
    def _evaluated(self) -> Self:
        if (self.evaluations is None) != (self.candidates is None):
            raise ValueError("evaluations: should be null with infinitely many candidates, and only then")
        return self


class Enumeration(Result):
    """Exact expectations over a source of known entropy, of all its V^L sequences.

    Attributes:
        entropy: of the source.
        published: EDLM's estimate as it is reported, in expectation.
        published_exact_partition: the same with the exact log Z.
        one_step: the cross-entropy of p_theta exp(-E) / Z where all is masked.
        least_log_partition, greatest_log_partition: of all states.
        chains: what samplers give.
    """

    entropy: Nats
    published: Nats
    published_exact_partition: Nats
    one_step: Nats
    least_log_partition: Nats
    greatest_log_partition: Nats
    chains: Annotated[list[Chain], Field(min_length=1)]


class HybridFile(Model):
    """`autoregressive` and `difference` are of a model with an autoregressive part; `enumeration` of a known source.

    Attributes:
        parts: by what they are in it, the variants whose networks it is made of.
        num_samples: draws.
        published: EDLM's estimate.
        denoiser: the bound of the denoiser by itself, from the same draws.
        autoregressive: the exact value of the autoregressive model on the same sequences.
        difference: published - autoregressive.
        enumeration: what is exact.
    """

    parts: dict[str, str]
    num_samples: Positive
    published: Value
    denoiser: Value
    autoregressive: Value | None
    difference: Value | None
    enumeration: Enumeration | None

    @model_validator(mode="after")
    def _of_an_autoregressive_part(self) -> Self:
        for key in ("autoregressive", "difference"):
            if (getattr(self, key) is None) != ("autoregressive" not in self.parts):
                raise ValueError(f"{key}: should be null for a model without an autoregressive part, and only then")
        return self
