"""Figures without colours: lines differ in marker and dashes, are dark enough on white, and fit a paper's column."""

from __future__ import annotations

from itertools import combinations

import matplotlib.colors
import pytest
from matplotlib.lines import Line2D
from synthetic_results import SHOWN_FIGURES, Tree

from mdm_prime.reporting import declared, drawing
from mdm_prime.reporting.drawing import look_of, look_of_model
from mdm_prime.reporting.figures import perplexity_vs_subtokens

COLUMN, PAGE = 3.25, 6.75  # inches: ICML's columns, among the narrowest
CONTRAST = 2.0  # of a line on white


def looks() -> list[dict[str, object]]:
    """Every look that a line of a model may have."""
    models = [("MDM", "1"), ("MDM-Mixture", "1"), *(("MDM-Prime", number) for number in ("2/3", *"23456789"))]
    return [look_of_model({"model": model, "num_subtokens": number, "carry_over": "yes"}) for model, number in models]


def test_models_differ_without_colours() -> None:
    for key in ("marker", "linestyle"):
        values = [str(look[key]) for look in looks() if key == "linestyle" or look["marker"] not in ("v", "P")]
        assert len(set(values)) == len(values), key
    shapes = [(look["marker"], str(look["linestyle"])) for look in looks()]
    assert len(set(shapes)) == len(shapes)


def test_a_colour_that_comes_again_has_another_line() -> None:
    drawn = [look_of(number) for number in range(1, 25)]
    assert len({look["color"] for look in drawn[:9]}) == 9
    assert len({(look["color"], str(look["linestyle"])) for look in drawn}) == len(drawn)


def test_losses_bounds_and_lines_differ_without_colours() -> None:
    figure = perplexity_vs_subtokens
    series = figure.LOSS_LOOK, figure.BOUND_LOOK, figure.EXACT_LOOK
    for key in ("marker", "linestyle"):
        assert len({str(look[key]) for look in series}) == len(series), key
    assert len({str(look["linestyle"]) for look in figure.LINES.values()}) == len(figure.LINES)


def test_every_colour_is_dark_enough_on_white() -> None:
    for look in looks():
        assert 1.05 / (luminance(str(look["color"])) + 0.05) > CONTRAST, look["color"]


def luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG)."""
    channels = matplotlib.colors.to_rgb(colour)
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def shape(line: Line2D) -> tuple[object, ...]:
    """What is left of a line without its colour."""
    is_open = line.get_markerfacecolor() == "white"
    dashes = str(line._unscaled_dash_pattern)  # get_linestyle() tells a pattern of one's own only as "--"
    return line.get_linestyle(), dashes, line.get_linewidth(), line.get_marker(), line.get_fillstyle(), is_open


@pytest.mark.parametrize("name", SHOWN_FIGURES)
def test_a_figure_needs_no_colours_and_fits(finished: Tree, name: str) -> None:
    with drawing.style():
        figure = declared.figure(name).draw(finished.config, finished.root)
    assert figure.get_size_inches()[0] <= PAGE
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend in legends:
        lines = [(text.get_text(), line) for text, line in zip(legend.get_texts(), legend.get_lines(), strict=False)]
        for (first, one), (second, other) in combinations(lines, 2):
            assert shape(one) != shape(other), (first, second)


def test_the_columns_of_a_paper() -> None:
    assert drawing.COLUMN <= COLUMN
    assert drawing.PAGE <= PAGE
