"""Idle steps (Figure 1): measured on the event process alone and in trained samplers, beside the exact expectation."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import read_json
from mdm_prime.reporting import published
from mdm_prime.reporting.occupancy import EVENT_PROCESS, TRAINED_SAMPLER, expected_idle_steps, idle_steps_std
from mdm_prime.reporting.records import pick
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

ROW_KEYS = ("num_steps", "num_subtokens", "length", "num_sequences", "idle_measured", "idle_stderr")
SAMPLE_KEYS = ("sampler", "num_steps", "num_samples", "length", "prefix_tokens", "idle_steps_mean", "idle_steps_stderr")
COLUMNS = (
    Column("measured_by", "event process: reveal times drawn without a network; trained sampler: steps in which a "
           "network's samples did not change", heading="Measured by"),
    Column("num_steps", "T, steps of the sampler", heading="$T$"),
    Column("num_subtokens", "l, sub-tokens per token", heading=r"$\ell$"),
    Column("length", "L, tokens to reveal per sequence: without those of a given prefix", heading="$L$"),
    Column("idle_exact", "expected steps that change nothing: T (1 - 1/T)^(L l); empty for another schedule or "
           "a prefix", 3, heading="Exact"),
    Column("idle_measured", "mean number of such steps per sequence", 3, heading="Measured"),
    Column("idle_measured_stderr", "its standard error over sequences", 3),
    Column("published_figure1", "the paper's Figure 1, read from the plot to about 10 steps", 0, heading="Figure 1"),
    Column("idle_share_exact", "idle_exact / num_steps", 5, heading="Share"),
    Column("idle_exact_std", "exact standard deviation of one sequence's number of idle steps", 3),
    Column("num_sequences", "sequences that the mean is over"),
    Column("variant", "name of the trained variant in the params file"),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    root = layout.scale_root(results, config.scale)
    frame = frame_of(_event_process_rows(root) + _sampler_rows(config, root), COLUMNS)
    return Table(
        name="idle_steps",
        title="Idle steps: sampling steps that change nothing",
        caption="Number of the T sampling steps in which a sequence does not change, for the linear schedule.",
        columns=COLUMNS,
        frame=frame,
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "idle_steps")),
        notes=(
            "The number of idle steps depends on T, L and l alone, not on what a network has learnt.",
            "Figure 1 of the paper is an average over ten runs.",
        ),
    )


def _event_process_rows(root: Path) -> list[dict[str, Any]]:
    path = layout.idle_steps_file(root)
    figure = {
        (row["length"], row["num_steps"], row["num_subtokens"]): row["idle_steps"]
        for row in published.read("idle_steps_figure1")
    }
    rows = []
    for saved in pick(path, read_json(path), ("rows",))["rows"]:
        row = pick(path, saved, ROW_KEYS)
        steps, length, number = row["num_steps"], row["length"], row["num_subtokens"]
        rows.append(
            {
                "measured_by": EVENT_PROCESS,
                "num_steps": steps,
                "num_subtokens": number,
                "length": length,
                **_exact(steps, length, number),
                "idle_measured": row["idle_measured"],
                "idle_measured_stderr": row["idle_stderr"],
                "published_figure1": figure.get((length, steps, number)),
                "num_sequences": row["num_sequences"],
            }
        )
    return sorted(rows, key=lambda row: (row["length"], row["num_steps"], row["num_subtokens"]))


def _sampler_rows(config: Config, root: Path) -> list[dict[str, Any]]:
    """Masked text variants that were sampled step by step; first hitting has no idle steps to count."""
    rows = []
    for run in layout.sampled_runs(config, "text"):
        path = layout.sample_files(root, run.name)[1]
        saved = pick(path, read_json(path), SAMPLE_KEYS)
        if run.model != "masked" or saved["sampler"] != "ancestral" or saved["idle_steps_mean"] is None:
            continue
        length = saved["length"] - saved["prefix_tokens"]
        linear = run.training.schedule == "linear"  # another schedule reveals unevenly
        rows.append(
            {
                "measured_by": TRAINED_SAMPLER,
                "num_steps": saved["num_steps"],
                "num_subtokens": run.num_subtokens,
                "length": length,
                **(_exact(saved["num_steps"], length, run.num_subtokens) if linear else {}),
                "idle_measured": saved["idle_steps_mean"],
                "idle_measured_stderr": nan if saved["idle_steps_stderr"] is None else saved["idle_steps_stderr"],
                "num_sequences": saved["num_samples"],
                "variant": run.variant,
            }
        )
    return sorted(rows, key=lambda row: row["num_subtokens"])


def _exact(num_steps: int, length: int, num_subtokens: int) -> dict[str, float]:
    idle = expected_idle_steps(num_steps, length, num_subtokens)
    return {
        "idle_exact": idle,
        "idle_share_exact": idle / num_steps,
        "idle_exact_std": idle_steps_std(num_steps, length, num_subtokens),
    }
