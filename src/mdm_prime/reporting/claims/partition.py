"""Claims of partition generative models (PGM, arXiv 2505.18883): no masks in the input, both halves in training."""

from __future__ import annotations

from functools import partial

from mdm_prime.reporting import published
from mdm_prime.reporting.claim import Claim, of_kind
from mdm_prime.reporting.rules import text
from mdm_prime.reporting.rules.general import NotInOurTables
from mdm_prime.reporting.rules.partition import MDM, MDM_BOTH, PGM, bound_is_lower

ROWS = {(row["corpus"], row["steps"], row["model"], row["setting"]): row for row in published.read("partition")}
LONG, SHORT = ("LM1B", 1000000), ("OpenWebText", 200000)
HALVES, LAYERS = "both halves of each mask", "6 + 6 layers"

Of = partial(Claim, section="7 systems", needs=of_kind("text"), evidence=text.EVIDENCE)


def against(first: tuple[str, str | None], second: tuple[str, str | None]) -> str:
    """The paper's values of two models, of equal size and training, on both corpora."""
    return ", ".join(
        f"{ROWS[*where, *first]['published_ppl']:.2f} against {ROWS[*where, *second]['published_ppl']:.2f} ({where[0]})"
        for where in (LONG, SHORT)
    )


def speed_up() -> str:
    many = ("OpenWebText", 1000000)
    rates = [ROWS[*many, *row]["tokens_per_second"] for row in (("PGM", "8 + 8 layers"), ("MDM", None))]
    return f"{rates[0]:,.0f} against {rates[1]:,.0f} tokens a second"


CLAIMS = (
    Of(
        claim="PGM has a lower bound than MDM of as many layers, at equal training",
        where="PGM, Tables 1 and 5",
        published_value=against(("PGM", LAYERS), ("MDM", None)),
        rule=bound_is_lower(PGM, MDM),
    ),
    Of(
        claim="Training MDM on both halves of each mask lowers its bound: as many sequences, twice the passes",
        where="PGM, Tables 1 and 5",
        published_value=against(("MDM", HALVES), ("MDM", None)),
        rule=bound_is_lower(MDM_BOTH, MDM),
    ),
    Of(
        claim="Training MDM on both halves of each mask lowers its bound beside as many passes over single masks",
        where="not published",
        published_value="",
        rule=bound_is_lower(MDM_BOTH, MDM, passes=2),
    ),
    Of(
        claim="Trained on both halves of each mask MDM has a lower bound than PGM: its network costs some of the gain",
        where="PGM, section 5.3",
        published_value=against(("MDM", HALVES), ("PGM", LAYERS)),
        rule=bound_is_lower(MDM_BOTH, PGM),
    ),
    Of(
        claim="PGM samples at least five times as many tokens a second as MDM (1,024 tokens, 128 steps)",
        where="PGM, Table 1",
        published_value=speed_up(),
        rule=NotInOurTables("times are measured by benchmarks/partition.py"),
        evidence="",
        needs="",
    ),
)
