"""A panel for each set of images, of distances on a logarithmic axis, with the baselines as dashed lines."""

from __future__ import annotations

from collections.abc import Callable
from statistics import stdev
from typing import TYPE_CHECKING, Any

from mdm_prime.reporting.drawing import BLACK, PAGE, empty, lines_of, new_figure, panels_of
from mdm_prime.reporting.images import FID
from mdm_prime.reporting.records import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMNS = 3
Entry = tuple[Any, "Line2D"]  # of the legend: what it is sorted by, and the handle with its label


def panels(table: list[Row], draw_panel: Callable[[Axes, list[Row]], list[Entry]]) -> Figure:
    """`draw_panel` draws the runs' rows of one distance on one data set and returns the legend's entries."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in table:
        groups.setdefault((row["task"], row["dataset"], row["distance_name"]), []).append(row)
    datasets = [dataset for _, dataset, _ in groups]
    figure = new_figure(PAGE, 0.5 + 2.6 * lines_of(len(groups), COLUMNS))
    axes = panels_of(figure, len(groups), COLUMNS)
    entries: dict[str, Entry] = {}
    for panel, ((task, dataset, distance_name), rows) in zip(axes, groups.items(), strict=True):
        runs = of_runs(rows)
        panel.set_title(dataset if datasets.count(dataset) == 1 else task)
        panel.set_ylabel(distance_label(distance_name))
        if not runs:
            empty(panel, "no run")
            continue
        entries |= {str(entry[1].get_label()): entry for entry in draw_panel(panel, runs)}
        panel.set_yscale("log")
        for row in rows:
            if row["nfe"] is None and row["distance"] > 0:
                _baseline(panel, row)
        _ticks(panel)
    handles = [handle for _, handle in sorted(entries.values(), key=lambda entry: entry[0])]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def of_runs(rows: list[Row]) -> list[Row]:
    """Without the baselines, which need no network."""
    return [row for row in rows if row["nfe"] is not None]


def by_sampler(rows: list[Row]) -> list[list[Row]]:
    """The seeds of each variant's samplers, in the order of the table."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["variant"], row["sampler"], row["distribution"]), []).append(row)
    return list(groups.values())


def spread_of(seeds: list[Row]) -> float:
    """Standard deviation of the distance over seeds; 0, which draws no bar, for one."""
    return stdev(row["distance"] for row in seeds) if len(seeds) > 1 else 0.0


def distance_label(name: str) -> str:
    """The distance's own name: FID on Inception features only."""
    return "FID" if name == FID else f"{name}\n(Fréchet distance, own classifier)"


def _baseline(axes: Axes, row: Row) -> None:
    """Named beside the panel, where no model is."""
    axes.axhline(row["distance"], color=BLACK, linestyle=(0, (4, 3)), linewidth=0.8, zorder=1)
    axes.annotate(
        str(row["model"]).replace(" ", "\n"), (1, row["distance"]), xycoords=("axes fraction", "data"), xytext=(3, 0),
        textcoords="offset points", ha="left", va="center", fontsize=6.5,
    )  # fmt: skip


def _ticks(axes: Axes) -> None:
    """Plain numbers at 1, 2 and 5 times a power of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
