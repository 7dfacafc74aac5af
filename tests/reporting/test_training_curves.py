"""Training curves: every variant can be found, at a scale with many of them too."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from synthetic_results import Tree, any_tasks, write_history, write_meta

from mdm_prime.experiment import config, layout
from mdm_prime.reporting import curve_panels, declared, drawing
from mdm_prime.reporting.figures.training_curves import trained
from project_copy import PROJECT


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Histories of the scale with the most variants: some end at the same loss, and all of them close together."""
    tree = Tree(config.load(PROJECT / "params/systems.yaml"), tmp_path_factory.mktemp("systems"))
    for task in tree.config.tasks:
        write_meta(tree.config, tree.root, task)
        for run in trained(tree.config, task):
            write_history(tree.root, run, last=1.0 + 0.1 * (len(run.variant) % 4) - 0.2 * run.model.causal)
    return tree


@pytest.fixture(scope="module")
def figure(systems: Tree) -> Figure:
    return drawn(systems)


def drawn(tree: Tree) -> Figure:
    with drawing.style():
        figure = declared.figure("training_curves").draw(tree.config, tree.root)
        figure.draw_without_rendering()
    return figure


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison}


def means(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_alpha() is None and line.get_linestyle() != ":"]


def names(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation)]


def shape(line: Line2D) -> tuple[object, ...]:
    """A line without its colour."""
    return str(line._unscaled_dash_pattern), line.get_linewidth(), line.get_marker()


def test_variants_of_one_look_have_a_panel_that_names_them(systems: Tree, figure: Figure) -> None:
    shown = panels(figure)
    sources = ["Markov source, V = 8, L = 4", "Markov source, V = 4, L = 4"]
    assert list(shown) == [
        *sources, "Text", r"Text, $\ell$ = 1 (MDM)", r"Text, $\ell$ = 2", r"Text, $\ell$ = 9"
    ]  # fmt: skip
    variants = {run.variant for run in trained(systems.config, "text")}
    named = [{name.get_text() for name in names(axes)} for axes in shown.values()]
    assert named[:3] == [set(), set(), set()]
    assert set.union(*named) == variants - {"arm"}
    assert [len(means(axes)) for axes in shown.values()] == [1, 2, 4, *map(len, named[3:])]


def test_curves_of_a_panel_differ_without_colours(figure: Figure) -> None:
    for axes in panels(figure).values():
        shapes = [shape(line) for line in means(axes)]
        assert len(set(shapes)) == len(shapes)


def test_each_name_stands_at_the_end_of_its_curve(figure: Figure) -> None:
    for axes in panels(figure).values():
        ends = [tuple(line.get_xydata()[-1]) for line in means(axes)]
        assert {name.xy for name in names(axes)} <= set(ends)
        boxes = [Text.get_window_extent(name) for name in names(axes)]  # without the line that leads there
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        frame = axes.get_window_extent().padded(2)
        assert all(frame.contains(*corner) for box in boxes for corner in box.corners())


def test_no_name_of_the_entropy_is_crossed_by_a_curve(figure: Figure) -> None:
    assert "entropy" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert not any("entropy" in text.get_text() for axes in figure.axes for text in axes.texts)


def test_ticks_of_tokens_are_few_short_and_apart(figure: Figure, finished: Tree) -> None:
    for axes in [*panels(figure).values(), *panels(drawn(finished)).values()]:
        labels = axes.get_xticklabels()
        assert 2 <= len(labels) <= 5
        assert all(len(label.get_text()) <= 4 and label.get_text()[-1] in "kM" for label in labels)
        boxes = [label.get_window_extent() for label in labels]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e5, 1.8e6, ["100k", "200k", "500k", "1M"]),
        (102_400, 1_024_000, ["250k", "500k", "750k", "1M"]),
        (2e4, 2.6e11, ["100k", "10M", "1B", "100B"]),
        (51_200, 51_200, ["51.2k"]),
    ],
)
def test_ticks_of_tokens(low: float, high: float, expected: list[str]) -> None:
    axes = Figure().subplots()
    curve_panels.token_axis(axes, low, high, most=4)
    assert [label.get_text() for label in axes.get_xticklabels()] == expected


def test_names_are_moved_no_more_than_they_must() -> None:
    assert curve_panels.spread([0.0, 5.0], 1.0) == [0.0, 5.0]
    assert curve_panels.spread([1.0, 1.0, 5.0], 1.0) == [0.5, 1.5, 5.0]
    values = np.sort(np.random.default_rng(0).random(20))
    assert np.diff(curve_panels.spread(list(values), 0.1)).min() >= 0.1 - 1e-9


def test_sources_of_one_size_have_the_names_of_their_tasks(finished: Tree, tmp_path: Path) -> None:
    tree = any_tasks(finished, tmp_path, {"one": "known_entropy", "other": "known_entropy", "text": "text"})
    assert list(panels(drawn(tree))) == ["one", "other", "Text"]


def test_the_same_bytes_again(systems: Tree, tmp_path: Path) -> None:
    files = layout.figure_files(tmp_path, "training_curves")
    written = []
    for _ in range(2):
        with drawing.style():
            drawing.save(declared.figure("training_curves").draw(systems.config, systems.root), files)
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
