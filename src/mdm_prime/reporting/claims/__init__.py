"""What the paper claims, what its errata say, and what our tables say: one function per claim.

To add a claim, write a function from the loaded tables to a `Claim` and add it to CLAIMS.
"""

from __future__ import annotations

from collections.abc import Callable

from mdm_prime.reporting.claims import bounds, idle, image_values, images, text, text_others, zero_shot
from mdm_prime.reporting.claims.claim import Claim, Tables

CLAIMS: tuple[Callable[[Tables], Claim], ...] = (
    idle.mdm_share,
    idle.fewer_with_subtokens,
    idle.table1_shares,
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
    text.loss_falls_and_converges,
    text.bound_improves,
    text.bound_rises,
    text.beats_mdm,
    text.beats_arm,
    text_others.beats_previous_mdms,
    text_others.beats_hybrids,
    text_others.three_and_more_beat_all,
    text.openwebtext_values,
    text_others.smaller_network,
    zero_shot.lower_than_arm,
    zero_shot.lowest_on_three,
    zero_shot.like_the_arm_on_wikitext,
    zero_shot.worse_than_arm_on_ag_news,
    image_values.cifar10_fid,
    image_values.imagenet32_fid,
    images.cifar10_beats_mdm,
    images.cifar10_beats_mixture,
    images.imagenet32_beats_mdm,
    images.imagenet32_beats_mixture,
    image_values.cifar10_inception_score,
    image_values.imagenet32_inception_score,
    image_values.cifar10_beats_discrete,
    image_values.cifar10_like_continuous,
    image_values.imagenet32_like_continuous,
    image_values.imagenet32_beats_scoreflow,
    images.two_subtokens_best,
    images.more_evaluations_help,
)


def evaluate(tables: Tables) -> list[Claim]:
    """Every claim in order; `tables` holds the rows of layout.TABLES by name, and a missing one decides nothing."""
    return [claim(tables) for claim in CLAIMS]
