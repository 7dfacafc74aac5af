"""The claims on the README's first screen: those that declare it, as results/reference has them."""

from __future__ import annotations

import re
from pathlib import Path

from mdm_prime.errors import UserError
from mdm_prime.files import write_text
from mdm_prime.reporting.claim import claims
from mdm_prime.reporting.records import Row, read_table

BEGIN, END = "<!-- claims: from results/reference/tables/claims.csv -->", "<!-- end of claims -->"
ALL = (
    "All {number} claims and their evidence: [results/reference/tables/claims.md](results/reference/tables/claims.md)."
)
COLUMNS = {
    "claim": "claim",
    "where": "where",
    "published_value": "published",
    "corrected_value": "corrected",
    "our_value": "ours",
    "verdict": "verdict",
}


def with_claims(readme: str, reference: Path) -> str:
    """The text with the table between BEGIN and END made anew. Raises UserError without these two lines."""
    begin, end = re.escape(BEGIN), re.escape(END)
    rows = read_table(reference, "claims")
    block = f"{BEGIN}\n{claims_table(rows)}\n{ALL.format(number=len(rows))}\n{END}"
    made, times = re.subn(f"{begin}\n.*?{end}", lambda _: block, readme, flags=re.DOTALL)
    if times != 1:
        raise UserError(f"README.md: needs one line {BEGIN!r} and, below it, one {END!r}")
    return made


def claims_table(rows: list[Row]) -> str:
    """The headline claims as a Markdown table."""
    chosen = {claim.claim for claim in claims() if claim.headline}
    lines = [COLUMNS.values(), ["---"] * len(COLUMNS)]
    for row in rows:
        if row["claim"] in chosen:
            cells = {name: str(row[name] or "") for name in COLUMNS}
            lines.append([*(cells | {"verdict": f"**{cells['verdict']}**"}).values()])
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def update(readme: Path, reference: Path) -> None:
    """Writes the README with the claims of a reference run."""
    write_text(readme, with_claims(readme.read_text(encoding="utf-8"), reference))
