"""Bits per dimension of image models: the valid bound and the published loss, never one without the other."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import columns
from mdm_prime.reporting.columns import TRAINED_BPD, Column, spread_of, stderr_of
from mdm_prime.reporting.declared import IMAGES, NOT_IN_PAPER, Content, DeclaredTable, Metrics
from mdm_prime.reporting.images import INDEPENDENT, model_columns, model_order
from mdm_prime.reporting.loading import baselines, likelihoods, meta, over_seeds
from mdm_prime.reporting.records import Row

LOSSES = {
    "bpd_bound": "nelbo",
    "bpd_bound_tokens": "bound_tokens",
    "bpd_exact_left_to_right": "exact_left_to_right",
    "bpd_exact_lowest_entropy": "exact_lowest_entropy",
    "bpd_published": "joint_loss",
}
COUNTED = ("bpd_bound", "bpd_exact_left_to_right")  # what independent pixels have of the columns
COLUMNS = (
    columns.TASK,
    Column("dataset", "images that were trained and evaluated on", heading="Images"),
    replace(columns.IMAGE_MODEL, description=f"{columns.IMAGE_MODEL.description}; or {INDEPENDENT}: each counted at "
            "its place in the training images, smoothed; its bits are exact"),
    replace(columns.VARIANT, description=f"{columns.VARIANT.description}; empty for {INDEPENDENT}"),
    columns.CHANNEL_SUBTOKENS,
    columns.BASE,
    columns.PIXEL_CARRY_OVER,
    replace(columns.OBJECTIVE, description="what was trained: cross_entropy (the paper's for images), joint_loss or "
            "nelbo"),
    replace(columns.SEEDS, heading="Seeds"),
    Column("bpd_bound", "upper bound on the bits per dimension (a pixel's channel) of test images: the valid bound, "
           "mean over seeds", 4, heading="Bound (bpd)", tolerance=TRAINED_BPD),
    stderr_of("bpd_bound", "Monte Carlo standard error: mean over seeds, which share their draws"),
    spread_of("bpd_bound"),
    *columns.estimate(
        Column("bpd_bound_tokens", "upper bound likewise, by masks of whole pixels", 4,
               heading="Bound, whole pixels (bpd)", tolerance=TRAINED_BPD),
        "Monte Carlo standard error, likewise",
    ),
    *columns.estimate(
        Column("bpd_exact_left_to_right", "bits per dimension of the sampler that reveals the sub-tokens pixel by "
               "pixel: no bound, the value itself", 4, heading="Exact, left to right (bpd)", tolerance=TRAINED_BPD),
        "standard error over test images",
    ),
    *columns.estimate(
        Column("bpd_exact_lowest_entropy", "bits per dimension of the sampler that reveals the sub-token whose "
               "distribution has the least entropy", 4, heading="Exact, lowest entropy (bpd)", tolerance=TRAINED_BPD),
        "standard error over test images",
    ),
    replace(columns.EXACT_SEQUENCES, description="test images that the exact values are measured on"),
    Column("bpd_published", "the published loss in the same unit; no bound for l above 1; without carry-over it also "
           "counts visible pixels", 4, heading="Published loss (bpd)",
           tolerance=replace(TRAINED_BPD, with_carry_over_only=True)),
    replace(stderr_of("bpd_published", "Monte Carlo standard error, likewise"),
            tolerance=replace(columns.STDERR, with_carry_over_only=True)),
    spread_of("bpd_published"),
    Column("num_samples", "draws of a test image and of what is masked in it"),
    columns.PARAMETERS,
    replace(columns.TRAIN_TOKENS, description=f"{columns.TRAIN_TOKENS.description}: pixel channels, or two for each "
            "pixel where l is 2/3"),
    *columns.ORIGIN,
)  # fmt: skip


def needs(config: Config) -> list[Files]:
    return [
        files
        for task in config.images
        for files in (
            layout.data_file(task, "meta.json"),
            layout.baselines(task),
            layout.of_runs(config, task, "likelihood", ".json"),
        )
    ]


def build(config: Config, root: Path) -> Content:
    rows: list[Row] = []
    for task in config.images:
        # nats per token -> bits per dimension: of L tokens, C * H * W dimensions (3/2 L with super-tokens)
        bits = {run.variant: run.length / run.data.length / log(2) for run in config.runs(task)}
        found = likelihoods(config, root, task)
        named = {"task": task, "dataset": config.images[task].data.dataset}
        rows.append(named | _counted(baselines(root, task)[INDEPENDENT]))
        rows += sorted((named | _row(seeds, bits[name]) for name, seeds in found.items()), key=model_order)
    return Content(rows, extra={"corpora": {task: meta(root, task).corpus for task in config.images}})


def headline(rows: list[Row]) -> Metrics:
    """All that there are, with standard errors."""
    names = [f"{name}{error}" for name in LOSSES for error in ("", "_stderr")]
    return {
        (row["task"], row["variant"]): {name: row[name] for name in names if row[name] is not None}
        for row in rows
        if row["variant"]
    }


def _counted(row: Row) -> Row:
    """The row of independent pixels, whose likelihood is exact."""
    values = {
        f"{column}{end}": row[f"nats{end}"] / log(2) for column in COUNTED for end in ("", "_stderr")
    }  # a token is a dimension
    return values | {
        "model": INDEPENDENT,
        "objective": "counted",
        "num_samples": row["num_sequences"],
        "exact_sequences": row["num_sequences"],
        "train_tokens": row["train_tokens"],
    }


def _row(seeds: list[Row], bits: float) -> Row:
    first = seeds[0]
    values = [
        {
            f"{name}{error}": bits * row[f"{loss}{error}"]
            for name, loss in LOSSES.items()
            for error in ("", "_stderr")
            if row.get(loss) is not None
        }
        for row in seeds
    ]
    kept = (
        "base",
        "objective",
        "num_samples",
        "exact_sequences",
        "parameters",
        "train_tokens",
        *(c.name for c in columns.ORIGIN),
    )
    return {
        **{key: first.get(key) for key in kept},
        **model_columns(first),
        "seeds": len(seeds),
        **over_seeds(values, LOSSES),
    }


TABLE = DeclaredTable(
    label="Table: bits per dimension",
    category=IMAGES,
    paper=NOT_IN_PAPER,
    caption="Bits per dimension of test images, from the **valid bound** and from the **published loss**, which is no "
    "bound for ℓ > 1. Not in the paper, which compares images by FID.",
    title="Bits per dimension of image models, with the valid bound beside the published loss",
    summary="Bits per dimension of test images.",
    columns=COLUMNS,
    keys=("task", "model", "variant"),
    needs=needs,
    build=build,
    metrics=headline,
    notes=(
        "bpd_bound is an upper bound on the bits per dimension of every model, and so is bpd_bound_tokens, where whole "
        "pixel values are masked instead of sub-tokens; of independent pixels it is exact.",
        "bpd_exact columns are no bounds: a sampler that reveals sub-tokens in an order which depends only on what is "
        "revealed gives every image one probability. They are empty where that takes too many network evaluations.",
        "bpd_published is the loss that the paper's text models report. For l = 1 with carry-over it is the same "
        "bound. Above l = 1 it is no bound: see bound_validity. Without carry-over it also counts visible pixels "
        "at a large weight, and may be very large.",
        "With super-tokens (l = 2/3) a pixel is two tokens; bits are counted per pixel channel all the same.",
        "A model trained with cross_entropy minimises neither: it was trained for its images.",
    ),
)
