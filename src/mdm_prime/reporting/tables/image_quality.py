"""How near drawn images come to real ones, for every model, sampler and seed, beside two baselines."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting.images import METRICS, baselines, names, order, qualities
from mdm_prime.reporting.loading import meta
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

COLUMNS = (
    Column("dataset", "images that were trained on and compared with", heading="Images"),
    Column("model", "MDM: whole pixel values; MDM-Mixture: the same, mean of class-conditional predictions; MDM-Prime: "
           "sub-tokens; or a baseline: real test images, or pixels drawn independently from their own frequencies",
           heading="Model"),
    Column("variant", "name of the variant in the params file; empty for a baseline"),
    Column("num_subtokens", "l, sub-tokens per pixel channel; 2/3: a pixel of three channels as two tokens",
           heading=r"$\ell$"),
    Column("carry_over", "whether pixel values that contradict a visible sub-token get probability zero",
           heading="Carry-over"),
    Column("sampler", "kind and number of steps: euler (the paper's), ancestral or first_hitting", heading="Sampler"),
    Column("draws", "joint: a position's sub-tokens are drawn as one token; marginals: independently"),
    Column("nfe", "network evaluations per image, mean", 1, heading="NFE"),
    Column("seed", "training seed"),
    Column("distance_name", "which features the distance is on: fid (Inception) or fd_TASK (the task's own classifier)",
           heading="Features"),
    Column("distance", "Frechet distance to the reference images on the features that distance_name names; a FID only "
           "where that is fid. Lower is better", 3, heading="Distance"),
    Column("inception_score", "Inception score; where distance_name is not fid, the same formula on the task's own "
           "classifier, not comparable with any published score. Higher is better", 3, heading="IS"),
    Column("kid", "kernel distance (squared MMD) to the reference images on the same features", 5),
    Column("precision", "share of drawn images inside the manifold of real ones, on the same features", 3,
           heading="Prec."),
    Column("recall", "share of real images inside the manifold of drawn ones, on the same features", 3,
           heading="Recall"),
    Column("memorised", "share of images whose nearest training image is closer than 1 % of the pixel range (root mean "
           "square over channels)", 3, heading="Mem."),
    Column("nearest", "mean distance to the nearest training image, as a share of the pixel range", 4),
    Column("samples", "images that were compared with the reference images", heading="$n$"),
    Column("inception_score_stderr", "its standard error, over splits of the images", 3),
    Column("kid_stderr", "its standard error, over subsets of the images", 5),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    root = layout.scale_root(results, config.scale)
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for task in config.images:
        compared, floor = baselines(root, task)
        facts[task] = compared | meta(root, task, ("train_sequences", "validation_sequences", "corpus"))
        rows += [_row({"model": row["baseline"]}, compared, row) for row in floor]
        rows += _rows_of_runs(qualities(config, root, task))
    return Table(
        name="image_quality",
        title="Quality of drawn images",
        caption="Images drawn by each model and sampler against real ones, beside what other real images and "
        "independent pixels score.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "image_quality")),
        notes=(
            f"Reference images: {'; '.join(_reference(config, task) for task in config.images) or 'none'}. Real images "
            "of the other split show what a perfect sampler would score: not zero.",
            "A Frechet distance is biased upwards for few samples, and the more so on more features. Compare only rows "
            "of one data set with equal distance_name and samples.",
            "Only `fid` is a FID. A distance fd_TASK lives on the features of a small classifier trained on that task; "
            "it orders our models and says nothing beside a published FID. The same holds for inception_score there.",
            "Seeds differ in training (initial weights, batches, masks) and draw their images with the same random "
            "numbers. Their difference is the only error known of a distance; with one seed there is none.",
            "A low distance together with a high `memorised` means that training images were copied.",
        ),
        extra={"tasks": facts},
    )


def _reference(config: Config, task: str) -> str:
    """What a task's images are compared with."""
    split = {"train": "training", "validation": "test"}[config.images[task].fidelity.reference]
    return f"the {split} images of {config.images[task].data.dataset}"


def _rows_of_runs(runs: list[tuple[Row, list[Row]]]) -> list[Row]:
    """Ordered by model, l, carry-over and variant, then network evaluations; seeds of a sampler stand together."""
    seeds_nfe = defaultdict(list)
    for model, found in runs:
        for number, row in enumerate(found):
            seeds_nfe[model["variant"], number].append(row["nfe"])
    keyed = []
    for model, found in runs:
        named = {**names(model), "seed": model["seed"]}
        variant = (*order(named), model["variant"])
        for number, row in enumerate(found):
            nfe = seeds_nfe[model["variant"], number]
            keyed.append(((*variant, sum(nfe) / len(nfe), number, model["seed"]), _row(named, model, row)))
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]


def _row(named: Row, compared: Row, row: Row) -> Row:
    metrics = {name: row[name] for name in METRICS if name != "num_samples"}
    sampler = {name: row.get(name) for name in ("sampler", "draws", "nfe")}
    images = {name: compared[name] for name in ("dataset", "distance_name")}
    return {**named, **images, **sampler, **metrics, "samples": row["num_samples"]}
