"""Rules about perplexity on text, on the table text_perplexity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.rules.learnt import if_learnt
from mdm_prime.reporting.text_models import (
    BOUND,
    EXACT,
    LOSS,
    ONE_STEP,
    PLAIN,
    TABLE,
    UNIGRAM,
    VALID,
    best_column,
    masked,
)
from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    NOTHING,
    REFUTED,
    REPRODUCED,
    Estimate,
    Finding,
    Tables,
    agrees,
    all_below,
    both,
    holds,
    rows,
    separation,
)

EXACTLY = {"yes": "exact", ONE_STEP: "exact in one step"}  # by the column `exact`: what a value is called
EVIDENCE = TABLE
OPENWEBTEXT = "openwebtext"  # in the corpus's name
PRECISE = 0.02  # share of the value: a wider agreement says nothing
CONVERGED = 0.05  # share of the value by which converged neighbours may differ; in Table 1 at most 0.017

Judged = tuple[Finding, list[Row]]  # what the numbers say, and the rows of the trained networks that it rests on


@dataclass(frozen=True)
class OnEveryCorpus:
    """A rule on the mean rows of one task, asked of each: those count that decide, and they must agree."""

    rule: Callable[[list[Row]], Judged]

    def __call__(self, tables: Tables) -> Finding:
        corpora: dict[object, list[Row]] = {}
        for row in rows(tables, EVIDENCE, seed="mean"):
            corpora.setdefault(row.get("task"), []).append(row)
        found = {task: self._of(task, means, tables) for task, means in corpora.items()} or {None: self.rule([])[0]}
        if len(found) == 1:
            return next(iter(found.values()))
        text = "; ".join(f"{task}: {finding.our_value}" for task, finding in found.items())
        deciding = [finding for finding in found.values() if finding.verdict != NOT_TESTABLE]
        verdicts = {finding.verdict for finding in deciding}
        margins = [finding.margin for finding in deciding or found.values() if finding.margin is not None]
        return Finding(text, verdicts.pop() if len(verdicts) == 1 else NOT_TESTABLE, min(margins, default=None))

    def _of(self, task: object, means: list[Row], tables: Tables) -> Finding:
        finding, networks = self.rule(means)
        values = {str(row["variant"]): best_valid(row)[0] for row in networks}
        return if_learnt(finding, values, rows(tables, EVIDENCE, model=UNIGRAM, task=task), BOUND)


def lower_than_whole_tokens(column: str) -> OnEveryCorpus:
    """A column is lower for every l above 1 than for l = 1."""

    def rule(means: list[Row]) -> Judged:
        found = masked(means)
        whole = [estimate(row, column) for row in found if row["num_subtokens"] == 1]
        parts = [estimate(row, column) for row in found if row["num_subtokens"] > 1]
        verdict = all_below(separation(part, token) for part in parts for token in whole)
        return Finding(listed(found, column), *verdict), found

    return OnEveryCorpus(rule)


def falls_and_converges(column: str, converged_from: int) -> OnEveryCorpus:
    """From one l to the next a column is lower up to an l, and about the same from there on."""

    def rule(means: list[Row]) -> Judged:
        found = masked(means)
        steps = [(row["num_subtokens"], estimate(row, column), estimate(after, column))
                 for row, after in pairwise(found)]  # fmt: skip
        late = [_change(before, after) for ell, before, after in steps if ell >= converged_from]
        if not late or found[0]["num_subtokens"] != 1:
            return Finding(listed(found, column), NOT_TESTABLE), found
        falls = all_below(separation(after, before) for ell, before, after in steps if ell < converged_from)
        stays = all_below(separation(change, Estimate(CONVERGED)) for change in late)
        return Finding(listed(found, column), *both(falls, stays)), found

    return OnEveryCorpus(rule)


def rises(column: str) -> OnEveryCorpus:
    """A column is higher for each l than for the one before it."""

    def rule(means: list[Row]) -> Judged:
        found = masked(means)
        steps = [estimate(row, column) for row in found]
        verdict = all_below(separation(before, after) for before, after in pairwise(steps))
        return Finding(listed(found, column), *verdict), found

    return OnEveryCorpus(rule)


def chosen_is_lower(than: str) -> OnEveryCorpus:
    """The l with the lowest published loss, as the paper chooses it, has a best valid number below another model's.

    To choose by the valid number itself would favour whichever l was lucky.
    """

    def rule(means: list[Row]) -> Judged:
        candidates = [row for row in masked(means) if row["num_subtokens"] > 1]
        whole = masked(means) if than == "MDM" else means  # of several MDMs the plain one
        rivals = [row for row in whole if row["model"] == than and row["num_subtokens"] == 1]
        if not candidates:
            return NOTHING, []
        if not rivals:
            return Finding(f"none: no {than} in this scale", NOT_TESTABLE), []
        chosen, rival = min(candidates, key=lambda row: float(row[LOSS])), rivals[0]
        text = f"{valid_text([chosen])} against {valid_text([rival])}"
        verdict = all_below([separation(best_valid(chosen)[0], best_valid(rival)[0])])
        return Finding(text, *verdict), [chosen, rival]

    return OnEveryCorpus(rule)


def lower_than_all_others(fewest: int) -> OnEveryCorpus:
    """The best valid number of every l from `fewest` on lies below the ARM's and MDM's, the others that we train."""

    def rule(means: list[Row]) -> Judged:
        primes = [row for row in masked(means) if row["num_subtokens"] >= fewest]
        rivals = arms(means)[:1] + [row for row in masked(means) if row["num_subtokens"] == 1]
        if not primes or len(rivals) < 2:
            return NOTHING, []
        verdict = all_below(
            separation(best_valid(prime)[0], best_valid(rival)[0]) for prime in primes for rival in rivals
        )
        return Finding(f"{valid_text(primes)} against {valid_text(rivals)}", *verdict), primes + rivals

    return OnEveryCorpus(rule)


def exact_is_lower(than: str) -> OnEveryCorpus:
    """The exact perplexity of every l above 1, in its best order, lies below that of MDM or of the ARM."""

    def rule(means: list[Row]) -> Judged:
        primes = [row for row in masked(means) if row["num_subtokens"] > 1 and exact(row)]
        rivals = arms(means)[:1] if than == "ARM" else [row for row in masked(means) if row["num_subtokens"] == 1]
        rivals = [row for row in rivals if exact(row)]
        if not (primes and rivals):
            return Finding("none: no exact perplexity of both", NOT_TESTABLE), []
        verdict = all_below(separation(_exact(prime), _exact(rival)) for prime in primes for rival in rivals)
        text = f"{valid_text(primes, EXACT)} against {valid_text(rivals, EXACT)}"
        return Finding(text, *verdict), primes + rivals

    return OnEveryCorpus(rule)


def loss_above_exact() -> OnEveryCorpus:
    """The published loss of every l above 1 is no lower than the exact perplexity of the same network, in any order."""

    def rule(means: list[Row]) -> Judged:
        found = [row for row in masked(means) if row["num_subtokens"] > 1 and exact(row)]
        if not found:
            return Finding("none: no exact perplexity", NOT_TESTABLE), []
        verdict = all_below(separation(_exact(row), estimate(row, LOSS)) for row in found)
        return Finding(f"{listed(found, LOSS)} against {valid_text(found, EXACT)}", *verdict), found

    return OnEveryCorpus(rule)


def bound_trained_is_lower() -> OnEveryCorpus:
    """Networks trained on the valid bound have a lower one than those of the same l trained on the published loss.

    At equal training: as many weights, as many tokens.
    """
    equal = ("model", "num_subtokens", "carry_over", "parameters", "train_tokens")

    def rule(means: list[Row]) -> Judged:
        pairs = [
            (bound, published)
            for bound in means
            for published in means
            if (bound["objective"], published["objective"]) == ("nelbo", "joint_loss")
            and bound["num_subtokens"] > 1
            and all(bound[key] == published[key] for key in equal)
        ]
        if not pairs:
            return Finding("none: no network trained on the valid bound beside one on the published loss",
                           NOT_TESTABLE), []  # fmt: skip
        verdict = all_below(separation(estimate(first, BOUND), estimate(other, BOUND)) for first, other in pairs)
        text = ", ".join(
            f"{estimate(first, BOUND).text(1)} against {estimate(other, BOUND).text(1)} ({label(first)})"
            for first, other in pairs
        )
        return Finding(text, *verdict), [row for pair in pairs for row in pair]

    return OnEveryCorpus(rule)


@dataclass(frozen=True)
class ValuesOfThePaper:
    """The published losses are the paper's: testable only where the models were trained on OpenWebText itself.

    A network that agrees with the paper's value has learnt what the paper's has: no baseline is asked for.
    """

    def __call__(self, tables: Tables) -> Finding:
        found = [
            (row, estimate(row, LOSS))
            for row in rows(tables, EVIDENCE, seed="mean")
            if OPENWEBTEXT in str(row["corpus"]).lower()
            and row["carry_over"] != "no"
            and row["owt_paper_published_ppl"] is not None
        ]
        decisions = [agrees(value, row["owt_paper_published_ppl"], PRECISE) for row, value in found]
        verdicts = {decision.verdict for decision in decisions}
        verdict = next((decided for decided in (REFUTED, REPRODUCED) if decided in verdicts), NOT_TESTABLE)
        margins = [margin for decided, margin in decisions if decided == verdict and margin is not None]
        text = ", ".join(f"{value.text(2)} ({label(row)})" for row, value in found)
        return Finding(text or "none: another corpus and scale", verdict, min(margins, default=None))


def fewer_parameters() -> OnEveryCorpus:
    """Every network of sub-tokens has fewer weights than that of whole tokens: they differ in the embedding only.

    Whatever they have learnt.
    """

    def rule(means: list[Row]) -> Judged:
        found = masked(means)
        whole = [row["parameters"] for row in found if row["num_subtokens"] == 1]
        primes = [row["parameters"] for row in found if row["num_subtokens"] > 1]
        text = ", ".join(f"{row['parameters']:,} ({label(row)})" for row in found) or "none"
        return Finding(text, *holds([max(primes) < whole[0]] if whole and primes else [])), []

    return OnEveryCorpus(rule)


def arms(means: list[Row]) -> list[Row]:
    return [row for row in means if row["model"] == "ARM"]


def best_valid(row: Row, columns: Mapping[str, str] = VALID) -> tuple[Estimate, str]:
    """The least of a row's valid numbers, and what it is called. Raises ValueError where it has none of `columns`."""
    column = best_column(row, columns)
    if column is None:
        raise ValueError(f"{row['model']}: has none of {', '.join(columns)}")
    return estimate(row, column), columns[column] if row["exact"] == "no" else EXACTLY[row["exact"]]


def exact(row: Row) -> bool:
    """Whether a row has an exact perplexity."""
    return best_column(row, EXACT) is not None


def label(row: Row) -> str:
    """What a value is of: l of a model of the paper, else the model."""
    ell = f"l={row['num_subtokens']}"
    if row["model"] in PLAIN:
        return ell
    return str(row["model"]) if row["num_subtokens"] in (1, None) else f"{row['model']}, {ell}"


def listed(found: list[Row], column: str) -> str:
    """Values of a column with their l."""
    return ", ".join(f"{estimate(row, column).text(1)} ({label(row)})" for row in found) or "none"


def valid_text(found: list[Row], columns: Mapping[str, str] = VALID) -> str:
    """The best valid numbers with what they are."""
    best = [(row, *best_valid(row, columns)) for row in found]
    return ", ".join(f"{value.text(1)} ({label(row)}, {name})" for row, value, name in best)


def _exact(row: Row) -> Estimate:
    return best_valid(row, EXACT)[0]


def _change(before: Estimate, after: Estimate) -> Estimate:
    """The share of `before` by which the two differ."""
    relative = hypot(before.uncertainty / before.value, after.uncertainty / after.value)
    return Estimate(abs(after.value / before.value - 1), relative)
