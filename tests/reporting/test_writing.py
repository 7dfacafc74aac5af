from pathlib import Path
from types import SimpleNamespace

import pytest

from mdm_prime.experiment import layout
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import writing
from mdm_prime.reporting.columns import Column
from mdm_prime.reporting.declared import Content, DeclaredTable
from mdm_prime.reporting.table import Table

COLUMNS = (
    Column("name", "a name", heading="Name"),
    Column("value", "a value", 2, heading="Value"),
    Column("value_stderr", "its error", 2),
    Column("count", "a count", heading="$n$"),
)


ROWS = [
    {"name": "a_b|50%", "value": 1.234567890123, "value_stderr": 0.056, "count": 3},
    {"name": "", "value": 2.0, "value_stderr": 0.0, "count": None},
    {"name": "c", "value": float("nan")},
]
SMALL = DeclaredTable(
    label="Table: small",
    category="9 Tests",
    paper="none",
    caption="Small.",
    title="Title",
    summary="Caption_1.",
    columns=COLUMNS,
    keys=("name",),
    needs=lambda _: [Files("a.json")],
    build=lambda *_: Content(ROWS),
    notes=("a note",),
)


def small_table(rows: list[dict[str, object]] = ROWS) -> Table:
    return Table.of("small", SMALL, SimpleNamespace(scale="tiny"), Content(rows, extra={"more": 1}))


def test_csv(tmp_path: Path) -> None:
    writing.write(small_table(), tmp_path)
    lines = layout.table_files(tmp_path, "small")[0].read_text().splitlines()
    assert lines == ["name,value,value_stderr,count", "a_b|50%,1.23456789,0.056,3", ",2,0,", "c,,,"]


def test_markdown() -> None:
    text = writing.markdown(small_table())
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == ["name", "value", "value_stderr", "count"]
    assert rows[2:] == [["a_b\\|50%", "1.23", "0.06", "3"], ["", "2.00", "0", ""], ["c", "", "", ""]]
    assert "- a note\n" in text
    assert "- `count`: a count\n" in text


def test_latex() -> None:
    text = writing.latex(small_table())
    assert r"Name & Value & $n$ \\" in text
    assert r"a\_b|50\% & $1.23 \pm 0.06$ & $3$ \\" in text
    assert r"c &  &  \\" in text
    assert r"\caption{Caption\_1. Scale: tiny.}" in text
    assert r"\label{tab:small}" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_a_table_without_rows_is_written(tmp_path: Path) -> None:
    writing.write(small_table([]), tmp_path)
    assert layout.table_files(tmp_path, "small")[0].read_text() == "name,value,value_stderr,count\n"


def test_columns_must_be_declared() -> None:
    with pytest.raises(ValueError, match=r"table small: columns \['typo'\] are not declared"):
        small_table([{"name": "a", "typo": 1}])


def test_metadata_names_inputs_and_columns() -> None:
    metadata = writing.metadata(small_table()).model_dump()
    assert (metadata["inputs"], metadata["more"], metadata["columns"]["count"]) == (["a.json"], 1, "a count")
