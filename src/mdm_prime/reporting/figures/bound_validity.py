"""Both objectives relative to the entropy of sources that know it: below zero, nothing can be a bound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import declared
from mdm_prime.reporting.declared import BOUND, DeclaredFigure
from mdm_prime.reporting.drawing import (
    BLACK,
    BLUE,
    PAGE,
    PUBLISHED_LOSS,
    VALID_BOUND,
    VERMILLION,
    integer_axis,
    legend_entry,
    lines_of,
    new_figure,
    panels_of,
    title_of,
)
from mdm_prime.reporting.records import Row, number, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLE, GROUPED = "bound_validity", "grouped noise"
COLUMNS = 3
SHIFT = 0.016  # of the axis: keeps equal values of the two objectives apart
ROOM = 0.12  # of the values of l, on either side of them
OF_KINDS = {"copies of one bit": r"$\ell$ copies of one bit"}  # sources that are no task
LOOKS = {"joint_loss": (VERMILLION, "s", PUBLISHED_LOSS), "nelbo": (BLUE, "o", VALID_BOUND)}


def needs(config: Config) -> list[Files]:
    return [layout.table_csv(TABLE)] if declared.table(TABLE).applies(config) else []


def draw(config: Config, root: Path) -> Figure:
    rows = [row for row in read_table(root, TABLE) if row["kind"] != GROUPED]  # of no model
    sources = {row["source"]: row["kind"] for row in rows}
    figure = new_figure(PAGE, 0.35 + 2.4 * lines_of(len(sources), COLUMNS))
    panels = panels_of(figure, len(sources), COLUMNS)
    for axes, (source, kind) in zip(panels, sources.items(), strict=True):
        _panel(axes, [row for row in rows if row["source"] == source])
        axes.set_title(title_of(config, source) if source in config.tasks else OF_KINDS.get(kind, source))
    for axes in panels[::COLUMNS]:
        axes.set_ylabel("loss minus entropy (nats per token)")
    handles = [
        legend_entry(color=colour, marker=marker, linestyle="", label=name) for colour, marker, name in LOOKS.values()
    ]
    handles += [
        legend_entry(color=BLACK, marker="o", markerfacecolor="white", linestyle="--", label="exact posterior"),
        legend_entry(color=BLACK, marker="o", linestyle="-", label="trained networks"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _panel(axes: Axes, rows: list[Row]) -> None:
    numbers = [row["num_subtokens"] for row in rows]
    room = max(ROOM * (max(numbers) - min(numbers)), 0.5)  # also where all rows are of one l
    low, high = min(numbers) - room, max(numbers) + room
    for loss, (colour, marker, _) in LOOKS.items():
        shift = SHIFT * (high - low) * (1 if loss == "nelbo" else -1)
        hollow = {"color": colour, "marker": marker, "linestyle": "--", "markerfacecolor": "white"}
        _series(axes, rows, f"oracle_{loss}", shift, hollow)
        _series(axes, rows, f"trained_{loss}", shift, {"color": colour, "marker": marker, "linestyle": "-"})
    axes.axhline(0, color=BLACK, linewidth=1)
    bottom, top = axes.get_ylim()
    span = top - bottom
    bottom, top = min(bottom, -0.12 * span) - 0.1 * span, max(top, 0.12 * span)
    axes.axhspan(bottom, 0, facecolor="#F3E3DC", edgecolor="none", zorder=0)
    axes.set_ylim(bottom, top)
    axes.text(0.03, 0.03, "impossible for a bound", transform=axes.transAxes, color="#8A3A00", fontsize=6.5)
    integer_axis(axes, numbers)
    axes.set_xlim(low, high)


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


FIGURE = DeclaredFigure(
    label="Figure: both losses beside the entropy",
    category=BOUND,
    paper="errata note",
    caption="**Errata note.** Each loss minus the entropy of its source, in nats per token, against the number of "
    "sub-tokens ℓ. Squares: published loss; circles: valid bound. Open, dashed: at the exact posterior; "
    "filled, solid: trained networks, the mean over seeds with its standard error. In expectation no upper "
    "bound on the negative log-likelihood lies in the shaded part below zero.",
    needs=needs,
    draw=draw,
)
