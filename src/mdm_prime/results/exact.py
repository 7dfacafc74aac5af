"""The exact value of an order in which a sampler reveals."""

from __future__ import annotations

from mdm_prime.results.base import Deviation, Nats, Result


class ExactValue(Result):
    """Negative log-likelihood in nats per token, with its standard error."""

    nll: Nats
    nll_stderr: Deviation
