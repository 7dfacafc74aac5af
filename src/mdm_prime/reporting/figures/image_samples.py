"""Real test images, and the first images that each model draws, not selected."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting.figures.images import Block, Picture, colours, page
from mdm_prime.reporting.images import display_name, load_array, names_of, order, samplers

IMAGES = 16  # in a row


def draw(config: Config, results: Path) -> Figure:
    return page([_block(config, layout.scale_root(results, config.scale), task) for task in config.images])


def _block(config: Config, root: Path, task: str) -> Block:
    data = config.image_task(task).data
    shape = (-1, data.channels, data.size, data.size)
    real = load_array(layout.data_dir(root, task) / "validation.npy", (None, data.length))[:IMAGES]
    rows: list[list[Picture]] = [list(colours(real.reshape(shape), data.vocab_size))]
    labels = ["real test images"]
    first_seed = config.image_task(task).seeds[0]
    runs = [run for run in config.runs(task) if run.seed == first_seed]
    for run in sorted(runs, key=lambda run: order(names_of(run))):
        array, described = layout.sample_files(root, run.name)
        used = samplers(described)
        last = max(range(len(used)), key=lambda number: float(used[number]["nfe_mean"]))
        images = load_array(array, (len(used), None, data.length))[last, :IMAGES]
        rows.append(list(colours(images.reshape(shape), data.vocab_size)))
        labels.append(display_name(names_of(run), "\n") + f"\n{used[last]['nfe_mean']:.0f} evaluations")
    note = "the first images of each model, not selected, at its most network evaluations"
    return Block(data.dataset, note, labels, [rows])
