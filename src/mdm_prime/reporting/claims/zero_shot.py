"""Claims about perplexity on other text than that of the training (Table 2). No table of ours holds such text yet."""

from __future__ import annotations

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import NOT_TESTABLE, Claim, Tables, unless_withdrawn
from mdm_prime.reporting.records import Row

SETS = ("LAMBADA", "WikiText", "PTB", "LM1B", "AG News", "PubMed", "ArXiv")
LOWEST_ON = ("LAMBADA", "PTB", "ArXiv")


def lower_than_arm(_tables: Tables) -> Claim:
    arm, prime = _arm(), next(row for row in _primes() if row["num_subtokens"] == 4)
    lower = [name for name in SETS if prime[name] < arm[name]]
    return _claim(
        "MDM-Prime has lower zero-shot perplexities than the ARM on most of seven text collections",
        f"lower on {len(lower)} of {len(SETS)} (l=4), such as {_against(lower[0], prime, arm)}",
    )


def lowest_on_three(_tables: Tables) -> Claim:
    others = [row for row in _rows() if row["model"] != "MDM-Prime"]
    return _claim(
        f"MDM-Prime has the lowest zero-shot perplexity of all models on {', '.join(LOWEST_ON)}",
        ", ".join(_against(name, _lowest(_primes(), name), _lowest(others, name)) for name in LOWEST_ON),
    )


def like_the_arm_on_wikitext(_tables: Tables) -> Claim:
    wording = "MDM-Prime has about the ARM's zero-shot perplexity on WikiText"
    return _claim(wording, _against("WikiText", _lowest(_primes(), "WikiText"), _arm()))


def worse_than_arm_on_ag_news(_tables: Tables) -> Claim:
    wording = "MDM-Prime has a higher zero-shot perplexity than the ARM on AG News, for every l"
    return _claim(wording, _against("AG News", _lowest(_primes(), "AG News"), _arm()))


def _claim(wording: str, published_value: str) -> Claim:
    return Claim(
        claim=wording,
        where="Table 2",
        published_value=published_value,
        corrected_value="MDM-Prime's are not bounds; no others are given",
        our_value="none: needs the collections",
        verdict=unless_withdrawn(NOT_TESTABLE, _primes()),
        evidence="",
    )


def _rows() -> list[Row]:
    return published.read("zero_shot_perplexity")


def _primes() -> list[Row]:
    return [row for row in _rows() if row["model"] == "MDM-Prime"]


def _arm() -> Row:
    return next(row for row in _rows() if row["model"] == "ARM")


def _lowest(models: list[Row], name: str) -> Row:
    return min(models, key=lambda row: float(row[name]))


def _against(name: str, first: Row, second: Row) -> str:
    return f"{name}: {first[name]:.2f} (l={first['num_subtokens']}) against {second[name]:.2f} ({second['model']})"
