"""The 2-D toy: both objectives beside the exact entropy, and how far the samples are from the density."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import read_json
from mdm_prime.reporting.histograms import TV_BINS, coarsen, histogram, total_variation, total_variation_floor
from mdm_prime.reporting.loading import likelihoods, meta, over_seeds, yes_no
from mdm_prime.reporting.records import pick
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

COLUMNS = (
    Column("num_subtokens", "l, sub-tokens per token", heading=r"$\ell$"),
    Column("base", "b, values of a sub-token, the mask not counted", heading="$b$"),
    Column("entropy", "entropy of the density, nats per token, exact", 4, heading="Entropy"),
    Column("nelbo", "valid bound, nats per token, mean over seeds", 4, heading="Bound"),
    Column("nelbo_stderr", "its standard error as a statement about the density: mean over seeds, times sqrt(draws / "
           "validation sequences) where sequences are drawn more than once", 4),
    Column("joint_loss", "published loss, nats per token, mean over seeds; no bound for l above 1", 4,
           heading="Published loss"),
    Column("joint_loss_stderr", "its standard error, likewise", 4),
    Column("total_variation", f"total-variation distance of the samples' histogram from the density, both summed into "
           f"min(V, {TV_BINS}) x min(V, {TV_BINS}) bins; first seed", 4, heading="TV"),
    Column("total_variation_floor", "the same distance for as many exact draws from the density (expectation over sets "
           "of draws): what a perfect sampler would show", 4, heading="TV floor"),
    Column("num_samples", "samples in the histogram", heading="Samples"),
    Column("num_steps", "T, steps of the sampler; empty for first hitting", heading="$T$"),
    Column("nelbo_spread", "standard deviation over seeds; empty for one seed", 4),
    Column("joint_loss_spread", "standard deviation over seeds; empty for one seed", 4),
    Column("seeds", "number of trained networks"),
    Column("variant", "name of the variant in the params file"),
    Column("carry_over", "whether tokens that contradict a visible sub-token get probability zero"),
    Column("objective", "what was trained: joint_loss (published loss) or nelbo (valid bound)"),
    Column("sampler", "ancestral or first_hitting"),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    root = layout.scale_root(results, config.scale)
    facts = meta(root, "toy", ("vocab_size", "entropy_per_token", "corpus"))
    frame = likelihoods(config, root, "toy")
    density = coarsen(np.load(layout.data_dir(root, "toy") / "density.npy"), TV_BINS)
    rows = []
    for run in layout.sampled_runs(config, "toy"):
        group = frame[frame["variant"] == run.variant]
        if run.model != "masked" or group.empty:
            continue
        first = group.iloc[0]
        rows.append(
            {
                "num_subtokens": run.num_subtokens,
                "base": int(first["base"]),
                "entropy": facts["entropy_per_token"],
                **over_seeds(group, ("nelbo", "joint_loss")),
                **sample_quality(root, run.name, density, facts["vocab_size"]),
                "seeds": len(group),
                "variant": run.variant,
                "carry_over": yes_no(run.carry_over),
                "objective": first["objective"],
            }
        )
    rows.sort(key=lambda row: row["num_subtokens"])
    return Table(
        name="toy_likelihood",
        title="Likelihood and samples of the 2-D toy",
        caption="Models of a 2-D density made from a gray image, whose entropy is known exactly.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "toy_likelihood")),
        notes=(
            "The valid bound cannot lie below the entropy by more than its error; the published loss can, above l = 1.",
            "A total variation near its floor means samples that these bins cannot tell from the density. A sampler "
            "with few steps reveals parts of both tokens in one step, as if they were independent, and stays above it.",
        ),
        extra={"corpus": facts["corpus"]},
    )


def sample_quality(root: Path, run: str, density: np.ndarray, vocab_size: int) -> dict[str, Any]:
    """Total variation of a run's samples from the coarse density, with its floor."""
    samples_path, path = layout.sample_files(root, run)
    samples = np.load(samples_path, mmap_mode="r")
    saved = pick(path, read_json(path), ("sampler", "num_steps"))
    return {
        "total_variation": total_variation(histogram(samples, vocab_size, TV_BINS), density),
        "total_variation_floor": total_variation_floor(density, len(samples)),
        "num_samples": len(samples),
        "num_steps": saved["num_steps"] if saved["sampler"] == "ancestral" else None,
        "sampler": saved["sampler"],
    }
