"""Every model of text beside the others: the valid bound and the published loss, model by model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting.declared import NOT_IN_PAPER, TEXT, DeclaredFigure
from mdm_prime.reporting.drawing import (
    BLACK,
    BLUE,
    GRAY,
    PAGE,
    PUBLISHED_LOSS,
    VALID_BOUND,
    VERMILLION,
    legend_entry,
    new_figure,
    title_of,
)
from mdm_prime.reporting.records import Row, read_table
from mdm_prime.reporting.text_models import BIGRAM, BOUND, LOSS, ONE_STEP, PLAIN, TABLE, UNIGRAM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OF_THE_PAPER = ("masked", "autoregressive")
BOUND_LOOK: dict[str, Any] = {"color": BLUE, "marker": "o", "label": VALID_BOUND}
LOSS_LOOK: dict[str, Any] = {"color": VERMILLION, "marker": "s", "label": PUBLISHED_LOSS}
EXACT_LOOK: dict[str, Any] = {"color": BLACK, "marker": "D", "label": "exact likelihood"}
ONE_STEP_LOOK: dict[str, Any] = {"color": GRAY, "marker": "*", "label": "exact, if drawn in one step"}
LOOKS = {"yes": EXACT_LOOK, ONE_STEP: ONE_STEP_LOOK, "no": BOUND_LOOK}
LINE_HEIGHT = 0.2  # inches


def needs(config: Config) -> list[Files]:
    return [layout.table_csv(TABLE)] if _tasks(config) else []


def _tasks(config: Config) -> list[str]:
    """The tasks on text that have models of other papers."""
    return [task for task in config.of_kind("text") if any(r.model.kind not in OF_THE_PAPER for r in config.runs(task))]


def draw(config: Config, root: Path) -> Figure:
    """A panel for each task, a line for each model."""
    tasks, table = _tasks(config), read_table(root, TABLE)
    panels = {task: [row for row in table if row["task"] == task] for task in tasks}
    lines = {task: [row for row in rows if row["seed"] == "mean"] for task, rows in panels.items()}
    height = 0.9 * len(tasks) + LINE_HEIGHT * sum(map(len, lines.values()))
    figure = new_figure(PAGE, height)
    ratios = [len(rows) + 1 for rows in lines.values()]
    grid = figure.subplots(len(tasks), 1, squeeze=False, height_ratios=ratios)
    for axes, task in zip(grid.ravel(), tasks, strict=True):
        _panel(axes, lines[task], panels[task])
        axes.set_title(title_of(config, task))
    shown = {row["exact"] for means in lines.values() for row in means}
    looks = [*(look for name, look in LOOKS.items() if name in shown), LOSS_LOOK]
    figure.legend(
        handles=[legend_entry(linestyle="", **look) for look in looks], loc="outside lower center", ncols=len(looks)
    )
    return figure


def _panel(axes: Axes, means: list[Row], rows: list[Row]) -> None:
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    for place, row in enumerate(means):
        if row["exact"] == "no" and row[LOSS] != row[BOUND]:  # else one value under two names
            _point(axes, row, LOSS, place, LOSS_LOOK)
        _point(axes, row, BOUND, place, LOOKS[row["exact"]])
    for row in rows:
        if row["model"] in (UNIGRAM, BIGRAM):
            axes.axvline(row[BOUND], color=GRAY, linestyle="--" if row["model"] == UNIGRAM else "-.", linewidth=1)
            axes.annotate(
                row["model"], (row[BOUND], 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2),
                textcoords="offset points", ha="center", va="bottom", fontsize=6.5, color=GRAY,
            )  # fmt: skip
    axes.set_yticks(range(len(means)), [_name(row) for row in means])
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.set_xscale("log")
    for axis_format in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis_format(NullFormatter())
    low, high = axes.get_xlim()
    ticks = [tick for tick in (5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500) if low <= tick <= high]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("exp(loss in nats per token)")


def _point(axes: Axes, row: Row, column: str, place: int, look: dict[str, Any]) -> None:
    """A value with its uncertainty: the larger of its standard error and its spread over seeds."""
    error = max(row[f"{column}_stderr"], row[f"{column}_spread"] or 0.0)
    style = {key: look[key] for key in ("color", "marker")}
    axes.errorbar(row[column], place, xerr=error, linestyle="", markersize=5, capsize=2, **style)


def _name(row: Row) -> str:
    ell = rf", $\ell$ = {row['num_subtokens']}" if row["num_subtokens"] > 1 else ""
    title = row["model"] if row["model"] not in PLAIN else "MDM" + ("-Prime" if row["num_subtokens"] > 1 else "")
    return f"{title}{ell}: {row['variant']}"


FIGURE = DeclaredFigure(
    label="Figure: systems",
    category=TEXT,
    paper=NOT_IN_PAPER,
    caption="Every model of text, a line each: the valid bound on the perplexity, or the perplexity itself where it is "
    "exact, and the published loss of models of sub-tokens, which is no bound. Bars: the larger of standard error and "
    "spread over seeds. Dashed lines: what counting gives.",
    needs=needs,
    draw=draw,
)
