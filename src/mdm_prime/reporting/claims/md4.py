"""Claims of MD4 and GenMD4 (arXiv 2406.04329) about schedules, and their bits per dimension."""

from __future__ import annotations

from functools import partial

from mdm_prime.reporting import published
from mdm_prime.reporting.claim import ON_IMAGES, Claim, of_kind
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules import bits, schedules

SYSTEMS = "7 systems"
MDM = next(row for row in published.read("openwebtext_perplexity") if row["model"] == "MDM")
GENMD4 = next(row for row in published.read("openwebtext_others") if row["model"] == "GenMD4")
PUBLISHED = f"{GENMD4['published_ppl']:.2f} against {MDM['published_ppl']:.2f} (MDM), OpenWebText"

Schedules = partial(
    Claim, section=SYSTEMS, where="arXiv 2406.04329", evidence=schedules.EVIDENCE, needs=of_kind("text")
)


def bits_per_dimension(row: Row) -> Claim:
    """On images of that name, with our network and training."""
    return Claim(
        section=SYSTEMS,
        claim=f"MD4: the bound on the bits per dimension of {row['dataset']}",
        where="arXiv 2406.04329, abstract",
        published_value=f"{row['bits_per_dimension']:.2f}",
        rule=bits.BitsAgree(row["dataset"], row["bits_per_dimension"]),
        evidence=bits.EVIDENCE,
        needs=ON_IMAGES,
    )


CLAIMS = (
    Schedules(
        claim="MD4: networks that ignore the time, trained as long with any schedule, reach the same bound",
        published_value="the same objective",
        rule=schedules.same_for_every_schedule(),
    ),
    Schedules(
        claim="GenMD4: a learnt schedule has a lower bound than the linear one, at equal tokens",
        where="arXiv 2406.04329; Table 1",
        published_value=PUBLISHED,
        rule=schedules.learnt_is_lower(masks=1),
    ),
    Schedules(
        claim="GenMD4: a learnt schedule has a lower bound than the linear one with as many masks a step",
        where="not published",
        published_value="",
        rule=schedules.learnt_is_lower(masks=2),
    ),
    Schedules(
        claim="Two masks of each sequence in a step lower the bound beside as many passes with one mask",
        where="not published",
        published_value="",
        rule=schedules.lower_at_equal_passes(masks=2, learnt=False),
    ),
    Schedules(
        claim="GenMD4: a learnt schedule, at two masks a step, has a lower bound than as many passes with one mask",
        where="not published",
        published_value="",
        rule=schedules.lower_at_equal_passes(masks=2, learnt=True),
    ),
    *map(bits_per_dimension, published.read("md4_bits")),
)
