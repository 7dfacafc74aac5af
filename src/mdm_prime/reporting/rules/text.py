"""Rules about perplexity on text, on the table text_perplexity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    NOTHING,
    REFUTED,
    REPRODUCED,
    Finding,
    Tables,
    agrees,
    all_below,
    compare,
    holds,
    rows,
)

EVIDENCE = "text_perplexity"
BOUND = "ppl_bound"
LOSS = "published_loss_ppl"
OPENWEBTEXT = "openwebtext"  # in the corpus's name
PRECISE = 0.02  # share of the value: a wider agreement says nothing
CONVERGED = 0.05  # share of the value by which converged neighbours may differ; in Table 1 at most 0.017


@dataclass(frozen=True)
class OnEveryCorpus:
    """A rule on the mean rows of one task, asked of each: those count that decide, and they must agree."""

    rule: Callable[[list[Row]], Finding]

    def __call__(self, tables: Tables) -> Finding:
        corpora: dict[object, list[Row]] = {}
        for row in rows(tables, EVIDENCE, seed="mean"):
            corpora.setdefault(row.get("task"), []).append(row)
        found = {task: self.rule(means) for task, means in corpora.items()} or {None: self.rule([])}
        if len(found) == 1:
            return next(iter(found.values()))
        decided = {finding.verdict for finding in found.values()} - {NOT_TESTABLE}
        verdict = decided.pop() if len(decided) == 1 else NOT_TESTABLE
        return Finding("; ".join(f"{task}: {finding.our_value}" for task, finding in found.items()), verdict)


def lower_than_whole_tokens(column: str) -> OnEveryCorpus:
    """A column is lower for every l above 1 than for l = 1."""

    def rule(means: list[Row]) -> Finding:
        found = masked(means)
        whole = [estimate(row, column) for row in found if row["num_subtokens"] == 1]
        parts = [estimate(row, column) for row in found if row["num_subtokens"] > 1]
        return Finding(listed(found, column), all_below(compare(part, token) for part in parts for token in whole))

    return OnEveryCorpus(rule)


def falls_and_converges(column: str, converged_from: int) -> OnEveryCorpus:
    """From one l to the next a column is lower up to an l, and about the same from there on."""

    def rule(means: list[Row]) -> Finding:
        found = masked(means)
        steps = [(row["num_subtokens"], estimate(row, column), estimate(after, column))
                 for row, after in pairwise(found)]  # fmt: skip
        falls = all_below(compare(after, before) for ell, before, after in steps if ell < converged_from)
        late = [abs(after.value / before.value - 1) for ell, before, after in steps if ell >= converged_from]
        whole = bool(late) and found[0]["num_subtokens"] == 1
        verdict = (falls if max(late) <= CONVERGED else REFUTED) if whole else NOT_TESTABLE
        return Finding(listed(found, column), verdict)

    return OnEveryCorpus(rule)


def rises(column: str) -> OnEveryCorpus:
    """A column is higher for each l than for the one before it."""

    def rule(means: list[Row]) -> Finding:
        found = masked(means)
        steps = [estimate(row, column) for row in found]
        return Finding(listed(found, column), all_below(compare(before, after) for before, after in pairwise(steps)))

    return OnEveryCorpus(rule)


def chosen_is_lower(than: str) -> OnEveryCorpus:
    """The bound of the l with the lowest published loss, as the paper chooses it, lies below MDM's or the ARM's.

    To choose by the bound itself would favour whichever l was lucky.
    """

    def rule(means: list[Row]) -> Finding:
        candidates = [row for row in masked(means) if row["num_subtokens"] > 1]
        rivals = arms(means) if than == "ARM" else [row for row in masked(means) if row["num_subtokens"] == 1]
        if not (candidates and rivals):
            return NOTHING
        chosen = min(candidates, key=lambda row: float(row[LOSS]))
        best, rival = estimate(chosen, BOUND), estimate(rivals[0], BOUND)
        text = f"{best.text(1)} ({label(chosen)}) against {rival.text(1)} ({than})"
        return Finding(text, all_below([compare(best, rival)]))

    return OnEveryCorpus(rule)


def lower_than_all_others(fewest: int) -> OnEveryCorpus:
    """The bound of every l from `fewest` on lies below the ARM's and MDM's, the only others that we train."""

    def rule(means: list[Row]) -> Finding:
        primes = [row for row in masked(means) if row["num_subtokens"] >= fewest]
        rivals = arms(means)[:1] + [row for row in masked(means) if row["num_subtokens"] == 1]
        if not primes or len(rivals) < 2:
            return NOTHING
        pairs = [(estimate(prime, BOUND), estimate(rival, BOUND)) for prime in primes for rival in rivals]
        text = f"{listed(primes, BOUND)} against {listed(rivals, BOUND)}"
        return Finding(text, all_below(compare(*pair) for pair in pairs))

    return OnEveryCorpus(rule)


@dataclass(frozen=True)
class ValuesOfThePaper:
    """The published losses are the paper's: testable only where the models were trained on OpenWebText itself."""

    def __call__(self, tables: Tables) -> Finding:
        found = [
            (row, estimate(row, LOSS))
            for row in rows(tables, EVIDENCE, seed="mean")
            if OPENWEBTEXT in str(row["corpus"]).lower()
            and row["carry_over"] != "no"
            and row["owt_paper_published_ppl"] is not None
        ]
        verdicts = {agrees(value, row["owt_paper_published_ppl"], PRECISE) for row, value in found}
        verdict = next((decided for decided in (REFUTED, REPRODUCED) if decided in verdicts), NOT_TESTABLE)
        text = ", ".join(f"{value.text(2)} ({label(row)})" for row, value in found)
        return Finding(text or "none: another corpus and scale", verdict)


def fewer_parameters() -> OnEveryCorpus:
    """Every network of sub-tokens has fewer weights than that of whole tokens: they differ in the embedding only."""

    def rule(means: list[Row]) -> Finding:
        found = masked(means)
        whole = [row["parameters"] for row in found if row["num_subtokens"] == 1]
        primes = [row["parameters"] for row in found if row["num_subtokens"] > 1]
        text = ", ".join(f"{row['parameters']:,} ({label(row)})" for row in found) or "none"
        return Finding(text, holds([max(primes) < whole[0]] if whole and primes else []))

    return OnEveryCorpus(rule)


def arms(means: list[Row]) -> list[Row]:
    return [row for row in means if row["model"] == "ARM"]


def masked(means: list[Row]) -> list[Row]:
    """One mean row for each l, in order: with carry-over, and of several the one trained as the paper trains."""
    found: dict[int, Row] = {}
    for row in means:
        number = row["num_subtokens"]
        candidate = row["model"] != "ARM" and row["carry_over"] == "yes"
        if candidate and (number not in found or found[number]["objective"] != "joint_loss"):
            found[number] = row
    return [found[number] for number in sorted(found)]


def label(row: Row) -> str:
    return "ARM" if row["model"] == "ARM" else f"l={row['num_subtokens']}"


def listed(found: list[Row], column: str) -> str:
    """Values of a column with their l."""
    return ", ".join(f"{estimate(row, column).text(1)} ({label(row)})" for row in found) or "none"
