"""The tables and claims of README and of the page of systems are those of the reference runs."""

from pathlib import Path

import pytest

from mdm_prime.errors import UserError
from mdm_prime.reporting import pages
from mdm_prime.reporting.claim import claims
from mdm_prime.reporting.records import read_table
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.text_models import EXACT, best_column, masked
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED, WITHDRAWN, separation
from project_copy import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE = PROJECT / "results" / "reference"


FIRST, _ = pages.PAGES
BLOCKS = [(page, name) for page in pages.PAGES for name in page.blocks]


def block(name: str) -> str:
    begin, end = pages.BEGIN.format(name, FIRST.reference), pages.END.format(name)
    return README.partition(begin)[2].partition(end)[0]


def rows_of(name: str) -> list[list[str]]:
    """The cells of each row."""
    lines = [line for line in block(name).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.path.name)
def test_a_page_has_what_its_reference_run_found(page: pages.Page) -> None:
    """To mend it: `pages.update(Path("results/reference"))`, or `make reference`."""
    text = (PROJECT / page.path).read_text(encoding="utf-8")
    assert pages.with_results(page, text, PROJECT / page.reference) == text


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
        "MDM-Prime with four and nine sub-tokens gives this text less probability than MDM (with two the difference"
        in said
    )
    assert "and the published loss of each lies far below its own perplexity" in said
    rows = [row for row in read_table(REFERENCE, "text_perplexity") if row["task"] == "text" and row["seed"] == "mean"]
    best = {row["num_subtokens"]: estimate(row, best_column(row, EXACT)) for row in masked(rows)}
    apart = {ell: separation(best[1], value) for ell, value in best.items() if ell > 1}
    assert {ell: value > 2 for ell, value in apart.items()} == {2: False, 4: True, 9: True}
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


def test_a_changed_verdict_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(PROJECT / "results")
    readme = tmp_path / "README.md"
    readme.write_text(README.replace("**refuted**", "**nobody knows**"), encoding="utf-8")
    assert readme.read_text(encoding="utf-8") != README
    pages.update(FIRST.reference)  # the other page is not there, and not of this run
    assert readme.read_text(encoding="utf-8") == README


@pytest.mark.parametrize(("page", "name"), BLOCKS, ids=lambda value: getattr(value, "path", value))
def test_without_its_place_nothing_is_written(page: pages.Page, name: str) -> None:
    text = (PROJECT / page.path).read_text(encoding="utf-8")
    without = text.replace(pages.BEGIN.format(name, page.reference), "")
    with pytest.raises(UserError, match=rf"{page.path}: needs one line '<!-- {name}:"):
        pages.with_results(page, without, PROJECT / page.reference)
