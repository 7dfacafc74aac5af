"""Figure 1 of the paper: idle steps against the number of sampling steps; and the same in trained samplers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.naming import schedule_name
from mdm_prime.reporting import declared
from mdm_prime.reporting.declared import IDLE, DeclaredFigure
from mdm_prime.reporting.drawing import (
    BLACK,
    COLUMN,
    GRAY,
    PAGE,
    VERMILLION,
    empty,
    integer_axis,
    legend_entry,
    lines_of,
    look_of,
    new_figure,
    panels_of,
    title_of,
)
from mdm_prime.reporting.occupancy import EVENT_PROCESS, TRAINED_SAMPLER, expected_idle_steps
from mdm_prime.reporting.records import Row, number, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLE = "idle_steps"
COLUMNS = 2
LINEAR: dict[str, Any] = {"color": BLACK, "marker": "o"}
OTHER: dict[str, Any] = {"color": VERMILLION, "marker": "^"}  # schedules whose exact count the table has not


def needs(config: Config) -> list[Files]:
    return [layout.table_csv(TABLE)] if declared.table(TABLE).applies(config) else []


def draw(config: Config, root: Path) -> Figure:
    """The event process, where it was measured, and a panel for each task that was sampled step by step."""
    rows = read_table(root, TABLE)
    events = [row for row in rows if row["measured_by"] == EVENT_PROCESS]
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        if row["measured_by"] == TRAINED_SAMPLER:
            tasks.setdefault(row["task"], []).append(row)
    number = max(bool(events) + len(tasks), 1)
    figure = new_figure(PAGE if number > 1 else COLUMN, 2.7 * lines_of(number, COLUMNS))
    panels = panels_of(figure, number, COLUMNS, width_ratios=[1.5, 1] if events and tasks else None)
    if not rows:
        empty(panels[0], "not measured")
        return figure
    if events:
        _event_process(panels[0], events)
    for axes, (task, trained) in zip(panels[bool(events) :], tasks.items(), strict=True):
        schedules = {run.variant: schedule_name(run.training) for run in config.runs(task)}
        _trained(axes, trained, "Trained networks" if len(tasks) == 1 else title_of(config, task), schedules)
    for axes in panels[::COLUMNS]:
        axes.set_ylabel("steps that change nothing")
    return figure


def _event_process(axes: Axes, rows: list[Row]) -> None:
    """Lines: exact. Markers: measured without a network, with standard errors. Crosses: read from the paper."""
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
        handles.append(legend_entry(**look, markerfacecolor="white", label=name))
    if any(row["published_figure1"] is not None for row in rows):
        handles.append(legend_entry(marker="x", color=VERMILLION, linestyle="", markersize=5, label="paper, Figure 1"))
    axes.legend(handles=handles, loc="upper left", title="line: exact; marker: measured", alignment="left")
    axes.set_title(f"Event process, L = {length:,}")
    axes.set_xlabel("sampling steps, T")
    axes.set_xticks(steps, [f"{step:,}" for step in steps], rotation=30 if len(steps) > 6 else 0)
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])


def _trained(axes: Axes, rows: list[Row], name: str, schedules: dict[str, str]) -> None:
    """The same count in the samples of trained networks. The line is of the linear schedule: others are named."""
    subtokens = [row["num_subtokens"] for row in rows]
    linear = [row for row in rows if row["idle_exact"] is not None]
    label = "exact, linear schedule"
    for steps, length in sorted({(row["num_steps"], row["length"]) for row in linear}):
        same = [row["num_subtokens"] for row in linear if (row["num_steps"], row["length"]) == (steps, length)]
        grid = range(min(same), max(same) + 1)  # between two l that were sampled the line is exact too
        exact = [expected_idle_steps(steps, length, number) for number in grid]
        axes.plot(grid, exact, color=GRAY, linestyle="-", label=label)
        label = ""  # once in the legend
    if linear:
        _measured(axes, [row["num_subtokens"] for row in linear], linear, LINEAR, label="measured")
    others = [row for row in rows if row["idle_exact"] is None]
    if others:
        _measured(axes, [row["num_subtokens"] for row in others], others, OTHER, label="measured, other schedule")
    for row in others:
        axes.annotate(
            schedules[row["variant"]], (row["num_subtokens"], row["idle_measured"]), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=6.5,
        )  # fmt: skip
    axes.legend(loc="upper right")
    lengths = sorted({f"L = {row['length']:,}, T = {row['num_steps']:,}" for row in rows})
    axes.set_title(f"{name}, {'; '.join(lengths)}")
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
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


FIGURE = DeclaredFigure(
    label="Figure: idle steps",
    category=IDLE,
    paper="Figure 1",
    caption="**Figure 1.** Sampling steps that change nothing against the number of steps T. Lines: exact; open "
    "markers: measured without a network, with standard errors; crosses: read from the paper's plot. Where "
    "text was drawn with ancestral sampling, a further panel shows the same count in the samples of trained "
    "networks against the number of sub-tokens ℓ; a schedule that is not linear is named, and has another count.",
    needs=needs,
    draw=draw,
)
