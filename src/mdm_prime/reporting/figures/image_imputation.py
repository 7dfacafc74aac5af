"""Images of which a part is given, and what a model completes them to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.runs import Run
from mdm_prime.reporting.declared import IMAGES as CATEGORY
from mdm_prime.reporting.declared import DeclaredFigure
from mdm_prime.reporting.images import channel_subtokens, display_name, sampled_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mdm_prime.reporting.image_pages import Block, Picture

IMAGES = 4


def needs(config: Config) -> list[Files]:
    return [
        layout.of_runs(config, task, "samples", file, [most_subtokens(config, task)])
        for task in config.images
        for file in ("imputation.npz", "samples.json")
    ]


def draw(config: Config, root: Path) -> Figure:
    from mdm_prime.reporting.image_pages import page

    return page([_block(config, root, task) for task in config.images])


def _block(config: Config, root: Path, task: str) -> Block:
    from mdm_prime.reporting.arrays import load_arrays
    from mdm_prime.reporting.image_pages import Block, colours, tinted

    run = most_subtokens(config, task)
    data = config.images[task].data
    picture = (data.channels, data.size, data.size)
    saved = load_arrays(
        layout.imputation_file(root, run.name),
        {
            "kinds": (None,),
            "original": (None, *picture),
            "shown": (None, None, *picture),
            "masked": (None, None, *picture),
            "completed": (None, None, None, *picture),
        },
    )
    original = colours(saved["original"][:IMAGES], data.vocab_size)
    groups: list[list[list[Picture]]] = [[[image] for image in original]]
    for number in range(len(saved["kinds"])):
        known = tinted(saved["shown"][number], saved["masked"][number], data.vocab_size)
        drawn = colours(saved["completed"][number], data.vocab_size)  # (m, n, H, W, 3)
        groups.append([[known[image], *drawn[:, image]] for image in range(len(original))])
    title = f"{data.dataset}, {display_name(sampled_model(root, run))}"
    note = "what is given, then completions; hidden: hatched; partly known: mean of what is possible, tinted"
    return Block(title, note, [""] * len(original), groups, ["original", *(str(kind) for kind in saved["kinds"])])


def most_subtokens(config: Config, task: str) -> Run:
    """The first seed of the variant with most sub-tokens per pixel channel."""
    return max(config.runs(task), key=lambda run: channel_subtokens(run.num_subtokens, run.super_tokens))


FIGURE = DeclaredFigure(
    label="Figure: completed images",
    category=CATEGORY,
    paper="imputation, on any images",
    caption="Test images, what is given of them, and completions by the model with the most sub-tokens. Hidden pixels "
    "are hatched; of a partly known pixel the mean of what is still possible is shown. The first images, not "
    "selected.",
    needs=needs,
    draw=draw,
)
