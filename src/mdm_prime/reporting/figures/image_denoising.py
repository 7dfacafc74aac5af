"""Images on their way from all masked to clean, for each model."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting.figures.images import Block, Picture, page, tinted
from mdm_prime.reporting.images import display_name, load_arrays, names_of, order

IMAGES = 2  # of each model


def draw(config: Config, results: Path) -> Figure:
    return page([_block(config, layout.scale_root(results, config.scale), task) for task in config.images])


def _block(config: Config, root: Path, task: str) -> Block:
    section = config.image_task(task)
    data = section.data
    picture = (None, None, data.channels, data.size, data.size)
    runs = [run for run in config.runs(task) if run.seed == section.seeds[0]]
    runs.sort(key=lambda run: order(names_of(run)))
    strips: list[list[list[Picture]]] = []  # runs, images, times
    for run in runs:
        path = layout.path_file(root, run.name)
        saved = load_arrays(path, {"times": (None,), "shown": picture, "masked": picture})
        views = tinted(saved["shown"][:, :IMAGES], saved["masked"][:, :IMAGES], data.vocab_size)
        strips.append([list(views[:, image]) for image in range(views.shape[1])])
    groups = [[strip[image] for strip in strips] for image in range(min(map(len, strips)))]
    note = "from all masked (hatched) to the finished image; partly known: mean of what is possible, tinted"
    return Block(data.dataset, note, [display_name(names_of(run), "\n") for run in runs], groups)
