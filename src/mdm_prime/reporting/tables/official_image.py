"""Image quality and bits per dimension of the authors' own image networks, beside the paper's FID."""

from __future__ import annotations

from math import log
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Official
from mdm_prime.files import read_json
from mdm_prime.reporting import published
from mdm_prime.reporting.images import FID, model_name, same_setting, subtokens
from mdm_prime.reporting.loading import meta, yes_no
from mdm_prime.reporting.records import Row, number, pick
from mdm_prime.reporting.shards import pooled
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

SCORES = ("sampler", "draws", "nfe", "distance", "inception_score", "inception_score_stderr", "num_samples")
COLUMNS = (
    Column("dataset", "images", heading="Images"),
    Column("model", "MDM: whole pixel values; MDM-Mixture: the same, mean of class-conditional predictions; MDM-Prime: "
           "sub-tokens", heading="Model"),
    Column("num_subtokens", "l, sub-tokens per pixel channel; 2/3: a pixel of three channels as two tokens",
           heading=r"$\ell$"),
    Column("carry_over", "whether pixel values that contradict a visible sub-token get probability zero, in samples "
           "and in bits per dimension", heading="Carry-over"),
    Column("sampler", "kind and number of steps; its other settings stand in the params file"),
    Column("draws", "whether a position's sub-tokens are drawn independently (marginals) or as one token (joint)"),
    Column("nfe", "network evaluations per image", 1, heading="NFE"),
    Column("distance_name", "fid on Inception's features; fd_TASK, another quantity, on those of our own classifier",
           heading="Distance"),
    Column("distance", "Frechet distance of our samples from the reference images", 4, heading="Ours"),
    Column("paper_fid", "published FID at these settings; empty where there is none", 2, heading="FID, paper"),
    Column("fid_less_paper", "our FID less the paper's; empty where ours is no FID", 2, heading="Difference"),
    Column("inception_score", "Inception score of our samples; by the task's classifier where distance_name is no fid",
           2),
    Column("inception_score_stderr", "its standard error over ten parts", 2),
    Column("samples", "our images", heading="Samples"),
    Column("bpd_bound", "upper bound on the bits per dimension (a pixel's channel) of test images: the valid bound", 4,
           heading="Bound (bpd)"),
    Column("bpd_bound_stderr", "standard error over test images and draws", 4),
    Column("bpd_published", "the published loss in the same unit; no bound for l above 1; without carry-over it also "
           "counts visible pixels", 4, heading="Published loss (bpd)"),
    Column("bpd_published_stderr", "standard error, likewise", 4),
    Column("num_samples", "draws of a test image and of what is masked in it, for bits per dimension"),
    Column("checkpoint", "name in the params file"),
    Column("weights", "averaged (ema) or last (raw)"),
    Column("carry_over_of_file", "what the arguments saved in the file say"),
    Column("step", "updates of the weights; empty where the file does not say"),
    Column("sha256", "hash of the authors' file"),
)  # fmt: skip


def build(official: Official, results: Path) -> Table:
    root = layout.scale_root(results, official.scale)
    rows, corpora = [], {}
    for task, settings in official.images.items():
        corpora[task] = meta(root, task, ("corpus",))["corpus"]
        for key in settings.checkpoints:
            rows += _rows(official, root, f"{task}/{key}")
    return Table(
        name="official_image",
        title="The authors' image networks: quality of their samples, and bits per dimension",
        caption="The authors' checkpoints, sampled with the settings that the paper chose for them.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=official.scale,
        inputs=below(results, layout.official_table_inputs(results, official, "official_image")),
        notes=(
            "A distance is a FID only where distance_name says fid: on Inception's features. fd_TASK cannot be "
            "compared with the paper.",
            "The paper's FID is of 50,000 samples; one of fewer is biased upwards. paper_fid stands where data set, "
            "model, l, network evaluations and carry-over are the paper's.",
            "bpd_bound is an upper bound on the bits per dimension; bpd_published is no bound above l = 1. Both are of "
            "the network, the same for each of its samplers. The paper gives neither.",
        ),
        extra={"corpora": corpora},
    )


def _rows(official: Official, root: Path, name: str) -> list[Row]:
    path = layout.official_quality_file(root, name)
    quality = pick(path, read_json(path), ("dataset", "distance_name", "rows"))
    found = pooled(layout.likelihood_shards(root, official, name))
    bits = found["length"] / found["dimensions"] / log(2)  # nats per token -> bits per dimension
    parts = found["num_subtokens"], found["super_tokens"]
    head = {
        "dataset": quality["dataset"],
        "model": model_name(*parts, found["components"]),
        "num_subtokens": str(subtokens(*parts)),
        "carry_over": yes_no(found["carry_over"]),
        "distance_name": quality["distance_name"],
    }
    tail = {
        "bpd_bound": bits * found["nelbo"],
        "bpd_bound_stderr": bits * found["nelbo_stderr"],
        "bpd_published": bits * found["joint_loss"],
        "bpd_published_stderr": bits * found["joint_loss_stderr"],
        "num_samples": found["num_samples"],
        "checkpoint": found["checkpoint"],
        "carry_over_of_file": yes_no(found["carry_over_of_file"]),
        **{key: found["source"][key] for key in ("weights", "step", "sha256")},
    }
    rows = []
    for saved in quality["rows"]:
        scores = pick(path, saved, SCORES)
        row = head | scores
        papers = [paper["fid"] for paper in published.read("image_fid") if same_setting(paper, row)]
        fid = papers[0] if papers else None
        comparable = quality["distance_name"] == FID
        row |= {"paper_fid": fid, "fid_less_paper": row["distance"] - number(fid) if comparable else None}
        row["samples"] = row.pop("num_samples")
        rows.append(row | tail)
    return rows
