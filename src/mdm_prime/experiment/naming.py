"""What tables, figures and messages call a choice of the params file."""

from __future__ import annotations

from mdm_prime.experiment.sections.models import Training


def schedule_name(training: Training) -> str:
    """Linear or cosine, or polynomial with its exponent."""
    return f"polynomial {training.exponent:g}" if training.schedule == "polynomial" else training.schedule
