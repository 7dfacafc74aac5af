"""The tables and claims on the README's first screen are those of the reference run."""

from pathlib import Path

import pytest

from mdm_prime.errors import UserError
from mdm_prime.reporting import readme
from mdm_prime.reporting.claim import claims
from mdm_prime.reporting.records import read_table
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.text_models import EXACT, best_column, masked
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED, WITHDRAWN, separation
from project_copy import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE = PROJECT / "results" / "reference"


def block(name: str) -> str:
    return README.partition(readme.BEGIN.format(name))[2].partition(readme.END.format(name))[0]


def rows_of(name: str) -> list[list[str]]:
    """The cells of each row."""
    lines = [line for line in block(name).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_readme_has_what_the_reference_run_found() -> None:
    """To mend it: `readme.update(Path("README.md"), Path("results/reference"))`, or `make reference`."""
    assert readme.with_results(README, REFERENCE) == README


def test_the_headline_claims_with_verdicts_and_a_link() -> None:
    rows = rows_of("claims")
    headline = {claim.claim for claim in claims() if claim.headline}
    assert len(rows) == len(headline & {row["claim"] for row in read_table(REFERENCE, "claims")}) >= 7
    verdicts = {row[-1].strip("*") for row in rows}
    assert {"reproduced", "refuted"} <= verdicts <= {REPRODUCED, REFUTED, NOT_TESTABLE, WITHDRAWN}
    assert "(results/reference/tables/claims.md)" in block("claims")
    refuted = sum(row["verdict"] == REFUTED for row in read_table(REFERENCE, "claims"))
    assert f"{refuted} {REFUTED}" in block("claims")


def test_the_published_loss_stands_beside_the_valid_bound_and_what_counting_gives() -> None:
    rows = {row[0]: row for row in rows_of("text")}
    bound, published = rows["MDM-Prime"][4], rows["MDM-Prime"][6]
    assert float(published.partition(" ")[0]) < float(bound.partition(" ")[0])
    assert "unigram" in rows
    assert {"real test images", "independent pixels"} <= {row[0] for row in rows_of("digits")}


def test_what_the_exact_perplexities_show_is_what_the_claims_say() -> None:
    """The sentence below the table of text, with the rule that a difference counts beyond twice its uncertainty."""
    said = " ".join(README.split())
    assert (
        "MDM-Prime with four and six sub-tokens gives this text less probability than MDM (with two the difference"
        in said
    )
    assert "and the published loss of each lies far below its own perplexity" in said
    rows = [row for row in read_table(REFERENCE, "text_perplexity") if row["task"] == "text" and row["seed"] == "mean"]
    best = {row["num_subtokens"]: estimate(row, best_column(row, EXACT)) for row in masked(rows)}
    apart = {ell: separation(best[1], value) for ell, value in best.items() if ell > 1}
    assert {ell: value > 2 for ell, value in apart.items()} == {2: False, 4: True, 6: True}
    verdicts = {row["claim"]: row["verdict"] for row in read_table(REFERENCE, "claims")}
    assert verdicts["The exact perplexity in the best order is lower than MDM's for every l above 1"] == REFUTED
    below = "For l above 1 the published loss of a network is no lower than its exact perplexity in its best order"
    assert verdicts[below] == REFUTED


def test_several_seeds_are_shown_as_their_mean() -> None:
    quality = [
        row for row in read_table(REFERENCE, "image_quality") if (row["task"], row["variant"]) == ("digits", "l1")
    ]
    first = next(row["sampler"] for row in quality)
    distances = [row["distance"] for row in quality if row["sampler"] == first]
    (row,) = (row for row in rows_of("digits") if row[0] == "MDM")
    assert len(distances) > 1
    assert row[2] == f"{sum(distances) / len(distances):.2f}"


def test_a_changed_verdict_is_written(tmp_path: Path) -> None:
    readme_file = tmp_path / "README.md"
    readme_file.write_text(README.replace("**refuted**", "**nobody knows**"), encoding="utf-8")
    assert readme_file.read_text(encoding="utf-8") != README
    readme.update(readme_file, REFERENCE)
    assert readme_file.read_text(encoding="utf-8") == README


@pytest.mark.parametrize("name", readme.BLOCKS)
def test_without_its_place_nothing_is_written(name: str) -> None:
    without = README.replace(readme.BEGIN.format(name), "")
    with pytest.raises(UserError, match=rf"README\.md: needs one line '<!-- {name}:"):
        readme.with_results(without, REFERENCE)
