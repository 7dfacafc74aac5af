"""What the figures share: style, colours and how they are saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdm_prime.files import replacing

COLUMN = 3.25  # inches: one column of a paper
PAGE = 6.75  # two columns

# Okabe and Ito's colours, distinct for colour-blind readers. Their yellow is too faint for a line on white: instead of
# it, wine of Paul Tol's muted scheme.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE, WINE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#882255",
)
GRAY = "#777777"
_COLOURS = {1: BLACK, 2: ORANGE, 3: SKY, 4: GREEN, 5: WINE, 6: BLUE, 7: VERMILLION, 8: PURPLE}
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
)

PUBLISHED_LOSS = r"published loss (no bound for $\ell > 1$)"
VALID_BOUND = "valid bound"
CROSS_ENTROPY = "unweighted cross-entropy (no bound)"
OBJECTIVES = {"joint_loss": PUBLISHED_LOSS, "nelbo": VALID_BOUND, "cross_entropy": CROSS_ENTROPY}


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
