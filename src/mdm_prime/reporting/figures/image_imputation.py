"""Images of which a part is given, and what a model completes them to."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.tasks import Run
from mdm_prime.reporting.figures.images import Block, Picture, colours, page, tinted
from mdm_prime.reporting.images import display_name, load_arrays, names_of, subtokens

IMAGES = 4


def draw(config: Config, results: Path) -> Figure:
    return page([_block(config, layout.scale_root(results, config.scale), task) for task in config.images])


def _block(config: Config, root: Path, task: str) -> Block:
    run = most_subtokens(config, task)
    data = config.image_task(task).data
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
    title = f"{data.dataset}, {display_name(names_of(run))}"
    note = "what is given, then completions; hidden: hatched; partly known: mean of what is possible, tinted"
    return Block(title, note, [""] * len(original), groups, ["original", *(str(kind) for kind in saved["kinds"])])


def most_subtokens(config: Config, task: str) -> Run:
    """The first seed of the variant with most sub-tokens per pixel channel."""
    return max(config.runs(task), key=lambda run: subtokens(run.num_subtokens, run.super_tokens))
