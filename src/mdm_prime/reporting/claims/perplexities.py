"""Rows and numbers that the claims about perplexity on text share."""

from __future__ import annotations

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import Estimate, Tables, evidence, rows
from mdm_prime.reporting.records import Row, number

EVIDENCE = evidence("text_perplexity")
BOUND = "ppl_bound"
LOSS = "published_loss_ppl"


def table1(*models: str) -> list[Row]:
    """Rows of Table 1, of all models that we train unless some are named."""
    return [row for row in published.read("openwebtext_perplexity") if row["model"] in models or not models]


def listed(paper: list[Row], column: str) -> str:
    """Values of a column with their l; empty ones left out."""
    return ", ".join(f"{row[column]:.2f} ({label(row)})" for row in paper if row[column] is not None)


def label(row: Row) -> str:
    return "ARM" if row["model"] == "ARM" else f"l={row['num_subtokens']}"


def means(tables: Tables) -> list[Row]:
    return rows(tables, "text_perplexity", seed="mean")


def masked(tables: Tables) -> list[Row]:
    """One mean row for each l, in order: with carry-over, and of several the one trained as the paper trains."""
    found: dict[int, Row] = {}
    for row in means(tables):
        subtokens = row["num_subtokens"]
        chosen = row["model"] != "ARM" and row["carry_over"] == "yes"
        if chosen and (subtokens not in found or found[subtokens]["objective"] != "joint_loss"):
            found[subtokens] = row
    return [found[subtokens] for subtokens in sorted(found)]


def estimate(row: Row, column: str) -> Estimate:
    return Estimate(number(row[column]), number(row[f"{column}_stderr"]), number(row[f"{column}_spread"]))


def ours(found: list[Row], column: str) -> str:
    """Our values of a column with their l."""
    return ", ".join(f"{estimate(row, column).text(1)} ({label(row)})" for row in found) or "none"
