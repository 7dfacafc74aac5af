"""What the figures share: style, colours and how they are saved. Matplotlib is loaded when something is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import replacing
from mdm_prime.reporting import declared
from mdm_prime.reporting.records import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMN = 3.25  # inches: one column of a paper
PAGE = 6.75  # two columns

# Okabe and Ito's colours, distinct for colour-blind readers. Their yellow is too faint for a line on white: instead of
# it, wine and olive of Paul Tol's muted scheme.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE, WINE, OLIVE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#882255",
    "#999933",
)
GRAY = "#777777"
# Nine colours and ten lines: where a colour comes again, its line is another.
_COLOURS = {1: BLACK, 2: ORANGE, 3: SKY, 4: GREEN, 5: WINE, 6: BLUE, 7: VERMILLION, 8: PURPLE, 9: OLIVE}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "h", "<", ">")
_LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 1.5, 3, 1.5)),
    (0, (1, 2.5)),
    (0, (3, 3)),
    (0, (9, 1, 1, 1, 1, 1)),
)

PUBLISHED_LOSS = r"published loss (no bound for $\ell > 1$)"
VALID_BOUND = "valid bound"
OBJECTIVES = {
    "joint_loss": PUBLISHED_LOSS,
    "nelbo": VALID_BOUND,
    "cross_entropy": "unweighted cross-entropy (no bound)",
    "complement": r"complement loss (no bound for $\ell > 1$)",
    "complement_nelbo": "valid complement bound",
}
TITLES = {"known_entropy": "Markov source", "text": "Text", "toy": "2-D toy"}  # of the tasks of a kind
SIZED = ("known_entropy",)  # kinds whose data have no name of their own, but a vocabulary and a length


def write_figure(name: str, config: Config, root: Path) -> list[Path]:
    """Draws a figure from the files of a scale and writes layout.figure_files, which it returns.

    The same bytes for the same inputs and matplotlib. Raises UserError for a missing or unreadable input.
    """
    files = layout.figure_files(root, name)
    with style():
        save(declared.figure(name).draw(config, root), files)
    return files


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def panels_of(figure: Figure, number: int, columns: int, width_ratios: Sequence[float] | None = None) -> list[Axes]:
    """That many panels, in lines of `columns`; what is left of the last line stays empty."""
    columns = min(columns, number)
    grid = figure.subplots(lines_of(number, columns), columns, squeeze=False, width_ratios=width_ratios)
    panels = list(grid.ravel())
    for axes in panels[number:]:
        axes.set_axis_off()
    return panels[:number]


def lines_of(number: int, columns: int) -> int:
    """The lines that so many panels take."""
    return -(-number // columns)


def legend_entry(**look: Any) -> Line2D:
    """A line that is in the legend only."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def objective_name(objective: str) -> str:
    """What an objective is called; one that is not known here by its own name."""
    return OBJECTIVES.get(objective, objective.replace("_", " "))


def title_of(config: Config, task: str) -> str:
    """What a task is called: its data set or kind, where it is the only one of it; of several sources, with sizes."""
    if task in config.images:
        datasets = [section.data.dataset for section in config.images.values()]
        dataset = config.images[task].data.dataset
        return dataset if datasets.count(dataset) == 1 else task
    kind = config.tasks[task].data.kind
    same = config.of_kind(kind)
    if len(same) == 1:
        return TITLES.get(kind, task)
    if kind not in SIZED:
        return task
    sizes = {name: f"V = {one.data.vocab_size:,}, L = {one.data.length:,}" for name, one in same.items()}
    return f"{TITLES[kind]}, {sizes[task]}" if list(sizes.values()).count(sizes[task]) == 1 else task


def look_of_model(row: Row) -> dict[str, Any]:
    """Colour, marker and line of a model (columns model, num_subtokens, carry_over); open markers: no carry-over."""
    if row["model"] == "MDM-Mixture":
        look: dict[str, Any] = {"color": GRAY, "marker": "P", "linestyle": (0, (6, 1, 1, 1))}
    elif "/" in str(row["num_subtokens"]):
        look = {"color": VERMILLION, "marker": "v", "linestyle": (0, (2, 1))}
    else:
        look = look_of(int(row["num_subtokens"]))
    return look if row["carry_over"] == "yes" else {**look, "markerfacecolor": "white"}


def look_of(num_subtokens: int) -> dict[str, Any]:
    """Colour, marker and line style of an l: the same in every figure, and distinct in black and white."""
    return {
        "color": _COLOURS[(num_subtokens - 1) % len(_COLOURS) + 1],
        "marker": _MARKERS[(num_subtokens - 1) % len(_MARKERS)],
        "linestyle": _LINES[(num_subtokens - 1) % len(_LINES)],
    }


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's defaults with style.mplstyle, whatever the user's own configuration says."""
    import matplotlib as mpl
    import matplotlib.style

    path = resources.files("mdm_prime.reporting") / "style.mplstyle"
    with mpl.rc_context(), resources.as_file(path) as file:
        matplotlib.style.use(["default", file])
        yield


def save(figure: Figure, files: Sequence[Path]) -> None:
    """Saves to each path by its suffix, without date or software version inside."""
    metadata: dict[str, dict[str, Any]] = {
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    for path in files:
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata[path.suffix])


def integer_axis(axes: Axes, values: Sequence[int]) -> None:
    """The x axis of sub-tokens: a tick at each value that occurs."""
    ticks = sorted(set(values))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel(r"sub-tokens per token, $\ell$")


def empty(axes: Axes, text: str) -> None:
    """Says that a panel has nothing to show, instead of showing an empty frame."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GRAY, transform=axes.transAxes)
