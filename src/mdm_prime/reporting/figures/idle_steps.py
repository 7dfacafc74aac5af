"""Figure 1 of the paper: idle steps against the number of sampling steps; and the same in trained samplers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mdm_prime.experiment.config import Config
from mdm_prime.reporting.figures.drawing import BLACK, COLUMN, GRAY, PAGE, VERMILLION, empty, integer_axis, look_of
from mdm_prime.reporting.occupancy import EVENT_PROCESS, TRAINED_SAMPLER, expected_idle_steps
from mdm_prime.reporting.records import Row, number, read_table


def draw(_config: Config, results: Path) -> Figure:
    rows = read_table(results, "idle_steps")
    events = [row for row in rows if row["measured_by"] == EVENT_PROCESS]
    trained = [row for row in rows if row["measured_by"] == TRAINED_SAMPLER]
    figure = Figure(figsize=(PAGE if trained else COLUMN, 2.7))
    panels = figure.subplots(1, 2 if trained else 1, squeeze=False, width_ratios=[1.5, 1] if trained else None)[0]
    _event_process(panels[0], events)
    if trained:
        _trained(panels[1], trained)
    return figure


def _event_process(axes: Axes, rows: list[Row]) -> None:
    """Lines: exact. Markers: measured without a network, with standard errors. Crosses: read from the paper."""
    if not rows:
        empty(axes, "not measured")
        return
    steps = sorted({row["num_steps"] for row in rows})
    grid = range(min(steps), max(steps) + 1, max(1, (max(steps) - min(steps)) // 200))
    length = max(row["length"] for row in rows)
    handles: list[Any] = []
    for subtokens in sorted({row["num_subtokens"] for row in rows}):
        look = look_of(subtokens)
        points = [row for row in rows if row["num_subtokens"] == subtokens and row["length"] == length]
        line = {key: look[key] for key in ("color", "linestyle")}
        axes.plot(grid, [expected_idle_steps(step, length, subtokens) for step in grid], **line)
        _measured(axes, [row["num_steps"] for row in points], points, look)
        paper = [row for row in points if row["published_figure1"] is not None]
        axes.plot(
            [row["num_steps"] for row in paper],
            [row["published_figure1"] for row in paper],
            "x",
            color=VERMILLION,
            markersize=4.5,
            markeredgewidth=1.1,
            zorder=4,
        )
        name = rf"$\ell$ = {subtokens}" + (" (MDM)" if subtokens == 1 else "")
        handles.append(Line2D([], [], **look, markerfacecolor="white", label=name))
    if any(row["published_figure1"] is not None for row in rows):
        handles.append(
            Line2D([], [], marker="x", color=VERMILLION, linestyle="", markersize=5, label="paper, Figure 1")
        )
    axes.legend(handles=handles, loc="upper left", title="line: exact; marker: measured", alignment="left")
    axes.set_title(f"Event process, L = {length:,}")
    axes.set_xlabel("sampling steps, T")
    axes.set_ylabel("steps that change nothing")
    axes.set_xticks(steps, [f"{step:,}" for step in steps], rotation=30 if len(steps) > 6 else 0)
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])


def _trained(axes: Axes, rows: list[Row]) -> None:
    """The same count in the samples of trained networks, with and without carry-over."""
    subtokens = [row["num_subtokens"] for row in rows]
    exact = sorted({(row["num_subtokens"], row["idle_exact"]) for row in rows if row["idle_exact"] is not None})
    axes.plot(*zip(*exact, strict=True), color=GRAY, linestyle="-", label="exact") if exact else None
    _measured(axes, subtokens, rows, {"color": BLACK, "marker": "o"}, label="measured")
    axes.legend(loc="upper right")
    lengths = sorted({f"L = {row['length']:,}, T = {row['num_steps']:,}" for row in rows})
    axes.set_title("Trained networks, " + "; ".join(lengths))
    axes.set_ylim(bottom=0)
    integer_axis(axes, subtokens)


def _measured(axes: Axes, x: list[int], rows: list[Row], look: dict[str, Any], label: str = "") -> None:
    axes.errorbar(
        x,
        [row["idle_measured"] for row in rows],
        yerr=[number(row["idle_measured_stderr"]) for row in rows],
        color=look["color"],
        marker=look["marker"],
        markerfacecolor="white",
        linestyle="",
        elinewidth=0.8,
        zorder=3,
        label=label,
    )
