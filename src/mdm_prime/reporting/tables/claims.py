"""The claims as a table, judged by the other tables' csv files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import declared
from mdm_prime.reporting.columns import Column
from mdm_prime.reporting.declared import CLAIMS_CATEGORY, Content, DeclaredTable
from mdm_prime.reporting.records import read_table
from mdm_prime.reporting.rules.learnt import RULE
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED, WITHDRAWN

NAME = "claims"
COLUMNS = (
    Column("claim", "what is claimed, in our words", heading="Claim", align="p{4.2cm}"),
    Column("where", "in the paper or the errata", heading="Where", align="p{1.6cm}"),
    Column("published_value", "the paper's value", heading="Published", align="p{2.4cm}"),
    Column("corrected_value", "the authors' corrected value (errata); empty where nothing was corrected",
           heading="Corrected", align="p{2.4cm}"),
    Column("our_value", "from the evidence; after ±, its standard error and spread over seeds added in quadrature",
           heading="Ours", align="p{3.6cm}", tolerance=None),  # text made of numbers that are compared in their tables
    Column("scale", "params file that our value comes from"),
    Column("verdict", f"{REPRODUCED}, {REFUTED}, {NOT_TESTABLE} or {WITHDRAWN}", heading="Verdict", align="p{1.8cm}",
           decided_by="margin"),
    Column("evidence", "file below the scale's folder that our value is read from"),
    Column("margin", "by how many of its uncertainties the verdict is decided: it changes where this falls to 2; empty "
           "where no uncertainty enters", 1, tolerance=None),
)  # fmt: skip


def needs(config: Config) -> list[Files]:
    """Every other table that there is."""
    return [
        layout.table_csv(name) for name, table in declared.tables().items() if name != NAME and table.applies(config)
    ]


def build(config: Config, root: Path) -> Content:
    from mdm_prime.reporting.claim import judged, kinds_of  # claims read published numbers when they are imported

    names = [Path(path).stem for files in needs(config) for path in files.paths()]
    found = judged({name: read_table(root, name) for name in names}, kinds_of(config))
    return Content([{**asdict(claim), "scale": config.scale} for claim in found])


TABLE = DeclaredTable(
    label="Table: the claims and what became of them",
    category=CLAIMS_CATEGORY,
    paper="claims of text and tables",
    caption="**Claims of the paper and of its errata note**, with the published value, the value as corrected by the "
    "authors, ours, and a verdict. Verdicts are computed from the other tables each time this one is made. *Not "
    "testable at this scale* stands where data are missing, where the networks have learnt too little, or where the "
    "numbers do not decide.",
    title="What was reproduced and what was refuted",
    summary="Claims of MDM-Prime (arXiv 2505.18495) and of its errata, against our tables.",
    columns=COLUMNS,
    keys=("claim",),
    needs=needs,
    build=build,
    parts=(declared.CLAIMS,),
    notes=(
        "A difference between models counts only where it exceeds twice its uncertainty: the standard errors and "
        "the spreads over seeds of both sides, added in quadrature. With one seed the spread is unknown.",
        RULE,
        f"'{NOT_TESTABLE}' stands where the data are missing, the networks have learnt too little or the numbers do "
        "not decide; where networks have learnt too little our value says which.",
        f"'{WITHDRAWN}' stands where our tables do not decide and the errata take the published numbers back.",
        "A verdict on text holds for our corpus and scale: it says whether the claim holds there, and does not "
        "measure the paper's own models again. Of several corpora those count that decide, and they must agree.",
        "Verdicts are computed from the evidence files each time the table is made.",
    ),
)
