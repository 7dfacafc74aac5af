"""Figure 4 of the paper: samples of the 2-D toy beside the true density, for each number of sub-tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.tasks import Run
from mdm_prime.reporting.figures.drawing import PAGE
from mdm_prime.reporting.histograms import TV_BINS, Histogram, coarsen, histogram, total_variation

SHOWN_BINS = 64  # a side: fine enough to see the picture, coarse enough that 10^5 samples fill it
COLUMNS = 5


def draw(config: Config, results: Path) -> Figure:
    root = layout.scale_root(results, config.scale)
    density = np.load(layout.data_dir(root, "toy") / "density.npy")
    runs = sorted(
        (run for run in layout.sampled_runs(config, "toy") if run.model == "masked"), key=lambda run: run.num_subtokens
    )
    panels = 1 + len(runs)
    columns = min(COLUMNS, panels)
    lines = -(-panels // columns)
    figure = Figure(figsize=(PAGE * max(columns, 3) / COLUMNS, lines * PAGE / COLUMNS * 1.3))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    truth = coarsen(density, SHOWN_BINS)
    top = float(truth.max())
    _image(axes[0], truth, top, "True density")
    for panel, run in zip(axes[1:], runs, strict=False):
        samples = np.load(layout.sample_files(root, run.name)[0], mmap_mode="r")
        distance = total_variation(histogram(samples, len(density), TV_BINS), coarsen(density, TV_BINS))
        _image(panel, histogram(samples, len(density), SHOWN_BINS), top, _name(run), f"TV = {distance:.3f}")
    for panel in axes[panels:]:
        panel.set_axis_off()
    return figure


def _image(axes: Axes, values: Histogram, top: float, title: str, note: str = "") -> None:
    """The first token is the row, so that the picture stands upright; dark is probable, white is zero."""
    axes.imshow(values, cmap="gray_r", vmin=0.0, vmax=top, interpolation="nearest", rasterized=True)
    axes.set_title(title, fontsize=7.5, loc="center")
    axes.set_xlabel(note)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)


def _name(run: Run) -> str:
    name = rf"$\ell$ = {run.num_subtokens}" + (" (MDM)" if run.num_subtokens == 1 else "")
    return name if run.carry_over else f"{name}, no carry-over"
