"""Rules about models with an energy, on the tables hybrids and hybrid_samplers."""

from __future__ import annotations

from dataclasses import dataclass

from mdm_prime.reporting.below_entropy import ROUNDING
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.verdicts import (
    DECIDING,
    NOT_TESTABLE,
    NOTHING,
    REFUTED,
    REPRODUCED,
    Decision,
    Finding,
    Tables,
    both,
    holds,
    rows,
)

EVIDENCE, SAMPLERS = "hybrids", "hybrid_samplers"
ALONE = "denoiser"  # in the column `chosen`: no candidates
AGREEMENT = 4.0  # standard errors within which a Monte Carlo value counts as the exact one
EQUAL = 1e-5  # nats: networks compute in float32
PRECISE = 0.01  # share of the value: a wider agreement says nothing


@dataclass(frozen=True)
class EqualToAutoregressive:
    """A model's estimate is the exact likelihood of its autoregressive model.

    Where sequences are enumerated both are exact: the expected estimate, and the true value of one step, which is the
    autoregressive model's. Elsewhere they are compared on the same sequences, within AGREEMENT standard errors.
    """

    model: str

    def __call__(self, tables: Tables) -> Finding:
        found = rows(tables, EVIDENCE, model=self.model)
        decisions = [_equal(row) for row in found]
        if not decisions:
            return NOTHING
        worst = decisions[0]
        for decision in decisions[1:]:
            worst = both(worst, decision)
        return Finding("; ".join(map(_compared, found)), *worst)


def _compared(row: Row) -> str:
    """The two values that decide: exact ones where there are."""
    if row["entropy"] is not None:
        return f"{row['expected_published']:.4f} and {row['one_step']:.4f} nats, both exact ({row['task']})"
    return (
        f"{row['published']:.4f} against {row['autoregressive']:.4f} nats, difference {row['difference']:.5f} ± "
        f"{row['difference_stderr']:.5f} ({row['task']}, seed {row['seed']})"
    )


def _equal(row: Row) -> Decision:
    if row["entropy"] is not None:
        return holds([abs(row["expected_published"] - row["one_step"]) <= EQUAL])
    apart = abs(row["difference"]) / row["difference_stderr"]
    if apart > AGREEMENT:
        return Decision(REFUTED, apart - AGREEMENT + DECIDING)
    if row["difference_stderr"] > PRECISE * row["autoregressive"]:
        return Decision(NOT_TESTABLE, 0.0)
    return Decision(REPRODUCED, AGREEMENT - apart + DECIDING)


@dataclass(frozen=True)
class BoundOnItsSamples:
    """A model's estimate is not below the true value of its samples in many steps: one value below refutes.

    Both are exact expectations over the source, so no uncertainty enters; values above prove nothing.
    """

    model: str
    estimate: str = "expected_published"

    def __call__(self, tables: Tables) -> Finding:
        found = [row for row in rows(tables, EVIDENCE, model=self.model) if row["many_steps"] is not None]
        if not found:
            return NOTHING
        lowest = min(found, key=lambda row: float(row[self.estimate] - row["many_steps"]))
        value, true = lowest[self.estimate], lowest["many_steps"]
        text = f"{value:.4f} nats per token, true value {true:.4f}, entropy {lowest['entropy']:.4f}"
        return Finding(text, REFUTED if value < true - ROUNDING else NOT_TESTABLE)


@dataclass(frozen=True)
class BetterThanAlone:
    """At no more network evaluations, samples with an energy are nearer to the source than the denoiser's own.

    Of every row with finitely many candidates: in all cases, in none, or it depends. With `steps` it is the denoiser in
    as many steps, and only numbers of steps up to that count.
    """

    model: str
    steps: int | None = None

    def __call__(self, tables: Tables) -> Finding:
        of_model = rows(tables, SAMPLERS, model=self.model)
        found = [row for row in of_model if row["alone_divergence"] is not None]
        if self.steps is not None:
            few = [row for row in found if isinstance(row["num_steps"], int) and row["num_steps"] <= self.steps]
            found = [row | {"alone_divergence": _in_as_many_steps(row, of_model)} for row in few]
        if not found:
            return NOTHING
        better = [row for row in found if row["divergence"] < row["alone_divergence"] - ROUNDING]
        gain = max(found, key=lambda row: float(row["alone_divergence"] - row["divergence"]))
        text = (
            f"nearer in {len(better)} of {len(found)} cases; at best KL {gain['divergence']:.4f} against "
            f"{gain['alone_divergence']:.4f} nats per token with {gain['evaluations']:.1f} evaluations"
        )
        if 0 < len(better) < len(found):
            return Finding(text, NOT_TESTABLE)
        return Finding(text, REPRODUCED if better else REFUTED)


def _in_as_many_steps(row: Row, of_model: list[Row]) -> float:
    """The divergence of the same run's denoiser by itself."""
    same = {key: row[key] for key in ("task", "variant", "seed", "num_steps")} | {"chosen": ALONE}
    return next(float(other["divergence"]) for other in of_model if same.items() <= other.items())
