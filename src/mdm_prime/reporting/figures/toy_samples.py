"""Figure 4 of the paper: samples of the 2-D toy beside the true density, for each number of sub-tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.runs import Run
from mdm_prime.reporting.declared import TOY, DeclaredFigure
from mdm_prime.reporting.drawing import PAGE, lines_of, new_figure, panels_of
from mdm_prime.reporting.loading import samples
from mdm_prime.reporting.tables.toy_likelihood import BINS, sampled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mdm_prime.reporting.histograms import Histogram

SHOWN_BINS = 64  # a side: fine enough to see the picture, coarse enough that 10^5 samples fill it
COLUMNS = 5


def needs(config: Config) -> list[Files]:
    found = []
    for task in config.of_kind("toy"):
        found.append(layout.data_file(task, "density.npy"))
        found += [layout.of_runs(config, task, "samples", name, sampled(config, task)) for name in layout.SAMPLE_FILES]
    return found


def draw(config: Config, root: Path) -> Figure:
    """For each task its density, then a panel for each sampler of each model."""
    pictures = [picture for task in config.of_kind("toy") for picture in _pictures(config, root, task)]
    columns = min(COLUMNS, len(pictures))
    figure = new_figure(PAGE * max(columns, 3) / COLUMNS, lines_of(len(pictures), columns) * PAGE / COLUMNS * 1.3)
    for axes, picture in zip(panels_of(figure, len(pictures), COLUMNS), pictures, strict=True):
        _image(axes, *picture)
    return figure


def _pictures(config: Config, root: Path, task: str) -> list[tuple[Histogram, float, str, str]]:
    """What each panel shows, the darkest value, the title, and the note below it."""
    from mdm_prime.reporting.arrays import load_array
    from mdm_prime.reporting.histograms import coarsen, histogram, total_variation

    size = config.task(task).data.vocab_size
    density = load_array(layout.data_dir(root, task) / "density.npy", (size, size))
    truth = coarsen(density, SHOWN_BINS)
    top = float(truth.max())
    title = "True density" if len(config.of_kind("toy")) == 1 else f"{task}: true density"
    pictures = [(truth, top, title, "")]
    for run in sorted(sampled(config, task), key=lambda run: run.num_subtokens):
        used = samples(root, run).samplers
        drawn = load_array(layout.sample_files(root, run.name)[0], (len(used), None, 2))
        for cells, sampler in zip(drawn, used, strict=True):
            distance = total_variation(histogram(cells, size, BINS), coarsen(density, BINS))
            shown = histogram(cells, size, SHOWN_BINS)
            name = _name(run) if len(used) == 1 else f"{_name(run)}\n{sampler.name}"
            pictures.append((shown, top, name, f"TV = {distance:.3f}"))
    return pictures


def _image(axes: Axes, values: Histogram, top: float, title: str, note: str) -> None:
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


FIGURE = DeclaredFigure(
    label="Figure: samples beside the density",
    category=TOY,
    paper="Figure 4",
    caption="**Figure 4.** The density in two dimensions, and histograms of samples of each model; dark is probable. "
    "TV is the total variation between samples and density: 0 for equal, 1 for disjoint distributions.",
    needs=needs,
    draw=draw,
)
