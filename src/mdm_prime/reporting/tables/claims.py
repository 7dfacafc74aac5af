"""The claims as a table, made from the other tables' csv files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting.claims import evaluate
from mdm_prime.reporting.claims.claim import NOT_TESTABLE, REFUTED, REPRODUCED, WITHDRAWN
from mdm_prime.reporting.records import read_table
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

COLUMNS = (
    Column("claim", "what is claimed, in our words", heading="Claim", align="p{4.2cm}"),
    Column("where", "in the paper or the errata", heading="Where", align="p{1.6cm}"),
    Column("published_value", "the paper's value", heading="Published", align="p{2.4cm}"),
    Column("corrected_value", "the authors' corrected value (errata); empty where nothing was corrected",
           heading="Corrected", align="p{2.4cm}"),
    Column("our_value", "from the evidence; after ±, its standard error and spread over seeds added in quadrature",
           heading="Ours", align="p{3.6cm}"),
    Column("scale", "params file that our value comes from"),
    Column("verdict", f"{REPRODUCED}, {REFUTED}, {NOT_TESTABLE} or {WITHDRAWN}", heading="Verdict", align="p{1.8cm}"),
    Column("evidence", "file below the results folder that our value is read from"),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    tables = {name: read_table(results, name) for name in layout.TABLES if name != "claims"}
    rows = [{**asdict(claim), "scale": config.scale} for claim in evaluate(tables)]
    return Table(
        name="claims",
        title="What was reproduced and what was refuted",
        caption="Claims of MDM-Prime (arXiv 2505.18495) and of its errata, against our tables.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "claims")),
        notes=(
            "A difference between models counts only where it exceeds twice its uncertainty: the standard errors and "
            "the spreads over seeds of both sides, added in quadrature. With one seed the spread is unknown.",
            f"'{NOT_TESTABLE}' stands where the data are missing or the numbers do not decide.",
            f"'{WITHDRAWN}' stands where our tables do not decide and the errata take the published numbers back.",
            "A verdict on text holds for our corpus and scale: it says whether the claim holds there, and does not "
            "measure the paper's own models again.",
            "Verdicts are computed from the evidence files each time the table is made.",
        ),
    )
