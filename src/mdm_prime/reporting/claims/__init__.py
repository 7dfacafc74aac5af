"""What the paper claims, what its errata say, and what our tables say: one function per claim.

To add a claim, write a function from the loaded tables to a `Claim` and add it to CLAIMS.
"""

from __future__ import annotations

from collections.abc import Callable

from mdm_prime.reporting.claims import bounds, idle, images, text, untested
from mdm_prime.reporting.claims.claim import Claim, Tables

CLAIMS: tuple[Callable[[Tables], Claim], ...] = (
    idle.mdm_share,
    idle.fewer_with_subtokens,
    idle.figure_points,
    idle.event_process_exact,
    idle.sampler_exact,
    bounds.one_subtoken_oracle,
    bounds.one_subtoken_trained,
    bounds.published_loss_oracle,
    bounds.published_loss_bit_copies,
    bounds.published_loss_trained,
    bounds.published_loss_toy,
    bounds.valid_bound,
    text.published_loss_improves,
    text.bound_improves,
    text.beats_mdm,
    text.beats_arm,
    text.openwebtext_values,
    untested.zero_shot,
    images.cifar10_beats_mdm,
    images.cifar10_beats_mixture,
    images.imagenet32_beats_mdm,
    images.imagenet32_beats_mixture,
    images.two_subtokens_best,
    images.more_evaluations_help,
)


def evaluate(tables: Tables) -> list[Claim]:
    """Every claim in order; `tables` holds the rows of layout.TABLES by name, and a missing one decides nothing."""
    return [claim(tables) for claim in CLAIMS]
