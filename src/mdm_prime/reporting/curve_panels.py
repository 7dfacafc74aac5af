"""Panels of curves against tokens seen: the axis of tokens, and names at the ends of the curves."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from mdm_prime.reporting.drawing import GRAY, lines_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME_SIZE = 6  # points
NAME_HEIGHT, LETTER_WIDTH = 0.062, 0.028  # of a panel that is a third of a page wide
LEADER: dict[str, Any] = {"arrowstyle": "-", "color": GRAY, "linewidth": 0.4}
LEADER |= {"relpos": (0, 0.5), "patchA": None, "shrinkA": 1, "shrinkB": 1}  # up to the first letter of the name


def token_axis(axes: Axes, low: float, high: float, most: int) -> None:
    """The x axis of tokens seen from low to high: at most so many ticks, such as 50k; logarithmic where it is long."""
    from matplotlib.ticker import MaxNLocator

    if high > 10 * low > 0:
        axes.set_xscale("log")
        ticks = _logarithmic(low, high, most)
    else:
        found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = [tick for tick in found if low <= tick <= high] or [low]
    axes.set_xticks(ticks, [in_short(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training tokens")


def _logarithmic(low: float, high: float, most: int) -> list[float]:
    """Of numbers that begin with 1, 2 or 5: all, the powers of ten, every second or some powers, as many as may be."""
    powers = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    tens = [power for power in powers if low <= power <= high]
    every = [digit * power for power in powers for digit in (1, 2, 5) if low <= digit * power <= high]
    choices = (every, tens, every[::2], tens[:: lines_of(len(tens), most)])
    return next(ticks for ticks in choices if 1 < len(ticks) <= most)


def in_short(number: float) -> str:
    """A number of tokens, such as 50k."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def name_ends(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Names curves that end at (x, y), in room that it makes to the right of them, as high as they end or nearly so."""
    bottom, top = axes.get_ylim()
    ends = sorted(((x, min(max(y, bottom), top), name) for x, y, name in ends), key=lambda end: end[1])
    height = NAME_HEIGHT * (top - bottom)
    heights = spread([y for _, y, _ in ends], height)
    axes.set_ylim(min(bottom, heights[0] - height), max(top, heights[-1] + height))
    scale = axes.xaxis.get_transform()  # the room is a share of the panel, on a logarithmic axis too
    low, high = scale.transform(list(axes.dataLim.intervalx))
    share = min(0.07 + LETTER_WIDTH * max(len(name) for _, _, name in ends), 0.6)
    right = high + share / (1 - share) * (high - low)
    start, right = scale.inverted().transform([high + 0.08 * (high - low), right])
    axes.set_xlim(right=right)
    for (x, y, name), place in zip(ends, heights, strict=True):
        axes.annotate(
            name, (x, y), xytext=(start, place), textcoords="data", va="center", fontsize=NAME_SIZE, arrowprops=LEADER
        )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Ascending values, moved no more than it takes for each to be `gap` above the one before: isotonic regression."""
    blocks: list[tuple[float, int]] = []  # sum and number of values that are moved together
    for place, value in enumerate(values):
        total, number = value - place * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / number:
            before, several = blocks.pop()
            total, number = before + total, several + number
        blocks.append((total, number))
    moved = [total / number for total, number in blocks for _ in range(number)]
    return [value + place * gap for place, value in enumerate(moved)]
