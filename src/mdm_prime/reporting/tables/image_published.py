"""Every FID of the paper's image experiments, with ours beside it where the same thing was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting import columns, published
from mdm_prime.reporting.columns import IMAGE_DISTANCE, Column, Tolerance
from mdm_prime.reporting.declared import IMAGES, Content, DeclaredTable
from mdm_prime.reporting.images import comparable_rows
from mdm_prime.reporting.records import Row, read_table

CURVES = tuple(f"{curve}_{part}" for curve in ("temperature", "corrector", "time_steps") for part in "anb")
OURS = ("task", "variant", "sampler", "distribution", "origin", "source_sha256")  # of image_quality; here our_NAME
COLUMNS = (
    Column("dataset", "images", heading="Images"),
    Column("model", "the paper's, or one that it compares with", heading="Model"),
    replace(columns.CHANNEL_SUBTOKENS, description=f"{columns.CHANNEL_SUBTOKENS.description}; empty for other methods"),
    Column("nfe", "network evaluations per image; empty where the paper gives none", heading="NFE"),
    Column("paper_fid", "published FID", 2, heading="FID, paper"),
    Column("paper_inception_score", "published Inception score; empty where none is given", 2, heading="IS, paper"),
    *(
        Column(f"{curve}_{part}", f"{part} in the paper's {text}; empty where it is not told")
        for curve, text in (
            ("temperature", "temperature a t^n + b, with t from 0 (all masked) to 1"),
            ("corrector", "corrector_parameters a, n, b of the official code"),
            ("time_steps", "time steps 1 - a (1 - t)^n + b; 1, 0, 0 is the official code's default"),
        )
        for part in "anb"
    ),
    Column("carry_over", "whether the paper's samples were drawn with carry-over; empty where it is not told"),
    Column("our_distance_name", "fid, or empty where we have no comparable value"),
    Column("our_distance", "our FID, mean over seeds", 2, heading="FID, ours", tolerance=IMAGE_DISTANCE),
    Column("our_inception_score", "our Inception score, mean over seeds", 2, tolerance=Tolerance(relative=0.25)),
    Column("difference", "our FID less the paper's", 2, heading="Difference", tolerance=IMAGE_DISTANCE),
    Column("our_seeds", "number of our networks"),
    Column("our_variant", "our variant in the params file"),
    Column("our_sampler", "our sampler"),
    Column("our_distribution", "its distribution, joint or marginals"),
    Column("epochs", "training epochs at which the paper's network was taken"),
    Column("source", "where the paper's numbers stand"),
    Column("our_task", "our task in the params file"),
    Column("our_origin", "whether our network was trained here, or is a checkpoint of the authors"),
    Column("our_source_sha256", "hash of the authors' file that it was imported from"),
)  # fmt: skip


def needs(config: Config) -> list[Files]:
    return [layout.table_csv("image_quality")] if config.images else []


def build(_config: Config, root: Path) -> Content:
    ours = read_table(root, "image_quality")
    return Content([row for paper in published.read("image_fid") for row in _rows(paper, comparable_rows(paper, ours))])


def _rows(paper: Row, groups: list[list[Row]]) -> list[Row]:
    """A row for each way in which we sampled that the paper's value can be compared with; one without ours if none."""
    told = {key: paper[key] for key in ("dataset", "model", "nfe", "carry_over", "epochs", "source", *CURVES)}
    told |= {"num_subtokens": "" if paper["num_subtokens"] is None else str(paper["num_subtokens"])}
    told |= {"paper_fid": float(paper["fid"]), "paper_inception_score": paper["inception_score"]}
    return [told | _ours(paper, group) for group in groups] or [told]


def _ours(paper: Row, seeds: list[Row]) -> Row:
    distance = fmean(row["distance"] for row in seeds)
    return {
        **{f"our_{name}": seeds[0][name] for name in (*OURS, "distance_name")},
        "our_distance": distance,
        "our_inception_score": fmean(row["inception_score"] for row in seeds),
        "difference": distance - paper["fid"],
        "our_seeds": len(seeds),
    }


TABLE = DeclaredTable(
    label="Table: published values beside ours",
    category=IMAGES,
    paper="Tables 3 and 4",
    caption="**Tables 3 and 4.** FID and Inception score of the paper and of its repository's image page, with the "
    "sampler's numbers, for CIFAR-10 and ImageNet-32. A value of ours stands beside them only where data set, model, "
    "number of network evaluations and features are the same; elsewhere its cells are empty.",
    title="Image quality that the paper publishes, and ours beside it",
    summary="Every FID of the paper and its official repository.",
    columns=COLUMNS,
    keys=("dataset", "model", "num_subtokens", "nfe", "our_task", "our_variant", "our_sampler", "our_distribution"),
    needs=needs,
    build=build,
    notes=(
        "Ours stands only where the data set, the model, l, the network evaluations and carry-over are the paper's "
        "and the distance is a FID (on Inception's features). It is empty for distances on other features.",
        "The paper chose the sampler's parameters, and the epoch of each network, by the FID of 2,000 samples, "
        "separately for each number of network evaluations.",
        "The paper's FID is of 50,000 samples; one of fewer is biased upwards.",
    ),
)
