"""Rows of text_perplexity as claims and figures read them: one model for each l, and the best that is known of it."""

from __future__ import annotations

from collections.abc import Mapping

from mdm_prime.reporting.records import Row

TABLE = "text_perplexity"
BOUND, LOSS = "ppl_bound", "published_loss_ppl"
EXACT = {
    "ppl_exact_lowest_entropy": "exact, lowest entropy first",
    "ppl_exact_left_to_right": "exact, left to right",
}
VALID = {**EXACT, BOUND: "bound", "ppl_bound_tokens": "bound, whole tokens masked"}
PLAIN = ("MDM", "MDM-Prime")  # in the column of models: as in the paper
ONE_STEP = "one step"  # in the column `exact`
UNIGRAM, BIGRAM = "unigram", "bigram"  # in the column of models: counted, not trained


def masked(means: list[Row]) -> list[Row]:
    """One mean row for each l, in order: with carry-over, and of several the one trained as the paper trains."""
    found: dict[int, Row] = {}
    for row in means:
        number = row["num_subtokens"]
        candidate = row["model"] in PLAIN and row["carry_over"] == "yes" and row.get("permuted") != "yes"
        if candidate and (number not in found or found[number]["objective"] != "joint_loss"):
            found[number] = row
    return [found[number] for number in sorted(found)]


def best_column(row: Row, columns: Mapping[str, str] = VALID) -> str | None:
    """The column with the least of a row's valid numbers: its perplexity is no higher. None where it has none."""
    there = [name for name in columns if row.get(name) is not None]
    return min(there, key=lambda name: float(row[name]), default=None)
