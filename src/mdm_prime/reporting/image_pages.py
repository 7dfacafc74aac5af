"""What the figures of images share: pixels as colours, and rows of images on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mdm_prime.reporting.drawing import GRAY, PAGE

Picture = NDArray[np.float64]  # (H, W, 3), colours 0..1; or (H, W, 4), the last the share that is hidden

TINT = np.array([0.62, 0.80, 1.0])  # what is hidden
HATCH = (0.05, 0.25, 0.6)  # lines over it, so that it is seen without colours as well
PIXELS, EVERY = 200, 7  # of the hatching: an inch, and from line to line
LABEL = 1.1  # inches, left of the images
MARGIN = 0.05
GAP = 0.12  # between groups of images
TITLE, HEADING, SPACE = 0.2, 0.16, 0.12  # heights of a block's title and headings, and below it
LARGEST, TALLEST = 0.5, 9.0  # an image, and the images of a page


@dataclass(frozen=True)
class Block:
    """Rows of images below a title.

    Attributes:
        title: above the rows.
        note: how to read them, at the right of the title.
        labels: one for each row, at its left, of up to three lines; all empty leave no room for them.
        groups: columns that stand together: for each group, for each row, its pictures. Rows may differ in length.
        headings: one above each group; () for none.
    """

    title: str
    note: str
    labels: Sequence[str]
    groups: Sequence[Sequence[Sequence[Picture]]]
    headings: Sequence[str] = ()

    @property
    def columns(self) -> list[int]:
        """Width of each group, in images."""
        return [max(len(pictures) for pictures in group) for group in self.groups]

    @property
    def left(self) -> float:
        """Where the images begin, in inches."""
        return LABEL if any(self.labels) else MARGIN


def colours(pixels: NDArray[Any], vocab_size: int) -> NDArray[np.float64]:
    """Pixel values (..., C, H, W) in 0..V-1 as colours (..., H, W, 3) in 0..1; one channel is gray, zero is black."""
    shares = np.moveaxis(np.asarray(pixels, dtype=np.float64) / (vocab_size - 1), -3, -1)
    return np.broadcast_to(shares, (*shares.shape[:-1], 3)) if shares.shape[-1] == 1 else shares


def tinted(shown: NDArray[Any], masked: NDArray[Any], vocab_size: int) -> NDArray[np.float64]:
    """Partly hidden pixels: the mean of what is still possible, blended towards TINT by the share that is hidden.

    `shown` and `masked` are (..., C, H, W), in 0..V-1 and 0..1; the share is the mean over channels. Returns
    (..., H, W, 4), the last the share.
    """
    share = np.asarray(masked, dtype=np.float64).mean(axis=-3)[..., None]
    blended = (1 - share) * colours(shown, vocab_size) + share * TINT
    return np.concatenate([blended, share], axis=-1)


def page(blocks: Sequence[Block]) -> Figure:
    """The blocks below each other, on the width of a page; images as large as its width and height allow."""
    sides = [min(LARGEST, (PAGE - block.left - GAP * len(block.groups)) / sum(block.columns)) for block in blocks]
    images = sum(side * len(block.labels) for side, block in zip(sides, blocks, strict=True))
    sides = [side * min(1.0, TALLEST / images) for side in sides]
    text = [TITLE + HEADING * bool(block.headings) for block in blocks]
    tall = [above + side * len(b.labels) + SPACE for above, side, b in zip(text, sides, blocks, strict=True)]
    figure = Figure(figsize=(PAGE, sum(tall)))
    figure.set_layout_engine("none")
    top = sum(tall)
    for block, side, above, height in zip(blocks, sides, text, tall, strict=True):
        _block(figure, block, side, top, above)
        top -= height
    return figure


def _block(figure: Figure, block: Block, side: float, top: float, above: float) -> None:
    """Draws a block whose upper edge is `top` inches above the figure's lower one."""
    width, height = figure.get_size_inches()
    figure.text(MARGIN / width, (top - 0.03) / height, block.title, va="top", fontsize=8, fontweight="bold")
    figure.text(1 - MARGIN / width, (top - 0.04) / height, block.note, ha="right", va="top", fontsize=6.5, color=GRAY)
    first = top - above
    for number, label in enumerate(block.labels):
        y = (first - (number + 0.5) * side) / height
        figure.text((block.left - 0.06) / width, y, label, ha="right", va="center", fontsize=6.5, linespacing=1.1)
    left = block.left
    for number, (group, columns) in enumerate(zip(block.groups, block.columns, strict=True)):
        wide, tall = columns * side, len(block.labels) * side
        if block.headings:
            figure.text(left / width, (first + 0.03) / height, block.headings[number], va="bottom", fontsize=7)
        axes = figure.add_axes((left / width, (first - tall) / height, wide / width, tall / height))
        canvas = mosaic(group, columns)
        axes.imshow(canvas[..., :3], interpolation="nearest", aspect="auto")
        if (hidden := canvas[..., 3] == 1).any():
            axes.imshow(
                hatching(hidden, wide, tall), extent=axes.images[0].get_extent(), interpolation="nearest", aspect="auto"
            )
        axes.set_axis_off()
        left += wide + GAP


def mosaic(group: Sequence[Sequence[Picture]], columns: int) -> Picture:
    """The rows of a group as one picture (H, W, 4) on white, every image with a margin right and below."""
    size = len(group[0][0])
    margin = max(1, round(size / 16))
    cell = size + margin
    canvas = np.ones((len(group) * cell, columns * cell, 4))
    canvas[..., 3] = 0
    for row, pictures in enumerate(group):
        for column, picture in enumerate(pictures):
            top, left = row * cell, column * cell
            canvas[top : top + size, left : left + size, : picture.shape[-1]] = picture
    return canvas


def hatching(hidden: NDArray[np.bool_], width: float, height: float) -> NDArray[np.float64]:
    """Oblique lines over hidden pixels (H, W), as RGBA for a picture of `width` x `height` inches."""
    rows, columns = (np.arange(max(1, round(PIXELS * inches))) for inches in (height, width))
    over = hidden[np.ix_(rows * len(hidden) // len(rows), columns * hidden.shape[1] // len(columns))]
    lines = np.add.outer(rows, columns) % EVERY == 0
    return np.concatenate([np.broadcast_to(HATCH, (*over.shape, 3)), (over & lines)[..., None]], axis=-1)
