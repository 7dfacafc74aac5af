"""Perplexity against the number of sub-tokens: the paper's and the errata's values, and ours."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mdm_prime.experiment.config import Config
from mdm_prime.reporting import published
from mdm_prime.reporting.figures.drawing import (
    BLACK,
    BLUE,
    PAGE,
    PUBLISHED_LOSS,
    VALID_BOUND,
    VERMILLION,
    empty,
    integer_axis,
)
from mdm_prime.reporting.records import Row, number, read_table

PLAIN_SHIFT = 0.12  # keeps models without carry-over beside those with it
LOSS: dict[str, Any] = {"color": VERMILLION, "marker": "s", "linestyle": "--"}
BOUND: dict[str, Any] = {"color": BLUE, "marker": "o", "linestyle": "-"}


def draw(_config: Config, results: Path) -> Figure:
    rows = [row for row in read_table(results, "text_perplexity") if row["seed"] == "mean"]
    figure = Figure(figsize=(PAGE, 2.9))
    left, right = figure.subplots(1, 2)
    _paper(left)
    plain = _ours(right, rows)
    handles = [Line2D([], [], **LOSS, label=PUBLISHED_LOSS), Line2D([], [], **BOUND, label=VALID_BOUND)]
    handles.append(Line2D([], [], color=BLACK, linestyle=":", label="autoregressive (exact)"))
    if plain:
        handles.append(
            Line2D([], [], color=BLACK, marker="o", markerfacecolor="white", linestyle="", label="no carry-over")
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
    _arm(axes, published.openwebtext("ARM")["published_ppl"])
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
