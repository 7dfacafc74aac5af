"""How near drawn images come to real ones, for every model, sampler and seed, beside two baselines."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import columns
from mdm_prime.reporting.columns import IMAGE_DISTANCE, IMAGE_RECALL, IMAGE_SHARE, Column, Tolerance, stderr_of
from mdm_prime.reporting.declared import IMAGES, Content, DeclaredTable, Metrics
from mdm_prime.reporting.images import METRICS, baselines, model_columns, model_order, qualities
from mdm_prime.reporting.loading import meta
from mdm_prime.reporting.records import Row

ORIGIN = tuple(column.name for column in columns.ORIGIN)
COLUMNS = (
    columns.TASK,
    Column("dataset", "images that were trained on and compared with", heading="Images"),
    replace(columns.IMAGE_MODEL, description=f"{columns.IMAGE_MODEL.description}; or a baseline: real test images, or "
            "pixels drawn independently from their own frequencies"),
    replace(columns.VARIANT, description=f"{columns.VARIANT.description}; empty for a baseline"),
    columns.CHANNEL_SUBTOKENS,
    columns.PIXEL_CARRY_OVER,
    Column("sampler", "kind and number of steps: euler (the paper's), ancestral or first_hitting", heading="Sampler"),
    Column("distribution", "joint: a position's sub-tokens are drawn as one token; marginals: independently"),
    Column("nfe", "network evaluations per image, mean", 1, heading="NFE",
           tolerance=Tolerance(relative=0.02, absolute=0.5)),  # only the exact samplers skip idle steps, by chance
    Column("seed", "training seed"),
    Column("distance_name", "which features the distance is on: fid (Inception) or fd_TASK (the task's own classifier)",
           heading="Features"),
    Column("distance", "Frechet distance to the reference images on the features that distance_name names; a FID only "
           "where that is fid. Lower is better", 3, heading="Distance", tolerance=IMAGE_DISTANCE),
    Column("inception_score", "Inception score; where distance_name is not fid, the same formula on the task's own "
           "classifier, not comparable with any published score. Higher is better", 3, heading="IS",
           tolerance=Tolerance(stderrs=3, relative=0.25)),
    Column("kid", "kernel distance (squared MMD) to the reference images on the same features", 5,
           tolerance=Tolerance(stderrs=3, relative=0.5, absolute=0.01)),
    Column("precision", "share of drawn images inside the manifold of real ones, on the same features", 3,
           heading="Prec.", tolerance=IMAGE_SHARE),
    Column("recall", "share of real images inside the manifold of drawn ones, on the same features", 3,
           heading="Recall", tolerance=IMAGE_RECALL),
    Column("memorised", "share of images whose nearest training image is closer than 1 % of the pixel range (root mean "
           "square over channels)", 3, heading="Mem.", tolerance=IMAGE_SHARE),
    Column("nearest", "mean distance to the nearest training image, as a share of the pixel range", 4,
           tolerance=Tolerance(relative=0.2)),
    Column("samples", "images that were compared with the reference images", heading="$n$"),
    stderr_of("inception_score", "its standard error, over splits of the images", 3),
    stderr_of("kid", "its standard error, over subsets of the images", 5),
    *columns.ORIGIN,
)  # fmt: skip


def needs(config: Config) -> list[Files]:
    return [
        files
        for task in config.images
        for files in (
            layout.data_file(task, "meta.json"),
            layout.quality_baselines(task),
            layout.of_runs(config, task, "quality", ".json"),
        )
    ]


def build(config: Config, root: Path) -> Content:
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for task in config.images:
        compared, floor = baselines(root, task)
        facts[task] = compared | meta(root, task).model_dump(include={"train_sequences", "heldout_sequences", "corpus"})
        found = [_row({"model": row["baseline"]}, compared, row) for row in floor]
        found += _rows_of_runs(qualities(config, root, task))
        rows += [{"task": task, **row} for row in found]
    note = (
        f"Reference images: {'; '.join(_reference(config, task) for task in config.images)}. Real images of the other "
        "split show what a perfect sampler would score: not zero."
    )
    return Content(rows, notes=(note,), extra={"tasks": facts})


def headline(rows: list[Row]) -> Metrics:
    """The distance of each sampler, mean over seeds."""
    drawn: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        if row["variant"]:  # else a baseline
            distances = drawn.setdefault((row["task"], row["variant"]), {}).setdefault(row["distance_name"], {})
            distances.setdefault(row["sampler"], []).append(row["distance"])
    return {
        model: {
            name: {sampler: fmean(values) for sampler, values in samplers.items()} for name, samplers in found.items()
        }
        for model, found in drawn.items()
    }


def _reference(config: Config, task: str) -> str:
    """What a task's images are compared with."""
    split = {"train": "training", "heldout": "test"}[config.images[task].fidelity.reference]
    return f"the {split} images of {config.images[task].data.dataset}"


def _rows_of_runs(runs: list[tuple[Row, list[Row]]]) -> list[Row]:
    """Ordered by model, l, carry-over and variant, then network evaluations; seeds of a sampler stand together."""
    seeds_nfe = defaultdict(list)
    for model, found in runs:
        for number, row in enumerate(found):
            seeds_nfe[model["variant"], number].append(row["nfe"])
    keyed = []
    for model, found in runs:
        named = {**model_columns(model), "seed": model["seed"]}
        variant = (*model_order(named), model["variant"])
        for number, row in enumerate(found):
            nfe = fmean(seeds_nfe[model["variant"], number])
            keyed.append(((*variant, nfe, number, model["seed"]), _row(named, model, row)))
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]


def _row(named: Row, compared: Row, row: Row) -> Row:
    metrics = {name: row[name] for name in METRICS if name != "num_samples"}
    sampler = {name: row.get(name) for name in ("sampler", "distribution", "nfe")}
    shared = {name: compared.get(name) for name in ("dataset", "distance_name", *ORIGIN)}
    return {**named, **shared, **sampler, **metrics, "samples": row["num_samples"]}


TABLE = DeclaredTable(
    label="Table: quality of drawn images",
    category=IMAGES,
    paper="as in Tables 3 and 4",
    caption="What **Tables 3 and 4** measure, on the images of this scale: the distance of drawn images from real "
    "ones, Inception score, KID, precision, recall and memorised images, for every model and sampler. Real test images "
    "and independent pixels are there to compare with. A distance called fd_NAME is measured in the features of a "
    "classifier of our own: it is no FID and cannot be compared with one.",
    title="Quality of drawn images",
    summary="Images drawn by each model and sampler against real ones, beside what other real images and independent "
    "pixels score.",
    columns=COLUMNS,
    keys=("task", "model", "variant", "sampler", "distribution", "seed"),
    needs=needs,
    build=build,
    metrics=headline,
    notes=(
        "A Frechet distance is biased upwards for few samples, and the more so on more features. Compare only rows "
        "of one data set with equal distance_name and samples.",
        "Only `fid` is a FID. A distance fd_TASK lives on the features of a small classifier trained on that task; "
        "it orders our models and says nothing beside a published FID. The same holds for inception_score there.",
        "Seeds differ in training (initial weights, batches, masks) and draw their images with the same random "
        "numbers. Their difference is the only error known of a distance; with one seed there is none.",
        "A low distance together with a high `memorised` means that training images were copied.",
    ),
)
