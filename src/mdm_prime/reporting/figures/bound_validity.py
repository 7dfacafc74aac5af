"""Both objectives relative to the entropy of sources that know it: below zero, nothing can be a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mdm_prime.experiment.config import Config
from mdm_prime.reporting.figures.drawing import BLACK, BLUE, PAGE, PUBLISHED_LOSS, VALID_BOUND, VERMILLION, integer_axis
from mdm_prime.reporting.records import Row, number, read_table

SHIFT = 0.012  # of the largest l: keeps equal values of the two objectives apart
TITLES = {"known_entropy": "Markov source", "copies of one bit": r"$\ell$ copies of one bit", "toy": "2-D toy"}
LOOKS = {"joint_loss": (VERMILLION, "s", PUBLISHED_LOSS), "nelbo": (BLUE, "o", VALID_BOUND)}


def draw(_config: Config, results: Path) -> Figure:
    rows = read_table(results, "bound_validity")
    sources = list(dict.fromkeys(row["source"] for row in rows))
    figure = Figure(figsize=(PAGE, 2.75))
    panels = figure.subplots(1, len(sources), squeeze=False)[0]
    for axes, source in zip(panels, sources, strict=True):
        _panel(axes, [row for row in rows if row["source"] == source])
        axes.set_title(TITLES.get(source, source))
    panels[0].set_ylabel("loss minus entropy (nats per token)")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=name) for colour, marker, name in LOOKS.values()
    ]
    handles += [
        Line2D([], [], color=BLACK, marker="o", markerfacecolor="white", linestyle="--", label="exact posterior"),
        Line2D([], [], color=BLACK, marker="o", linestyle="-", label="trained networks"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _panel(axes: Axes, rows: list[Row]) -> None:
    for loss, (colour, marker, _) in LOOKS.items():
        shift = SHIFT * max(row["num_subtokens"] for row in rows) * (1 if loss == "nelbo" else -1)
        hollow = {"color": colour, "marker": marker, "linestyle": "--", "markerfacecolor": "white"}
        _series(axes, rows, f"oracle_{loss}", shift, hollow)
        _series(axes, rows, f"trained_{loss}", shift, {"color": colour, "marker": marker, "linestyle": "-"})
    axes.axhline(0, color=BLACK, linewidth=1)
    low, high = axes.get_ylim()
    span = high - low
    low, high = min(low, -0.12 * span) - 0.1 * span, max(high, 0.12 * span)
    axes.axhspan(low, 0, facecolor="#F3E3DC", edgecolor="none", zorder=0)
    axes.set_ylim(low, high)
    axes.text(0.03, 0.03, "impossible for a bound", transform=axes.transAxes, color="#8A3A00", fontsize=6.5)
    integer_axis(axes, [row["num_subtokens"] for row in rows])
    axes.margins(x=0.12)


def _series(axes: Axes, rows: list[Row], column: str, shift: float, look: dict[str, Any]) -> None:
    """The first row of each l: of several variants, the one that the params file names first."""
    first: dict[int, Row] = {}
    for row in rows:
        if row[column] is not None:
            first.setdefault(row["num_subtokens"], row)
    if first:
        axes.errorbar(
            [number_of + shift for number_of in first],
            [row[column] - row["entropy"] for row in first.values()],
            yerr=[number(row[f"{column}_stderr"]) for row in first.values()],
            elinewidth=0.8,
            **look,
        )
