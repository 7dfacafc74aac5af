"""Every FID of the paper's image experiments, with ours beside it where the same thing was measured."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting import published
from mdm_prime.reporting.images import ours_for
from mdm_prime.reporting.records import Row, number, read_table
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

CURVES = tuple(f"{curve}_{part}" for curve in ("temperature", "corrector", "time_steps") for part in "anb")
COLUMNS = (
    Column("dataset", "images", heading="Images"),
    Column("model", "the paper's, or one that it compares with", heading="Model"),
    Column("num_subtokens", "l, sub-tokens per pixel channel; 2/3: a pixel of three channels as two tokens; empty for "
           "other methods", heading=r"$\ell$"),
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
    Column("our_distance", "our FID, mean over seeds", 2, heading="FID, ours"),
    Column("our_inception_score", "our Inception score, mean over seeds", 2),
    Column("difference", "our FID less the paper's", 2, heading="Difference"),
    Column("our_seeds", "number of our trained networks"),
    Column("our_variant", "our variant in the params file"),
    Column("our_sampler", "our sampler"),
    Column("our_draws", "its draws, joint or marginals"),
    Column("epochs", "training epochs at which the paper's network was taken"),
    Column("source", "where the paper's numbers stand"),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    ours = read_table(results, "image_quality")
    rows = [row for paper in published.read("image_fid") for row in _rows(paper, ours_for(paper, ours))]
    return Table(
        name="image_published",
        title="Image quality that the paper publishes, and ours beside it",
        caption="Every FID of the paper and its official repository.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "image_published")),
        notes=(
            "Ours stands only where the data set, the model, l, the network evaluations and carry-over are the paper's "
            "and the distance is a FID (on Inception's features). It is empty for distances on other features.",
            "The paper chose the sampler's parameters, and the epoch of each network, by the FID of 2,000 samples, "
            "separately for each number of network evaluations.",
            "The paper's FID is of 50,000 samples; one of fewer is biased upwards.",
        ),
    )


def _rows(paper: Row, groups: list[list[Row]]) -> list[Row]:
    """A row for each way in which we sampled that the paper's value can be compared with; one without ours if none."""
    told = {key: paper[key] for key in ("dataset", "model", "nfe", "carry_over", "epochs", "source", *CURVES)}
    told |= {"num_subtokens": "" if paper["num_subtokens"] is None else str(paper["num_subtokens"])}
    told |= {"paper_fid": float(paper["fid"]), "paper_inception_score": number(paper["inception_score"])}
    return [told | _ours(paper, group) for group in groups] or [told]


def _ours(paper: Row, seeds: list[Row]) -> Row:
    distance = fmean(row["distance"] for row in seeds)
    return {
        "our_distance_name": seeds[0]["distance_name"],
        "our_distance": distance,
        "our_inception_score": fmean(row["inception_score"] for row in seeds),
        "difference": distance - paper["fid"],
        "our_seeds": len(seeds),
        "our_variant": seeds[0]["variant"],
        "our_sampler": seeds[0]["sampler"],
        "our_draws": seeds[0]["draws"],
    }
