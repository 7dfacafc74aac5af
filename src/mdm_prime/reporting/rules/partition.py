"""Rules about partition generative models, and about training on both halves of a mask."""

from __future__ import annotations

from typing import NamedTuple

from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.rules.text import Judged, OnEveryCorpus, label
from mdm_prime.reporting.text_models import BOUND
from mdm_prime.reporting.verdicts import NOT_TESTABLE, Finding, all_below, separation

BOTH_HALVES, PLAIN = "complement", "joint_loss"  # objectives
EQUAL = ("num_subtokens", "carry_over", "permuted")


class Trained(NamedTuple):
    """Networks of a kind: what tables call the model, for one sub-token, and what it was trained on."""

    model: str
    objective: str

    def has(self, row: Row) -> bool:
        return row["model"] in (self.model, f"{self.model}-Prime") and row["objective"] == self.objective


MDM, MDM_BOTH, PGM = Trained("MDM", PLAIN), Trained("MDM", BOTH_HALVES), Trained("PGM", BOTH_HALVES)


def _as_long(one: Row, other: Row, passes: int) -> bool:
    """Whether the second was trained on as many tokens, or on more and at most `passes` times as many."""
    tokens, others = one["train_tokens"], other["train_tokens"]
    return bool(others == tokens if passes == 1 else tokens < others <= passes * tokens)


def bound_is_lower(first: Trained, second: Trained, passes: int = 1) -> OnEveryCorpus:
    """The valid bound of networks of one kind is lower than that of another, at equal training, for every l.

    With `passes` of the first over each sequence and one of the second: at as many passes, more tokens of the second.
    """

    def rule(means: list[Row]) -> Judged:
        found: dict[object, tuple[Row, Row]] = {}  # of several that are alike in this the first: the plain one
        for one in filter(first.has, means):
            for other in filter(second.has, means):
                if all(one.get(key) == other.get(key) for key in EQUAL) and _as_long(one, other, passes):
                    found.setdefault(one["num_subtokens"], (one, other))
        pairs = list(found.values())
        if not pairs:
            return Finding("none: no networks of both kinds at equal training", NOT_TESTABLE), []
        verdict = all_below(separation(estimate(one, BOUND), estimate(other, BOUND)) for one, other in pairs)
        text = ", ".join(
            f"{estimate(one, BOUND).text(1)} against {estimate(other, BOUND).text(1)} ({label(one)})"
            for one, other in pairs
        )
        return Finding(text, *verdict), [row for pair in pairs for row in pair]

    return OnEveryCorpus(rule)
