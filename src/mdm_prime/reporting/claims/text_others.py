"""Claims about perplexity on text beside models that we do not train, and about sizes (abstract, Table 1)."""

from __future__ import annotations

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import (
    NOT_TESTABLE,
    REFUTED,
    REPRODUCED,
    Claim,
    Tables,
    compare,
    improves,
    unless_withdrawn,
)
from mdm_prime.reporting.claims.perplexities import (
    BOUND,
    EVIDENCE,
    estimate,
    label,
    listed,
    masked,
    means,
    ours,
    table1,
)
from mdm_prime.reporting.records import Row

FEWEST = 3  # sub-tokens from which on MDM-Prime lies below everything else in Table 1


def beats_previous_mdms(_tables: Tables) -> Claim:
    return _beats("no", "MDM-Prime has a lower perplexity than the best earlier MDM")


def beats_hybrids(_tables: Tables) -> Claim:
    return _beats("partly", "MDM-Prime has a lower perplexity than the best mixture of MDM and autoregression")


def three_and_more_beat_all(tables: Tables) -> Claim:
    """Ours: the valid bound of every l from 3 on against the ARM and MDM, the only others that we train."""
    others = min([*table1("ARM", "MDM"), *_others()], key=_published)
    paper = [row for row in table1("MDM-Prime") if row["num_subtokens"] >= FEWEST]
    primes = [row for row in masked(tables) if row["num_subtokens"] >= FEWEST]
    rivals = [row for row in means(tables) if row["model"] == "ARM"] + masked(tables)[:1]
    complete = len(rivals) == 2 and rivals[1]["num_subtokens"] == 1
    pairs = [(estimate(prime, BOUND), estimate(rival, BOUND)) for prime in primes for rival in rivals]
    return Claim(
        claim=f"MDM-Prime with l of {FEWEST} and more has a lower valid perplexity bound than every other model",
        where="Table 1",
        published_value=f"{listed(paper, 'published_ppl')}, taken for bounds, against {_value(others)}",
        corrected_value=f"{listed(paper, 'corrected_ppl')} against {_value(others)}",
        our_value=f"{ours(primes, BOUND)} against {ours(rivals, BOUND)}" if complete and primes else "none",
        verdict=unless_withdrawn(improves([compare(*pair) for pair in pairs]) if complete else NOT_TESTABLE, paper),
        evidence=EVIDENCE,
    )


def smaller_network(tables: Tables) -> Claim:
    """The networks differ in the embedding only."""
    found = masked(tables)
    whole = [row["parameters"] for row in found if row["num_subtokens"] == 1]
    primes = [row["parameters"] for row in found if row["num_subtokens"] > 1]
    known = bool(whole and primes)
    return Claim(
        claim="MDM-Prime has fewer parameters than MDM: b + 1 embeddings of width D / l in place of V + 1 of width D",
        where="project page, Figure 6",
        published_value="fewer in the embedding",
        corrected_value="",
        our_value=", ".join(f"{row['parameters']:,} ({label(row)})" for row in found) or "none",
        verdict=(REPRODUCED if max(primes) < whole[0] else REFUTED) if known else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def _beats(autoregressive: str, wording: str) -> Claim:
    """No table of ours holds such a rival."""
    prime = min(table1("MDM-Prime"), key=_published)
    rival = min((row for row in _others() if row["autoregressive"] == autoregressive), key=_published)
    against = f"against {_value(rival)}" + (f", {rival['kind']}" if rival["kind"] != "bound" else "")
    return Claim(
        claim=f"{wording} ({rival['model']})",
        where="abstract, Table 1",
        published_value=f"{prime['published_ppl']:.2f} ({label(prime)}, taken for a bound) against {_value(rival)}",
        corrected_value=f"{prime['corrected_ppl']:.2f} ({label(prime)}) {against}",
        our_value=f"none: {rival['model']} is not trained here",
        verdict=unless_withdrawn(NOT_TESTABLE, [prime]),
        evidence="",
    )


def _others() -> list[Row]:
    return published.read("openwebtext_others")


def _published(row: Row) -> float:
    return float(row["published_ppl"])


def _value(row: Row) -> str:
    return f"{row['published_ppl']:.2f} ({row['model']})"
