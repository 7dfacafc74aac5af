"""The figure of all systems, drawn from the kept run of that scale."""

from __future__ import annotations

import shutil
from pathlib import Path

from mdm_prime.experiment import config
from mdm_prime.reporting import declared, drawing
from mdm_prime.reporting.records import read_table
from project_copy import PROJECT

KEPT = PROJECT / "results/reference-systems"


def test_a_line_for_each_model_and_its_values(tmp_path: Path) -> None:
    shutil.copytree(KEPT / "tables", tmp_path / "tables")
    loaded, figure = config.load(PROJECT / "params/systems.yaml"), declared.figure("systems")
    with drawing.style():
        drawn_figure = figure.draw(loaded, tmp_path)
    (axes,) = drawn_figure.axes
    means = [row for row in read_table(tmp_path, "text_perplexity") if row["seed"] == "mean"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert [name.rpartition(": ")[2] for name in names] == [row["variant"] for row in means]
    assert "BD3-LM: block4" in names
    drawn = {(float(bar[0].get_xdata()[0]), int(bar[0].get_ydata()[0])) for bar in axes.containers}
    expected = {(row["ppl_bound"], place) for place, row in enumerate(means)}
    expected |= {
        (row["published_loss_ppl"], place)
        for place, row in enumerate(means)
        if row["exact"] == "no" and row["published_loss_ppl"] != row["ppl_bound"]
    }
    assert drawn == expected
    assert {row["variant"]: row["exact"] for row in means if row["exact"] != "no"} == {"arm": "yes", "coar": "one step"}
    (legend,) = drawn_figure.legends
    assert "exact, if drawn in one step" in {text.get_text() for text in legend.get_texts()}
    assert not figure.applies(config.load(PROJECT / "params/default.yaml"))
