"""Claims about perplexity on text (abstract, Table 1), and about sizes."""

from __future__ import annotations

from functools import partial

from mdm_prime.reporting import published
from mdm_prime.reporting.claim import Claim, of_kind
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules import text
from mdm_prime.reporting.rules.text import label
from mdm_prime.reporting.text_models import BOUND, LOSS

TABLE1 = published.read("openwebtext_perplexity")
ARM, MDM, *PRIMES = TABLE1
OTHERS = published.read("openwebtext_others")
CONVERGED_FROM = 4  # sub-tokens
FEWEST = 3  # sub-tokens from which on MDM-Prime lies below everything else in Table 1


def listed(rows: list[Row], column: str) -> str:
    """Values of a column with their l; empty ones left out."""
    return ", ".join(f"{row[column]:.2f} ({label(row)})" for row in rows if row[column] is not None)


def named(row: Row) -> str:
    return f"{row['published_ppl']:.2f} ({row['model']})"


def lowest(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: float(row["published_ppl"]))


BEST = lowest(PRIMES)  # the l by which the paper compares MDM-Prime with other models
MANY = [row for row in PRIMES if row["num_subtokens"] >= FEWEST]
BEST_OTHER = lowest([ARM, MDM, *OTHERS])
MASKED_PUBLISHED = listed([MDM, *PRIMES], "published_ppl")
CORRECTED = listed(TABLE1, "corrected_ppl")

NOWHERE = "not in the paper"
CHOSEN = "MDM-Prime, with the l of its lowest published loss,"
Text = partial(Claim, section="3 text", where="Table 1", evidence=text.EVIDENCE, needs=of_kind("text"))


def best_against(rival: Row, **fields: object) -> Claim:
    """MDM-Prime with its lowest published value beside another model."""
    kind = "" if rival["kind"] in ("bound", "exact") else f", {rival['kind']}"
    values = {
        "published_value": f"{BEST['published_ppl']:.2f} ({label(BEST)}, taken for a bound) against {named(rival)}",
        "corrected_value": f"{BEST['corrected_ppl']:.2f} ({label(BEST)}) against {named(rival)}{kind}",
        "withdrawn": published.withdrawn([BEST]),
    }
    return Text(**{**values, **fields})  # type: ignore[arg-type]


def best_against_other(rival: Row) -> Claim:
    """The same beside a model of others."""
    return best_against(
        rival,
        claim=f"{CHOSEN} has a lower perplexity than {rival['model']}, by the best valid number of each",
        where="abstract, Table 1",
        rule=text.chosen_is_lower(str(rival["model"])),
    )


CLAIMS = (
    Text(
        claim="The published loss, written as a perplexity, is lower for every l above 1",
        published_value=MASKED_PUBLISHED,
        rule=text.lower_than_whole_tokens(LOSS),
        headline=True,
    ),
    Text(
        claim=f"The published loss, written as a perplexity, falls with l and has converged from l = {CONVERGED_FROM} "
        "on, as the share of idle steps does",
        published_value=MASKED_PUBLISHED,
        rule=text.falls_and_converges(LOSS, CONVERGED_FROM),
    ),
    Text(
        claim="The valid bound on the perplexity is lower for every l above 1",
        published_value="not reported",
        corrected_value=CORRECTED,
        rule=text.lower_than_whole_tokens(BOUND),
        headline=True,
    ),
    Text(
        claim="The valid bound on the perplexity rises with every l",
        where="errata note",
        published_value="",
        corrected_value=CORRECTED,
        rule=text.rises(BOUND),
    ),
    Text(
        claim="Training on the valid bound gives a lower valid bound than training on the published loss, at equal "
        "training",
        where=NOWHERE,
        published_value="",
        rule=text.bound_trained_is_lower(),
        headline=True,
    ),
    Text(
        claim="For l above 1 the published loss of a network is no lower than its exact perplexity in its best order",
        where="Tables 1, 2",
        published_value="reported as a bound",
        corrected_value="not a bound",
        rule=text.loss_above_exact(),
        headline=True,
    ),
    Text(
        claim="The exact perplexity in the best order is lower than MDM's for every l above 1",
        where=NOWHERE,
        published_value="",
        rule=text.exact_is_lower("MDM"),
        headline=True,
    ),
    Text(
        claim="The exact perplexity in the best order is lower than the ARM's for every l above 1",
        where=NOWHERE,
        published_value="",
        rule=text.exact_is_lower("ARM"),
    ),
    best_against(
        MDM,
        claim=f"{CHOSEN} has a lower perplexity than MDM, by the best valid number of each",
        rule=text.chosen_is_lower("MDM"),
    ),
    best_against(
        ARM,
        claim=f"{CHOSEN} has a lower perplexity than the ARM, by the best valid number of each",
        where="abstract, Table 1",
        rule=text.chosen_is_lower("ARM"),
        headline=True,
    ),
    *map(best_against_other, OTHERS),
    Text(
        claim=f"MDM-Prime with l of {FEWEST} and more has a lower perplexity than every other model, by the best valid "
        "number of each",
        published_value=f"{listed(MANY, 'published_ppl')}, taken for bounds, against {named(BEST_OTHER)}",
        corrected_value=f"{listed(MANY, 'corrected_ppl')} against {named(BEST_OTHER)}",
        rule=text.lower_than_all_others(FEWEST),
        withdrawn=published.withdrawn(MANY),
    ),
    Text(
        claim="The values on OpenWebText, as the paper computes them",
        where="abstract, Table 1",
        published_value=listed(TABLE1, "published_ppl"),
        corrected_value=CORRECTED,
        rule=text.ValuesOfThePaper(),
        withdrawn=published.withdrawn(TABLE1),
    ),
    Text(
        claim="MDM-Prime has fewer parameters than MDM: b + 1 embeddings of width D / l in place of V + 1 of width D",
        where="project page, Figure 6",
        published_value="fewer in the embedding",
        rule=text.fewer_parameters(),
    ),
)
