"""Figures of the scale of all systems, drawn from its kept run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mdm_prime.experiment import config
from mdm_prime.reporting import declared, drawing
from mdm_prime.reporting.records import read_table
from project_copy import PROJECT

KEPT = PROJECT / "results/reference-systems"


def drawn(name: str) -> Figure:
    with drawing.style():
        return declared.figure(name).draw(config.load(PROJECT / "params/systems.yaml"), KEPT)


def test_sources_are_named_by_what_tells_them_apart() -> None:
    titles = [axes.get_title(loc="left") for axes in drawn("bound_validity").axes]
    assert titles == ["Markov source, V = 8, L = 4", "Markov source, V = 4, L = 4", r"$\ell$ copies of one bit"]


def test_values_of_one_l_stand_beside_each_other() -> None:
    """Also where there is no other l: the two losses must not look as if l differed."""
    panels = drawn("bound_validity").axes
    assert [list(axes.get_xticks()) for axes in panels] == [[1, 2, 3], [1], [1, 2, 3]]
    for axes in panels:
        ticks, (low, high) = axes.get_xticks(), axes.get_xlim()
        assert low <= min(ticks) - 0.5
        assert high >= max(ticks) + 0.5
        for bars in axes.containers:
            x = np.asarray(bars[0].get_xdata(), dtype=float)
            assert np.abs(x - np.round(x)).max() < 0.05 * (high - low)


def test_idle_steps_show_only_what_was_measured() -> None:
    figure = drawn("idle_steps")
    (axes,) = figure.axes
    assert figure.get_size_inches()[0] == drawing.COLUMN
    assert axes.get_ylabel()
    assert "not measured" not in [text.get_text() for text in axes.texts]


def test_idle_steps_of_another_schedule_are_named() -> None:
    """They have another expectation than the line, which they would seem to refute."""
    (axes,) = drawn("idle_steps").axes
    line = next(line for line in axes.lines if line.get_label() == "exact, linear schedule")
    exact = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    points = {bars.get_label(): bars[0].get_xydata() for bars in axes.containers}
    assert all(value == pytest.approx(exact[number], abs=2.0) for number, value in points["measured"])
    named = {text.get_text(): text.xy for text in axes.texts}
    others = [tuple(point) for point in points["measured, other schedule"]]
    assert [named["cosine"], named["polynomial 3"]] == others
    markers = [bars[0].get_marker() for bars in axes.containers]
    assert len(set(markers)) == len(markers)


def test_a_bound_and_two_kinds_of_exact_values_look_different() -> None:
    """As the legend says."""
    drawn_figure = drawn("systems")
    (axes,) = drawn_figure.axes
    points = {(float(bar[0].get_xdata()[0]), int(bar[0].get_ydata()[0])): look(bar[0]) for bar in axes.containers}
    found: dict[str, set[tuple[object, ...]]] = {}
    means = [row for row in read_table(KEPT, "text_perplexity") if row["seed"] == "mean"]
    for place, row in enumerate(means):
        found.setdefault(row["exact"], set()).add(points[row["ppl_bound"], place])
    filled = {"yes": ("D", drawing.BLACK), "one step": ("*", drawing.GRAY), "no": ("o", drawing.BLUE)}
    assert found == {exact: {(marker, color, color)} for exact, (marker, color) in filled.items()}
    (legend,) = drawn_figure.legends
    shown = {
        text.get_text(): look(handle) for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    names = {"yes": "exact likelihood", "one step": "exact, if drawn in one step", "no": drawing.VALID_BOUND}
    assert {exact: {shown[name]} for exact, name in names.items()} == found


def look(line: Line2D) -> tuple[object, ...]:
    """Marker, colour, and what the marker is filled with."""
    return line.get_marker(), line.get_color(), line.get_markerfacecolor()


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
