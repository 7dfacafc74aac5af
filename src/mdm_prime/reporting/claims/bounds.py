"""Claims about what the two objectives are: the published loss, and the valid bound."""

from __future__ import annotations

from mdm_prime.reporting.below_entropy import ROUNDING, is_below
from mdm_prime.reporting.claims.claim import (
    NOT_TESTABLE,
    REFUTED,
    REPRODUCED,
    Claim,
    Estimate,
    Tables,
    Verdict,
    compare,
    evidence,
    rows,
)
from mdm_prime.reporting.records import Row

EVIDENCE = evidence("bound_validity")
AGREEMENT = 4.0  # standard errors within which an oracle's Monte Carlo value counts as the entropy
PRECISE = 0.01  # share of the value: a wider agreement says nothing


def one_subtoken_oracle(tables: Tables) -> Claim:
    return _one_subtoken(rows(tables, "bound_validity", num_subtokens=1), "oracle", "at the exact posterior")


def one_subtoken_trained(tables: Tables) -> Claim:
    # Without carry-over the published loss also counts tokens that are already visible.
    with_carry_over = rows(tables, "bound_validity", num_subtokens=1, carry_over="yes")
    return _one_subtoken(with_carry_over, "trained", "for trained networks")


def published_loss_oracle(tables: Tables) -> Claim:
    return _published_loss(tables, "known_entropy", "oracle", "even at the exact posterior of a Markov source")


def published_loss_bit_copies(tables: Tables) -> Claim:
    return _published_loss(tables, "copies of one bit", "oracle", "for one token made of copies of a fair bit")


def published_loss_trained(tables: Tables) -> Claim:
    return _published_loss(tables, "known_entropy", "trained", "for networks trained on a Markov source")


def published_loss_toy(tables: Tables) -> Claim:
    return _published_loss(tables, "toy", "trained", "for networks trained on the 2-D toy")


def valid_bound(tables: Tables) -> Claim:
    """No trained value below the entropy, and every oracle value equal to it."""
    checks: list[bool] = []
    gaps: list[float] = []
    for row in rows(tables, "bound_validity"):
        if row["oracle_nelbo"] is not None:
            allowed = max(AGREEMENT * row["oracle_nelbo_stderr"], ROUNDING)
            checks.append(abs(row["oracle_nelbo"] - row["entropy"]) <= allowed)
        if row["trained_nelbo"] is not None:
            checks.append(not is_below(row["trained_nelbo"], row["trained_nelbo_stderr"], row["entropy"]))
            gaps.append(row["trained_nelbo"] - row["entropy"])
    ours = f"{sum(checks)} of {len(checks)} values as claimed" if checks else "none"
    if gaps:
        ours += f"; smallest gap of a trained network {min(gaps):.4f} nats"
    return Claim(
        claim="The bound with one term for each masked sub-token is valid: it equals the entropy at the exact "
        "posterior and is never below it",
        where="errata note",
        published_value="",
        corrected_value="valid for every l",
        our_value=ours,
        verdict=(REPRODUCED if all(checks) else REFUTED) if checks else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def _published_loss(tables: Tables, source: str, who: str, wording: str) -> Claim:
    """One value below the entropy refutes; values above it prove nothing."""
    found = [
        row
        for row in rows(tables, "bound_validity", source=source)
        if row["num_subtokens"] > 1 and row[f"{who}_joint_loss"] is not None
    ]
    verdict, ours = NOT_TESTABLE, "none"
    if found:
        lowest = min(found, key=lambda row: float(row[f"{who}_joint_loss"] - row["entropy"]))
        value = Estimate(lowest[f"{who}_joint_loss"], lowest[f"{who}_joint_loss_stderr"])
        ours = f"{value.text(4)} nats per token (l={lowest['num_subtokens']}), entropy {lowest['entropy']:.4f}"
        if any(row[f"{who}_joint_loss_below_entropy"] == "yes" for row in found):
            verdict = REFUTED
    return Claim(
        claim=f"For l above 1 the published loss is an upper bound on the negative log-likelihood: {wording}",
        where="Tables 1, 2",
        published_value="reported as a bound",
        corrected_value="not a bound",
        our_value=ours,
        verdict=verdict,
        evidence=EVIDENCE,
    )


def _one_subtoken(found: list[Row], who: str, wording: str) -> Claim:
    pairs = [
        [Estimate(row[f"{who}_{name}"], row[f"{who}_{name}_stderr"]) for name in ("joint_loss", "nelbo")]
        for row in found
        if row[f"{who}_joint_loss"] is not None
    ]
    verdicts = [_agree(loss, bound) for loss, bound in pairs]
    largest = max((abs(loss.value - bound.value) for loss, bound in pairs), default=0.0)
    return Claim(
        claim=f"With one sub-token per token the published loss is the valid bound: {wording}",
        where="errata note",
        published_value="equal",
        corrected_value="equal",
        our_value=f"{len(pairs)} pairs, largest difference {largest:.6f} nats" if pairs else "none",
        verdict=_weakest(verdicts),
        evidence=EVIDENCE,
    )


def _agree(first: Estimate, second: Estimate) -> Verdict:
    if abs(first.value - second.value) <= ROUNDING:
        return REPRODUCED
    if compare(first, second) != "undecided":
        return REFUTED
    return REPRODUCED if max(first.stderr, second.stderr) <= PRECISE * second.value else NOT_TESTABLE


def _weakest(verdicts: list[Verdict]) -> Verdict:
    """Refuted if any is; reproduced if there are any and all are."""
    if REFUTED in verdicts:
        return REFUTED
    return NOT_TESTABLE if not verdicts or NOT_TESTABLE in verdicts else REPRODUCED
