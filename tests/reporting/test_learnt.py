"""Claims are judged by networks that have learnt more than counting gives, and no others."""

from __future__ import annotations

import pytest
from synthetic_results import COUNTED_PPL, Tree

from mdm_prime.reporting.claim import Claim, claims
from mdm_prime.reporting.records import Row, read_table
from mdm_prime.reporting.rules import learnt, text
from mdm_prime.reporting.rules.images import FallsWithEvaluations
from mdm_prime.reporting.rules.learnt import if_learnt
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED, Estimate, Finding

UNIGRAM: list[Row] = [{"model": "unigram", "ppl_bound": 400.0}]  # a network must reach 300
GOOD = Finding("1 against 2", REPRODUCED, 5.0)


def gated(*values: Estimate, finding: Finding = GOOD, baselines: list[Row] = UNIGRAM) -> Finding:
    networks = {f"l{number}": value for number, value in enumerate(values, 1)}
    return if_learnt(finding, networks, baselines, "ppl_bound")


def test_the_margin_by_hand() -> None:
    assert learnt.MARGIN == 0.25
    assert gated(Estimate(200.0, 3.0, 4.0)) == GOOD  # 20 uncertainties below 300
    assert gated(Estimate(290.0, 3.0, 4.0)) == Finding("1 against 2", REPRODUCED, 4.0)  # 2 below, where it ends at 2
    assert gated(Estimate(300.0, 3.0, 4.0)).verdict == REPRODUCED
    short = gated(Estimate(200.0), Estimate(350.0, 3.0, 4.0))
    assert short == Finding("1 against 2; not 25 % below unigram (400.0): l2 350.0", NOT_TESTABLE, 12.0)


def test_one_seed_is_judged_by_its_standard_error_and_exact_values_have_no_margin() -> None:
    one = Estimate(350.0, 5.0, float("nan"))
    assert gated(one).margin == 12.0
    assert gated(Estimate(200.0), finding=Finding("x", REFUTED)).margin is None
    assert gated(Estimate(350.0)) == Finding(
        "1 against 2; not 25 % below unigram (400.0): l1 350.0", NOT_TESTABLE, None
    )


def test_without_a_baseline_nothing_is_decided() -> None:
    found = gated(Estimate(1.0), baselines=[])
    assert (found.verdict, found.our_value) == (NOT_TESTABLE, "1 against 2; no trivial baseline beside them")
    assert if_learnt(GOOD, {}, [], "ppl_bound") == GOOD  # nothing trained takes part


@pytest.fixture(scope="module")
def tables(finished: Tree) -> dict[str, list[Row]]:
    return {name: read_table(finished.root, name) for name in ("text_perplexity", "image_quality")}


def compares_trained_networks(claim: Claim, tables: dict[str, list[Row]]) -> bool:
    finding = claim.rule(tables)
    return finding.verdict in (REPRODUCED, REFUTED) and "parameters" not in claim.claim


def test_no_claim_about_networks_at_the_level_of_counting_is_decided(tables: dict[str, list[Row]]) -> None:
    """Those that these two tables decide, once with a unigram model and independent pixels as good as the networks."""
    decided = [claim for claim in claims() if compares_trained_networks(claim, tables)]
    assert len(decided) >= 8
    rows = [row | {"ppl_bound": 400.0} if row["model"] == "unigram" else row for row in tables["text_perplexity"]]
    images = [
        row | {"distance": 5.0} if row["model"] == "independent pixels" else row for row in tables["image_quality"]
    ]
    poor = {"text_perplexity": rows, "image_quality": images}
    for claim in decided:
        finding = claim.rule(poor)
        assert finding.verdict == NOT_TESTABLE, claim.claim
        assert "not 25 % below" in finding.our_value, claim.claim


def test_the_best_valid_number_counts_not_the_bound(tables: dict[str, list[Row]]) -> None:
    """A network whose bound is above the line but whose exact value is below it has learnt enough."""
    line = 0.75 * COUNTED_PPL["unigram"]
    bound = {row["variant"]: row["ppl_bound"] for row in tables["text_perplexity"] if row["seed"] == "mean"}
    rows = [
        row | {"ppl_bound": 1.1 * line, "ppl_exact_lowest_entropy": bound[row["variant"]]}
        if row["model"] in ("MDM", "MDM-Prime") and row["seed"] == "mean"
        else row
        for row in tables["text_perplexity"]
    ]
    assert text.lower_than_whole_tokens(text.LOSS)({"text_perplexity": rows}).verdict == REPRODUCED
    without = [row | {"ppl_exact_lowest_entropy": None, "ppl_exact_left_to_right": None, "ppl_bound_tokens": None}
               for row in rows]  # fmt: skip
    assert text.lower_than_whole_tokens(text.LOSS)({"text_perplexity": without}).verdict == NOT_TESTABLE


def test_photographs_that_nothing_was_learnt_of_leave_the_digits_to_decide(tables: dict[str, list[Row]]) -> None:
    rows = [
        row | {"distance": 0.1} if (row["task"], row["model"]) == ("photos", "independent pixels") else row
        for row in tables["image_quality"]
    ]
    found = FallsWithEvaluations()({"image_quality": rows})
    assert found.verdict == REPRODUCED
    assert "not 25 % below independent pixels (0.1)" in found.our_value
