"""The claims on the README's first screen are those of the reference run."""

from pathlib import Path

import pytest

from mdm_prime.errors import UserError
from mdm_prime.reporting import readme
from mdm_prime.reporting.claim import claims
from mdm_prime.reporting.records import read_table
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED, WITHDRAWN
from project_copy import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE = PROJECT / "results" / "reference"


def test_the_readme_has_the_claims_of_the_reference_run() -> None:
    """To mend it: `readme.update(Path("README.md"), Path("results/reference"))`."""
    assert readme.with_claims(README, REFERENCE) == README


def test_the_headline_claims_with_verdicts_and_a_link() -> None:
    block = README.partition(readme.BEGIN)[2].partition(readme.END)[0]
    rows = [line for line in block.splitlines() if line.startswith("|")][2:]
    headline = {claim.claim for claim in claims() if claim.headline}
    assert len(rows) == len(headline & {row["claim"] for row in read_table(REFERENCE, "claims")}) >= 7
    verdicts = {row.rsplit("**", 2)[1] for row in rows}
    assert {"reproduced", "refuted"} <= verdicts <= {REPRODUCED, REFUTED, NOT_TESTABLE, WITHDRAWN}
    assert "(results/reference/tables/claims.md)" in block


def test_a_changed_verdict_is_written(tmp_path: Path) -> None:
    readme_file = tmp_path / "README.md"
    readme_file.write_text(README.replace("**refuted**", "**nobody knows**"), encoding="utf-8")
    assert readme_file.read_text(encoding="utf-8") != README
    readme.update(readme_file, REFERENCE)
    assert readme_file.read_text(encoding="utf-8") == README


def test_without_its_place_nothing_is_written() -> None:
    with pytest.raises(UserError, match=r"README\.md: needs one line"):
        readme.with_claims("# Another", REFERENCE)
