"""Real test images, and the first images that each model draws, not selected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting.declared import IMAGES as CATEGORY
from mdm_prime.reporting.declared import DeclaredFigure
from mdm_prime.reporting.figures.image_denoising import by_model, first_seed
from mdm_prime.reporting.images import display_name
from mdm_prime.reporting.loading import samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mdm_prime.reporting.image_pages import Block, Picture

IMAGES = 16  # in a row


def needs(config: Config) -> list[Files]:
    found = []
    for task in config.images:
        runs = first_seed(config, task)
        found.append(layout.data_file(task, "heldout.npy"))
        found += [layout.of_runs(config, task, "samples", name, runs) for name in layout.SAMPLE_FILES]
    return found


def draw(config: Config, root: Path) -> Figure:
    from mdm_prime.reporting.image_pages import page

    return page([_block(config, root, task) for task in config.images])


def _block(config: Config, root: Path, task: str) -> Block:
    from mdm_prime.reporting.arrays import load_array
    from mdm_prime.reporting.image_pages import Block, colours

    data = config.images[task].data
    shape = (-1, data.channels, data.size, data.size)
    real = load_array(layout.data_dir(root, task) / "heldout.npy", (None, data.length))[:IMAGES]
    rows: list[list[Picture]] = [list(colours(real.reshape(shape), data.vocab_size))]
    labels = ["real test images"]
    for run, model in by_model(config, root, task):
        used = samples(root, run).samplers
        last = max(range(len(used)), key=lambda number: used[number].nfe_mean)
        images = load_array(layout.sample_files(root, run.name)[0], (len(used), None, data.length))[last, :IMAGES]
        rows.append(list(colours(images.reshape(shape), data.vocab_size)))
        labels.append(display_name(model, "\n") + f"\n{used[last].nfe_mean:.0f} evaluations")
    note = "the first images of each model, not selected, at its most network evaluations"
    return Block(data.dataset, note, labels, [rows])


FIGURE = DeclaredFigure(
    label="Figure: drawn images",
    category=CATEGORY,
    paper="samples, on any images",
    caption="Real test images, and below them the first images that each model draws with its sampler of most network "
    "evaluations. Not selected.",
    needs=needs,
    draw=draw,
)
