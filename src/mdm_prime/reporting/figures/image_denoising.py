"""Images on their way from all masked to clean, for each model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.runs import Run
from mdm_prime.reporting.declared import IMAGES as CATEGORY
from mdm_prime.reporting.declared import DeclaredFigure
from mdm_prime.reporting.images import display_name, model_order, sampled_model
from mdm_prime.reporting.records import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mdm_prime.reporting.image_pages import Block, Picture

IMAGES = 2  # of each model


def needs(config: Config) -> list[Files]:
    return [
        layout.of_runs(config, task, "samples", file, first_seed(config, task))
        for task in config.images
        for file in ("path.npz", "samples.json")
    ]


def first_seed(config: Config, task: str) -> list[Run]:
    """The first run of each variant."""
    return [run for run in config.runs(task) if run.seed == config.task(task).seeds[0]]


def by_model(config: Config, root: Path, task: str) -> list[tuple[Run, Row]]:
    """The same with the model that each is, in the order of models."""
    found = [(run, sampled_model(root, run)) for run in first_seed(config, task)]
    return sorted(found, key=lambda pair: model_order(pair[1]))


def draw(config: Config, root: Path) -> Figure:
    from mdm_prime.reporting.image_pages import page

    return page([_block(config, root, task) for task in config.images])


def _block(config: Config, root: Path, task: str) -> Block:
    from mdm_prime.reporting.arrays import load_arrays
    from mdm_prime.reporting.image_pages import Block, tinted

    section = config.images[task]
    data = section.data
    picture = (None, None, data.channels, data.size, data.size)
    models = by_model(config, root, task)
    strips: list[list[list[Picture]]] = []  # runs, images, times
    for run, _ in models:
        path = layout.path_file(root, run.name)
        saved = load_arrays(path, {"times": (None,), "shown": picture, "masked": picture})
        views = tinted(saved["shown"][:, :IMAGES], saved["masked"][:, :IMAGES], data.vocab_size)
        strips.append([list(views[:, image]) for image in range(views.shape[1])])
    groups = [[strip[image] for strip in strips] for image in range(min(map(len, strips)))]
    note = "from all masked (hatched) to the finished image; partly known: mean of what is possible, tinted"
    return Block(data.dataset, note, [display_name(model, "\n") for _, model in models], groups)


FIGURE = DeclaredFigure(
    label="Figure: from all masked to finished",
    category=CATEGORY,
    paper="samples, on any images",
    caption="Images on their way from all masked, at the left, to finished, for each model. Hidden pixels are "
    "hatched; of a partly known pixel the mean of what is still possible is shown, the bluer the more of it "
    "is hidden. The first images, not selected.",
    needs=needs,
    draw=draw,
)
