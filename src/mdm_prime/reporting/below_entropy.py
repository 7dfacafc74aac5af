"""When a loss counts as below the entropy: the one criterion of the tables and the claims."""

from __future__ import annotations

STDERRS = 3.0
ROUNDING = 1e-6  # nats; what is left where the standard error is zero, because all states were enumerated


def is_below(value: float, stderr: float, entropy: float) -> bool:
    """Whether an estimate (nats) lies below the entropy (nats) by more than three standard errors and rounding."""
    return value + max(STDERRS * stderr, ROUNDING) < entropy
