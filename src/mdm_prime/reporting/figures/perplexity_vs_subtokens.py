"""Perplexity against the number of sub-tokens: the paper's and the errata's values, and ours."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import published
from mdm_prime.reporting.declared import TEXT, DeclaredFigure
from mdm_prime.reporting.drawing import (
    BLACK,
    BLUE,
    PAGE,
    PUBLISHED_LOSS,
    VALID_BOUND,
    VERMILLION,
    empty,
    integer_axis,
    legend_entry,
    lines_of,
    new_figure,
    panels_of,
)
from mdm_prime.reporting.records import Row, number, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLE = "text_perplexity"
COLUMNS = 2

PLAIN_SHIFT = 0.12  # keeps models without carry-over beside those with it
LOSS: dict[str, Any] = {"color": VERMILLION, "marker": "s", "linestyle": "--"}
BOUND: dict[str, Any] = {"color": BLUE, "marker": "o", "linestyle": "-"}


def needs(config: Config) -> list[Files]:
    return [layout.table_csv(TABLE)] if config.of_kind("text") else []


def draw(_config: Config, root: Path) -> Figure:
    """The paper's panel, and one for each task."""
    tasks: dict[str, list[Row]] = {}
    for row in read_table(root, TABLE):
        if row["seed"] == "mean":
            tasks.setdefault(row["task"], []).append(row)
    figure = new_figure(PAGE, 0.3 + 2.6 * lines_of(1 + len(tasks), COLUMNS))
    first, *others = panels_of(figure, 1 + len(tasks), COLUMNS)
    _paper(first)
    plain = [_ours(axes, rows) for axes, rows in zip(others, tasks.values(), strict=True)]
    handles = [legend_entry(**LOSS, label=PUBLISHED_LOSS), legend_entry(**BOUND, label=VALID_BOUND)]
    handles.append(legend_entry(color=BLACK, linestyle=":", label="autoregressive (exact)"))
    if any(plain):
        handles.append(
            legend_entry(color=BLACK, marker="o", markerfacecolor="white", linestyle="", label="no carry-over")
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _paper(axes: Axes) -> None:
    masked = [row for row in published.read("openwebtext_perplexity") if row["num_subtokens"] is not None]
    numbers = [row["num_subtokens"] for row in masked]
    axes.plot(numbers, [row["published_ppl"] for row in masked], **LOSS)
    axes.plot(numbers, [row["corrected_ppl"] for row in masked], **BOUND)
    axes.set_title("The paper and its errata: OpenWebText")
    axes.set_ylabel("exp(loss in nats per token)")
    for row in published.read("openwebtext_perplexity"):
        if row["model"] == "ARM":
            _arm(axes, row["published_ppl"])
    integer_axis(axes, numbers)
    axes.set_ylim(bottom=0)


def _ours(axes: Axes, rows: list[Row]) -> bool:
    """Draws our values; whether models without carry-over are among them."""
    masked = [row for row in rows if row["model"] != "ARM"]
    if not masked:
        empty(axes, "no masked model")
        return False
    plain = [row for row in masked if row["carry_over"] == "no"]
    top = 1.12 * max(
        [row["ppl_bound"] for row in rows] + [row["published_loss_ppl"] for row in rows if row not in plain]
    )
    for look, column in ((LOSS, "published_loss_ppl"), (BOUND, "ppl_bound")):
        _series(axes, [row for row in masked if row["carry_over"] == "yes"], column, 0.0, look)
        open_look = {**look, "linestyle": "", "markerfacecolor": "white"}
        _series(axes, [row for row in plain if row[column] <= top], column, PLAIN_SHIFT, open_look)
    for row in rows:
        if row["model"] == "ARM":
            _arm(axes, row["ppl_bound"])
    axes.set_title(f"Ours: {masked[0]['corpus']}")
    integer_axis(axes, [row["num_subtokens"] for row in masked])
    _point_above(axes, [row for row in plain if row["published_loss_ppl"] > top], 0.97 * top)
    axes.set_ylim(0, top)
    return bool(plain)


def _point_above(axes: Axes, rows: list[Row], y: float) -> None:
    """Says where the published loss without carry-over lies: it counts visible tokens too, which can make it huge."""
    for row in rows:
        x = row["num_subtokens"] + PLAIN_SHIFT
        axes.plot(x, y, marker="^", color=LOSS["color"], markerfacecolor="white", linestyle="")
        axes.annotate(
            f"{row['published_loss_ppl']:,.0f}", (x, y), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=6, color=LOSS["color"],
        )  # fmt: skip


def _series(axes: Axes, rows: list[Row], column: str, shift: float, look: dict[str, Any]) -> None:
    """Error bars: standard error and spread over seeds, added in quadrature."""
    if rows:
        errors = [_error(row, column) for row in rows]
        x = [row["num_subtokens"] + shift for row in rows]
        axes.errorbar(x, [row[column] for row in rows], yerr=errors, **look)


def _error(row: Row, column: str) -> float:
    stderr, spread = number(row[f"{column}_stderr"]), number(row[f"{column}_spread"])
    return float((stderr**2 + (0.0 if isnan(spread) else spread) ** 2) ** 0.5)


def _arm(axes: Axes, ppl: float) -> None:
    axes.axhline(ppl, color=BLACK, linestyle=":")
    axes.annotate(
        f"ARM {ppl:.1f}", (1, ppl), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
        ha="right", fontsize=6.5,
    )  # fmt: skip


FIGURE = DeclaredFigure(
    label="Figure: perplexity against sub-tokens",
    category=TEXT,
    paper="Table 1",
    caption="**Table 1.** First panel: the paper's perplexities on OpenWebText and the bounds of its errata note; "
    "beside it: ours, on our text. Squares, dashed: exp of the published loss, no bound for ℓ > 1; circles, "
    "solid: exp of the valid bound; dotted: autoregressive model, exact. Bars: standard error and spread over "
    "seeds, added in quadrature. The scales of the panels differ: compare the shapes.",
    needs=needs,
    draw=draw,
)
