"""Claims of partition generative models follow the numbers, at equal training only."""

import pytest

from mdm_prime.reporting.claims.partition import CLAIMS
from mdm_prime.reporting.rules.partition import MDM, MDM_BOTH, PGM, bound_is_lower
from mdm_prime.reporting.text_models import TABLE
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED


def row(model, objective, bound, **cells):
    return {
        "task": "text", "seed": "mean", "variant": f"{model}-{objective}", "model": model, "objective": objective,
        "num_subtokens": 1, "carry_over": "yes", "permuted": "no", "train_tokens": 1000, "exact": "no",
        "ppl_bound": bound, "ppl_bound_stderr": 0.1, "ppl_bound_spread": 0.1, **cells,
    }  # fmt: skip


UNIGRAM = {"task": "text", "seed": None, "model": "unigram", "ppl_bound": 100.0}


def verdict(rule, *rows):
    return rule({TABLE: [UNIGRAM, *rows]}).verdict


@pytest.mark.parametrize(("bound", "expected"), [(20.0, REPRODUCED), (25.0, REFUTED), (22.1, NOT_TESTABLE)])
def test_verdict_follows_the_bounds(bound, expected):
    mdm, pgm = row("MDM", "joint_loss", 22.0), row("PGM", "complement", bound)
    assert verdict(bound_is_lower(PGM, MDM), mdm, pgm) == expected
    both = row("MDM", "complement", bound)
    assert verdict(bound_is_lower(MDM_BOTH, MDM), mdm, both) == expected
    assert verdict(bound_is_lower(MDM_BOTH, PGM), row("PGM", "complement", 22.0), both) == expected


def test_only_networks_at_equal_training_are_compared():
    mdm = row("MDM", "joint_loss", 22.0)
    for cells in ({"train_tokens": 2000}, {"num_subtokens": 2}, {"permuted": "yes"}):
        assert verdict(bound_is_lower(PGM, MDM), mdm, row("PGM", "complement", 20.0, **cells)) == NOT_TESTABLE
    assert verdict(bound_is_lower(PGM, MDM), mdm, row("PGM", "joint_loss", 20.0)) == NOT_TESTABLE
    prime = {"num_subtokens": 2}
    found = bound_is_lower(PGM, MDM)(
        {TABLE: [UNIGRAM, row("MDM-Prime", "joint_loss", 22.0, **prime), row("PGM-Prime", "complement", 20.0, **prime)]}
    )
    assert found.verdict == REPRODUCED
    assert found.our_value == "20.0 ± 0.1 against 22.0 ± 0.1 (PGM-Prime, l=2)"


def test_at_equal_passes_the_second_has_seen_more():
    both, rule = row("MDM", "complement", 20.0), bound_is_lower(MDM_BOTH, MDM, passes=2)
    for tokens, expected in ((1000, NOT_TESTABLE), (1900, REFUTED), (2000, REFUTED), (2001, NOT_TESTABLE)):
        assert verdict(rule, row("MDM", "joint_loss", 18.0, train_tokens=tokens), both) == expected
    assert verdict(rule, row("MDM", "joint_loss", 22.0, train_tokens=1900), both) == REPRODUCED


def test_what_the_paper_says():
    values = [claim.published_value for claim in CLAIMS]
    assert values[0] == "26.80 against 27.67 (LM1B), 26.96 against 25.35 (OpenWebText)"
    assert values[1] == "25.72 against 27.67 (LM1B), 25.32 against 25.35 (OpenWebText)"
    assert values[4] == "5,586 against 1,043 tokens a second"
