"""The claims on the README's first screen are those of the reference run."""

import pytest

from mdm_prime.errors import UserError
from mdm_prime.reporting import readme
from project_copy import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE = PROJECT / "results" / "reference"


def test_the_readme_has_the_claims_of_the_reference_run() -> None:
    """To mend it: `readme.update(Path("README.md"), Path("results/reference"))`."""
    assert readme.with_claims(README, REFERENCE) == README


def test_eight_claims_of_every_verdict_but_one_and_a_link() -> None:
    block = README.partition(readme.BEGIN)[2].partition(readme.END)[0]
    rows = [line for line in block.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 8
    assert {row.rsplit("**", 2)[1] for row in rows} == {"reproduced", "refuted", "withdrawn by the authors"}
    assert "(results/reference/tables/claims.md)" in block


def test_a_changed_number_is_written(tmp_path) -> None:
    readme_file = tmp_path / "README.md"
    readme_file.write_text(README.replace("373.9 ± 6.1 (l=4) against 61.8", "1.0 (l=4) against 61.8"), encoding="utf-8")
    readme.update(readme_file, REFERENCE)
    assert readme_file.read_text(encoding="utf-8") == README


def test_without_its_place_nothing_is_written() -> None:
    with pytest.raises(UserError, match=r"README\.md: needs one line"):
        readme.with_claims("# Another", REFERENCE)
