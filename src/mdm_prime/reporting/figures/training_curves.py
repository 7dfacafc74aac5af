"""Training losses against tokens seen, each objective under its true name."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.runs import Run
from mdm_prime.reporting.curve_panels import name_ends, token_axis
from mdm_prime.reporting.declared import NOT_IN_PAPER, RUN, DeclaredFigure
from mdm_prime.reporting.drawing import (
    BLACK,
    GRAY,
    PAGE,
    legend_entry,
    lines_of,
    look_of,
    look_of_model,
    new_figure,
    objective_name,
    panels_of,
    title_of,
)
from mdm_prime.reporting.images import model_columns_of, model_order
from mdm_prime.reporting.loading import meta
from mdm_prime.reporting.records import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy import float64
    from numpy.typing import NDArray

ARM: dict[str, Any] = {"color": GRAY, "linestyle": "-", "linewidth": 2.2}
ENTROPY: dict[str, Any] = {"color": BLACK, "linestyle": ":", "linewidth": 1}
PLAIN_WIDTH = 0.6
MARKER_SIZE = 3.5  # few markers per line, so that lines can be told apart without colours
OTHER: dict[str, Any] = {"color": "#555555", "linewidth": 0.9, "markersize": 3}
HALF_FILLED: dict[str, Any] = {"fillstyle": "left", "markerfacecoloralt": "white"}
COLUMNS = 3


class Curve(NamedTuple):
    """The seeds of a variant, how their mean is drawn, and what stands at its end."""

    seeds: list[Run]
    look: dict[str, Any]
    label: str = ""


class Panel(NamedTuple):
    """Curves beside each other."""

    task: str
    title: str
    curves: list[Curve]


def needs(config: Config) -> list[Files]:
    tasks = {task: runs for task in config.tasks if (runs := trained(config, task))}
    found = [layout.data_file(task, "meta.json") for task in tasks]
    return found + [layout.of_runs(config, task, "history", ".csv", runs) for task, runs in tasks.items()]


def trained(config: Config, task: str) -> list[Run]:
    """The runs of a task that are trained here and are models of the paper, which its looks can tell apart."""
    kinds = ("masked", "autoregressive")
    return [run for run in config.runs(task) if run.checkpoint is None and run.model.kind in kinds]


def draw(config: Config, root: Path) -> Figure:
    """Panels, three in a line: one for each task, and one for each l of it that has variants of one look."""
    panels = [panel for task in config.tasks for panel in _panels(config, task)]
    figure = new_figure(PAGE, 0.7 + 2.3 * lines_of(len(panels), COLUMNS))
    grid = panels_of(figure, len(panels), COLUMNS)
    for axes, panel in zip(grid, panels, strict=True):
        _draw_panel(axes, root, panel)
    for axes in grid[::COLUMNS]:
        axes.set_ylabel("training loss (nats per token)")
    known = any(meta(root, panel.task).entropy_per_token is not None for panel in panels)
    runs = [run for panel in panels for curve in panel.curves for run in curve.seeds]
    figure.legend(handles=_legend(runs, known), loc="outside lower center", ncols=5)
    return figure


def _panels(config: Config, task: str) -> list[Panel]:
    """Of a task: the first variant of each look; and the variants of each look that several have, named."""
    alike: dict[str, list[list[Run]]] = {}
    for _, same in groupby(trained(config, task), key=lambda run: run.variant):
        seeds = list(same)
        alike.setdefault(str(_look(seeds[0])), []).append(seeds)
    if not alike:
        return []
    title = title_of(config, task)
    panels = [Panel(task, title, [Curve(variants[0], _look(variants[0][0])) for variants in alike.values()])]
    for variants in alike.values():
        if len(variants) > 1:
            looks = zip(variants, _looks(variants), strict=True)
            curves = [Curve(seeds, look, label=seeds[0].variant) for seeds, look in looks]
            panels.append(Panel(task, f"{title}, {_name(variants[0][0])}", curves))
    return panels


def _draw_panel(axes: Axes, root: Path, panel: Panel) -> None:
    import numpy as np

    shown: list[float] = []
    ends: list[tuple[float, float, str]] = []
    for seeds, look, label in panel.curves:
        curves = [_curve(root, run) for run in seeds]
        length = min(len(curve) for curve in curves)  # a run that is still going may be shorter
        if len(curves) > 1:
            for curve in curves:
                axes.plot(*curve.T, color=look["color"], linewidth=0.4 if label else 0.5, alpha=0.3)
        mean = np.mean([curve[:length] for curve in curves], axis=0)
        axes.plot(*mean.T, **look)
        if label:
            ends.append((float(mean[-1, 0]), float(mean[-1, 1]), label))
        if not _counts_visible(seeds[0]):
            shown += [float(value) for curve in curves for value in (curve[:, 1].min(), curve[:, 1].max())]
    low, high = axes.dataLim.intervalx
    entropy = meta(root, panel.task).entropy_per_token
    if entropy is not None:
        shown.append(entropy)
        axes.axhline(entropy, **ENTROPY)
    if len(shown) > 1:  # without carry-over the published loss counts visible tokens too and may leave the panel
        room = 0.05 * (max(shown) - min(shown))
        axes.set_ylim(min(shown) - room, max(shown) + 2 * room)
    masked = [curve.seeds[0] for curve in panel.curves if curve.seeds[0].model.kind == "masked"]
    objectives = sorted({objective_name(run.training.objective) for run in masked})
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.text(1.0, 1.0, "\n".join(objectives), transform=axes.transAxes, ha="right", va="top", fontsize=6.5, bbox=box)
    token_axis(axes, low, high, most=3 if ends else 4)
    if ends:
        name_ends(axes, ends)
    axes.set_title(panel.title)


def _curve(root: Path, run: Run) -> NDArray[float64]:
    """(steps, 2): tokens seen, loss."""
    import numpy as np

    rows = read_csv(layout.history_file(root, run.name))
    return np.array([(row["train_tokens"], row["loss"]) for row in rows], dtype=np.float64).reshape(-1, 2)


def _counts_visible(run: Run) -> bool:
    """Whether a run's loss counts visible tokens at the weight of the masked ones, which may make it very large."""
    return not run.carry_over and run.training.objective == "joint_loss"


def _look(run: Run) -> dict[str, Any]:
    if run.model.causal:
        return ARM
    look = look_of_model(model_columns_of(run))  # its open markers are those without carry-over
    look |= {"markersize": MARKER_SIZE, "markevery": (0.03 * (run.num_subtokens % 8), 0.25)}
    if run.training.objective == "nelbo":
        look |= HALF_FILLED if run.carry_over else {**HALF_FILLED, "markerfacecoloralt": look["color"]}
    return look if run.carry_over else {**look, "linewidth": PLAIN_WIDTH}


def _looks(variants: list[list[Run]]) -> list[dict[str, Any]]:
    """Of variants of one look: the first has it, the others are gray and thin, with the dashes of the next numbers."""
    own, number = _look(variants[0][0]), variants[0][0].num_subtokens
    others = [look_of(number + place) | {"markevery": (0.04 * place, 0.25)} for place in range(1, len(variants))]
    return [own, *(own | other | OTHER for other in others)]


def _legend(runs: list[Run], known: bool) -> list[Line2D]:
    """One entry for each l, and one for each other distinction that occurs."""
    masked = [run for run in runs if run.model.kind == "masked"]
    handles: dict[str, Line2D] = {}
    for run in sorted(masked, key=lambda run: model_order(model_columns_of(run))):
        name = _name(run)
        look = {key: _look(run)[key] for key in ("color", "linestyle", "marker", "markersize")}
        handles.setdefault(name, legend_entry(**look, label=name))
    others = []
    if len(masked) < len(runs):
        others.append(legend_entry(**ARM, label="ARM (exact likelihood)"))
    if not all(run.carry_over for run in masked):
        higher = " (may lie above)" if any(map(_counts_visible, masked)) else ""
        open_marker: dict[str, Any] = {"marker": "o", "markersize": MARKER_SIZE, "markerfacecolor": "white"}
        label = f"open: no carry-over{higher}"
        others.append(legend_entry(color=BLACK, linewidth=PLAIN_WIDTH, **open_marker, label=label))
    objectives = {run.training.objective for run in masked}
    if "nelbo" in objectives and len(objectives) > 1:
        half: dict[str, Any] = {"marker": "o", "markersize": MARKER_SIZE, **HALF_FILLED}
        others.append(legend_entry(color=BLACK, **half, label="half-filled: trained on the valid bound"))
    if known:
        others.append(legend_entry(**ENTROPY, label="entropy"))
    return [*handles.values(), *others]


def _name(run: Run) -> str:
    """A model in the legend, whatever its carry-over."""
    if run.model.causal:
        return "ARM"
    names = model_columns_of(run)
    if names["model"] == "MDM-Mixture":
        return str(names["model"])
    return rf"$\ell$ = {names['num_subtokens']}" + (" (MDM)" if names["model"] == "MDM" else "")


FIGURE = DeclaredFigure(
    label="Figure: training losses",
    category=RUN,
    paper=NOT_IN_PAPER,
    caption="Training loss in nats per token against tokens seen, a panel for each task; the objective stands in the "
    "panel. Where several variants of a task have the same look, that panel shows the first of them, and a panel of "
    "their own names each at its end. Thick lines: mean over seeds; faint lines: single seeds. A loss that falls below "
    "the dotted entropy is no bound. Losses of different objectives cannot be compared. Models of other papers are "
    "left out. Not in the paper.",
    needs=needs,
    draw=draw,
)
