"""Training losses against tokens seen, each objective under its true name."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from mdm_prime import layout
from mdm_prime.config import TASKS, Config, Run
from mdm_prime.files import read_json
from mdm_prime.reporting.figures.drawing import BLACK, GRAY, OBJECTIVES, PAGE, look_of
from mdm_prime.reporting.records import read_csv

TITLES = {"known_entropy": "Markov source", "text": "Text", "toy": "2-D toy"}
ARM: dict[str, Any] = {"color": GRAY, "linestyle": "-", "linewidth": 2.2}
PLAIN_WIDTH = 0.6


def draw(config: Config, results: Path) -> Figure:
    root = layout.scale_root(results, config.scale)
    figure = Figure(figsize=(PAGE, 3.0))
    panels = figure.subplots(1, len(TASKS))
    for axes, task in zip(panels, TASKS, strict=True):
        _panel(axes, root, task, list(config.runs(task)))
    panels[0].set_ylabel("training loss (nats per token)")
    runs = [run for task in TASKS for run in config.runs(task)]
    figure.legend(handles=_legend(runs), loc="outside lower center", ncols=5)
    return figure


def _panel(axes: Axes, root: Path, task: str, runs: list[Run]) -> None:
    shown: list[float] = []
    for _, same in groupby(runs, key=lambda run: run.variant):
        seeds = list(same)
        curves = [_curve(root, run) for run in seeds]
        length = min(len(curve) for curve in curves)  # a run that is still going may be shorter
        look = _look(seeds[0])
        if len(curves) > 1:
            for curve in curves:
                axes.plot(*curve.T, color=look["color"], linewidth=0.5, alpha=0.3)
        axes.plot(*np.mean([curve[:length] for curve in curves], axis=0).T, **look)
        if seeds[0].carry_over:
            shown += [float(value) for curve in curves for value in (curve[:, 1].min(), curve[:, 1].max())]
    entropy = read_json(layout.data_dir(root, task) / "meta.json")["entropy_per_token"]
    if entropy is not None:
        shown.append(entropy)
        axes.axhline(entropy, color=BLACK, linestyle=":", linewidth=1)
        axes.annotate(
            "entropy", (0.02, entropy), xycoords=("axes fraction", "data"), xytext=(0, 1.5),
            textcoords="offset points", va="bottom", fontsize=6.5,
        )  # fmt: skip
    if len(shown) > 1:  # without carry-over the published loss counts visible tokens too and may leave the panel
        room = 0.05 * (max(shown) - min(shown))
        axes.set_ylim(min(shown) - room, max(shown) + 2 * room)
    objectives = sorted({OBJECTIVES[run.training.objective] for run in runs if run.model == "masked"})
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.text(1.0, 1.0, "\n".join(objectives), transform=axes.transAxes, ha="right", va="top", fontsize=6.5, bbox=box)
    low, high = axes.dataLim.intervalx
    if high > 10 * low > 0:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training tokens")
    axes.set_title(TITLES[task])


def _curve(root: Path, run: Run) -> NDArray[np.float64]:
    """(steps, 2): tokens seen, loss."""
    rows = read_csv(layout.run_dir(root, run.name) / "history.csv")
    return np.array([(row["train_tokens"], row["loss"]) for row in rows], dtype=np.float64).reshape(-1, 2)


def _look(run: Run) -> dict[str, Any]:
    if run.model == "autoregressive":
        return ARM
    look = {key: value for key, value in look_of(run.num_subtokens).items() if key != "marker"}
    if run.training.objective == "nelbo":
        look |= {"marker": ".", "markevery": 0.1, "markersize": 4}
    return look if run.carry_over else {**look, "linewidth": PLAIN_WIDTH}


def _legend(runs: list[Run]) -> list[Line2D]:
    """One entry for each l, and one for each other distinction that occurs."""
    masked = [run for run in runs if run.model == "masked"]
    handles = []
    for number in sorted({run.num_subtokens for run in masked}):
        look = look_of(number)
        name = rf"$\ell$ = {number}" + (" (MDM)" if number == 1 else "")
        handles.append(Line2D([], [], color=look["color"], linestyle=look["linestyle"], label=name))
    if len(masked) < len(runs):
        handles.append(Line2D([], [], **ARM, label="ARM (exact likelihood)"))
    if not all(run.carry_over for run in masked):
        handles.append(Line2D([], [], color=BLACK, linewidth=PLAIN_WIDTH, label="thin: no carry-over (may lie above)"))
    if len({run.training.objective for run in masked}) > 1:
        handles.append(Line2D([], [], color=BLACK, marker=".", label="dotted: trained on the valid bound"))
    return handles
