"""Claims about perplexity on other text than that of the training (Table 2). No table of ours holds such text yet."""

from __future__ import annotations

from functools import partial

from mdm_prime.reporting import published
from mdm_prime.reporting.claim import Claim
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules.general import NotInOurTables

SETS = ("LAMBADA", "WikiText", "PTB", "LM1B", "AG News", "PubMed", "ArXiv")
LOWEST_ON = ("LAMBADA", "PTB", "ArXiv")
TABLE2 = published.read("zero_shot_perplexity")
ARM = next(row for row in TABLE2 if row["model"] == "ARM")
PRIMES = [row for row in TABLE2 if row["model"] == "MDM-Prime"]
OTHERS = [row for row in TABLE2 if row["model"] != "MDM-Prime"]
FOUR = next(row for row in PRIMES if row["num_subtokens"] == 4)
LOWER = [name for name in SETS if FOUR[name] < ARM[name]]


def lowest(models: list[Row], name: str) -> Row:
    return min(models, key=lambda row: float(row[name]))


def against(name: str, first: Row, second: Row) -> str:
    return f"{name}: {first[name]:.2f} (l={first['num_subtokens']}) against {second[name]:.2f} ({second['model']})"


ZeroShot = partial(
    Claim,
    section="4 zero-shot text",
    where="Table 2",
    corrected_value="MDM-Prime's are not bounds; no others are given",
    rule=NotInOurTables("needs the collections"),
    withdrawn=published.withdrawn(PRIMES),
)

CLAIMS = (
    ZeroShot(
        claim="MDM-Prime has lower zero-shot perplexities than the ARM on most of seven text collections",
        published_value=f"lower on {len(LOWER)} of {len(SETS)} (l=4), such as {against(LOWER[0], FOUR, ARM)}",
        headline=True,
    ),
    ZeroShot(
        claim=f"MDM-Prime has the lowest zero-shot perplexity of all models on {', '.join(LOWEST_ON)}",
        published_value=", ".join(against(name, lowest(PRIMES, name), lowest(OTHERS, name)) for name in LOWEST_ON),
    ),
    ZeroShot(
        claim="MDM-Prime has about the ARM's zero-shot perplexity on WikiText",
        published_value=against("WikiText", lowest(PRIMES, "WikiText"), ARM),
    ),
    ZeroShot(
        claim="MDM-Prime has a higher zero-shot perplexity than the ARM on AG News, for every l",
        published_value=against("AG News", lowest(PRIMES, "AG News"), ARM),
    ),
)
