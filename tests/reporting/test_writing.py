from pathlib import Path

import pandas as pd
import pytest

from mdm_prime.experiment import layout
from mdm_prime.reporting import writing
from mdm_prime.reporting.tables.table import Column, Table, frame_of

COLUMNS = (
    Column("name", "a name", heading="Name"),
    Column("value", "a value", 2, heading="Value"),
    Column("value_stderr", "its error", 2),
    Column("count", "a count", heading="$n$"),
)


def small_table(**changes: object) -> Table:
    rows = [
        {"name": "a_b|50%", "value": 1.234567890123, "value_stderr": 0.056, "count": 3},
        {"name": "", "value": 2.0, "value_stderr": 0.0, "count": None},
        {"name": "c", "value": None},
    ]
    values = {
        "name": "small",
        "title": "Title",
        "caption": "Caption_1.",
        "columns": COLUMNS,
        "frame": frame_of(rows, COLUMNS),
        "scale": "tiny",
        "inputs": ("tiny/a.json",),
        "notes": ("a note",),
        "extra": {"more": 1},
    }
    return Table(**(values | changes))


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
    writing.write(small_table(frame=frame_of([], COLUMNS)), tmp_path)
    assert layout.table_files(tmp_path, "small")[0].read_text() == "name,value,value_stderr,count\n"


def test_columns_must_be_described() -> None:
    with pytest.raises(ValueError, match="columns"):
        small_table(frame=pd.DataFrame({"name": [], "other": []}))
    with pytest.raises(ValueError, match=r"\['typo'\] are not described"):
        frame_of([{"name": "a", "typo": 1}], COLUMNS)
