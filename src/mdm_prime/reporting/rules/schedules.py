"""Rules about schedules, on the table schedules."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.rules.learnt import if_learnt
from mdm_prime.reporting.text_models import BOUND, UNIGRAM
from mdm_prime.reporting.text_models import TABLE as TEXTS
from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    Decision,
    Estimate,
    Finding,
    Tables,
    agrees,
    all_below,
    rows,
    separation,
)

EVIDENCE = "schedules"
LEARNT = "learnt"
PRECISE = 0.02  # share of the value: a wider agreement says nothing
EQUAL = ("task", "num_subtokens", "time", "train_tokens")  # of two rows that are compared

Judge = Callable[[list[Row]], tuple[Finding, list[Row]]]  # what the numbers say, and the rows that it rests on


def learnt_is_lower(masks: int) -> Callable[[Tables], Finding]:
    """A learnt schedule has a lower bound than the linear one with so many masks a step, at as many tokens."""

    def judge(found: list[Row]) -> tuple[Finding, list[Row]]:
        pairs = [
            (learnt, chosen)
            for learnt in found
            for chosen in found
            if (learnt["schedule"], chosen["schedule"], chosen["masks"]) == (LEARNT, "linear", masks)
            and chosen["objective"] == _objective(chosen)
            and all(learnt[key] == chosen[key] for key in EQUAL)
        ]
        if not pairs:
            return Finding("none: no two such networks of equal training", NOT_TESTABLE), []
        verdict = all_below(separation(estimate(first, BOUND), estimate(other, BOUND)) for first, other in pairs)
        return Finding(_listed(pairs), *verdict), [row for pair in pairs for row in pair]

    return _judged(judge)


def same_for_every_schedule() -> Callable[[Tables], Finding]:
    """Networks that ignore the time reach the same bound with every chosen schedule."""

    def judge(found: list[Row]) -> tuple[Finding, list[Row]]:
        blind = [
            row
            for row in found
            if (row["time"], row["masks"], row["num_subtokens"]) == ("no", 1, 1)
            and row["schedule"] != LEARNT
            and row["objective"] == _objective(row)
        ]
        pairs = [(first, other) for first, other in combinations(blind, 2) if _other_schedule(first, other)]
        if not pairs:
            return Finding("none: no two schedules", NOT_TESTABLE), []
        verdict = min((_same(*pair) for pair in pairs), key=_order)
        compared = [row for row in blind if any(row in pair for pair in pairs)]
        text = ", ".join(f"{estimate(row, BOUND).text(2)} ({row['schedule']})" for row in compared)
        return Finding(text, *verdict), compared

    return _judged(judge)


def lower_at_equal_passes(masks: int, learnt: bool) -> Callable[[Tables], Finding]:
    """So many masks of each sequence in a step have a lower bound than one mask of up to so many times the sequences.

    The number of passes through the network decides about the work; of several networks with one mask the one that was
    trained longest stands for them.
    """

    def judge(found: list[Row]) -> tuple[Finding, list[Row]]:
        several = [row for row in found if row["masks"] == masks and (row["schedule"] == LEARNT) == learnt]
        pairs = [
            (row, max(longer, key=lambda other: int(other["train_tokens"])))
            for row in several
            if (
                longer := [
                    other
                    for other in found
                    if (other["masks"], other["schedule"]) == (1, "linear")
                    and other["num_subtokens"] == row["num_subtokens"]
                    and row["train_tokens"] < other["train_tokens"] <= masks * row["train_tokens"]
                ]
            )
        ]
        if not pairs:
            return Finding("none: no two such networks with as many passes", NOT_TESTABLE), []
        verdict = all_below(separation(estimate(first, BOUND), estimate(other, BOUND)) for first, other in pairs)
        return Finding(_listed(pairs), *verdict), [row for pair in pairs for row in pair]

    return _judged(judge)


def _listed(pairs: list[tuple[Row, Row]]) -> str:
    return ", ".join(
        f"{estimate(first, BOUND).text(2)} against {estimate(other, BOUND).text(2)} (l={first['num_subtokens']})"
        for first, other in pairs
    )


def _other_schedule(first: Row, other: Row) -> bool:
    return bool(first["schedule"] != other["schedule"] and first["train_tokens"] == other["train_tokens"])


def _objective(row: Row) -> str:
    """What is compared: for one sub-token the published loss is the bound."""
    one = row["num_subtokens"] == 1 and row["objective"] in ("joint_loss", "nelbo")
    return str(row["objective"]) if one else "nelbo"


def _same(first: Row, other: Row) -> Decision:
    one, two = estimate(first, BOUND), estimate(other, BOUND)
    difference = Estimate(one.value, (one.uncertainty**2 + two.uncertainty**2) ** 0.5)
    return agrees(difference, two.value, PRECISE)


def _order(decision: Decision) -> int:
    """A difference decides before what cannot be told, and that before agreement."""
    return ["refuted", NOT_TESTABLE, "reproduced"].index(decision.verdict)


def _judged(judge: Judge) -> Callable[[Tables], Finding]:
    """On the first task that there is; networks that have learnt too little decide nothing."""

    def rule(tables: Tables) -> Finding:
        every = rows(tables, EVIDENCE)
        found = [row for row in every if row["task"] == every[0]["task"]]
        finding, networks = judge(found)
        values = {str(row["variant"]): estimate(row, BOUND) for row in networks}
        task = found[0]["task"] if found else ""
        return if_learnt(finding, values, rows(tables, TEXTS, model=UNIGRAM, task=task), BOUND)

    return rule
