"""Bits per dimension of image models: the valid bound and the published loss, never one without the other."""

from __future__ import annotations

from math import log
from pathlib import Path

import pandas as pd

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.tasks import Run
from mdm_prime.files import read_json
from mdm_prime.reporting.images import MODEL_KEYS, names, order
from mdm_prime.reporting.loading import LIKELIHOOD_KEYS, meta, over_seeds
from mdm_prime.reporting.records import Row, pick
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

COLUMNS = (
    Column("dataset", "images that were trained and evaluated on", heading="Images"),
    Column("model", "MDM: whole pixel values; MDM-Mixture: the same, mean of class-conditional predictions; MDM-Prime: "
           "sub-tokens", heading="Model"),
    Column("variant", "name of the variant in the params file"),
    Column("num_subtokens", "l, sub-tokens per pixel channel; 2/3: a pixel of three channels as two tokens",
           heading=r"$\ell$"),
    Column("base", "b, values of a sub-token, the mask not counted", heading="$b$"),
    Column("carry_over", "whether pixel values that contradict a visible sub-token get probability zero",
           heading="Carry-over"),
    Column("objective", "what was trained: cross_entropy (the paper's for images), joint_loss or nelbo"),
    Column("seeds", "number of trained networks", heading="Seeds"),
    Column("bpd_bound", "upper bound on the bits per dimension (a pixel's channel) of test images: the valid bound, "
           "mean over seeds", 4, heading="Bound (bpd)"),
    Column("bpd_bound_stderr", "Monte Carlo standard error: mean over seeds, which share their draws", 4),
    Column("bpd_bound_spread", "standard deviation over seeds; empty for one seed", 4),
    Column("bpd_published", "the published loss in the same unit; no bound for l above 1; without carry-over it also "
           "counts visible pixels", 4, heading="Published loss (bpd)"),
    Column("bpd_published_stderr", "Monte Carlo standard error, likewise", 4),
    Column("bpd_published_spread", "standard deviation over seeds; empty for one seed", 4),
    Column("num_samples", "draws of a test image and of what is masked in it"),
    Column("parameters", "number of weights"),
    Column("train_tokens", "tokens seen in training: pixel channels, or two for each pixel where l is 2/3"),
)  # fmt: skip
KEYS = (*LIKELIHOOD_KEYS, "super_tokens", "components")


def build(config: Config, results: Path) -> Table:
    root = layout.scale_root(results, config.scale)
    rows, corpora = [], {}
    for task in config.images:
        corpora[task] = meta(root, task, ("corpus",))["corpus"]
        found = [_row(root, list(group), task, config) for group in _by_variant(config, task)]
        rows += sorted(found, key=order)
    return Table(
        name="image_likelihood",
        title="Bits per dimension of image models, with the valid bound beside the published loss",
        caption="Bits per dimension of test images.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "image_likelihood")),
        notes=(
            "bpd_bound is an upper bound on the bits per dimension of every model.",
            "bpd_published is the loss that the paper's text models report. For l = 1 with carry-over it is the same "
            "bound. Above l = 1 it is no bound: see bound_validity. Without carry-over it also counts visible pixels "
            "at a large weight, and may be very large.",
            "With super-tokens (l = 2/3) a pixel is two tokens; bits are counted per pixel channel all the same.",
            "A model trained with cross_entropy minimises neither: it was trained for its images.",
        ),
        extra={"corpora": corpora},
    )


def _by_variant(config: Config, task: str) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in config.runs(task):
        groups.setdefault(run.variant, []).append(run)
    return list(groups.values())


def _row(root: Path, runs: list[Run], task: str, config: Config) -> Row:
    files = [layout.likelihood_file(root, run.name) for run in runs]
    saved = [pick(file, read_json(file), KEYS) for file in files]
    # nats per token -> bits per dimension: of L tokens, C * H * W dimensions (3/2 L with super-tokens)
    bits = runs[0].length / runs[0].data.length / log(2)
    values = {
        f"{name}{suffix}": [bits * row[f"{loss}{suffix}"] for row in saved]
        for name, loss in (("bpd_bound", "nelbo"), ("bpd_published", "joint_loss"))
        for suffix in ("", "_stderr")
    }
    first = saved[0]
    return {
        "dataset": config.image_task(task).data.dataset,
        **names({key: first[key] for key in MODEL_KEYS}),
        **{key: first[key] for key in ("base", "objective", "num_samples", "parameters", "train_tokens")},
        "seeds": len(saved),
        **over_seeds(pd.DataFrame(values), ("bpd_bound", "bpd_published")),
    }
