"""Claims that need data which no table of ours holds yet: zero-shot text."""

from __future__ import annotations

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import NOT_TESTABLE, Claim, Tables

ZERO_SHOT_SETS = ("LAMBADA", "WikiText", "PTB", "LM1B", "AG News", "PubMed", "ArXiv")


def zero_shot(_tables: Tables) -> Claim:
    paper = {(row["model"], row["num_subtokens"]): row for row in published.read("zero_shot_perplexity")}
    arm, prime = paper["ARM", None], paper["MDM-Prime", 4]
    lower = [name for name in ZERO_SHOT_SETS if prime[name] < arm[name]]
    return Claim(
        claim="MDM-Prime has lower zero-shot perplexities than the ARM on most of seven text collections",
        where="Table 2",
        published_value=f"lower on {len(lower)} of {len(ZERO_SHOT_SETS)} (l=4), such as LAMBADA: "
        f"{prime['LAMBADA']:.2f} against {arm['LAMBADA']:.2f}",
        corrected_value="not a bound",
        our_value="none: needs the collections",
        verdict=NOT_TESTABLE,
        evidence="",
    )
