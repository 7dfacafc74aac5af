"""What is saved of runs: likelihoods, samplers and where a network comes from; and means over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.runs import Run
from mdm_prime.files import read_json
from mdm_prime.reporting.records import Row, pick, yes_no

LIKELIHOOD_KEYS = (
    "variant",
    "seed",
    "model",
    "num_subtokens",
    "base",
    "carry_over",
    "objective",
    "parameters",
    "train_tokens",
    "num_samples",
    "exact",
    "nelbo",
    "nelbo_stderr",
    "joint_loss",
    "joint_loss_stderr",
)
MASKED_KEYS = ("bound_tokens", "bound_tokens_stderr")  # of every model but an autoregressive one
SAMPLER_KEYS = ("name", "kind", "num_steps", "nfe_mean")


def likelihoods(config: Config, root: Path, task: str, more: tuple[str, ...] = ()) -> dict[str, list[Row]]:
    """What is saved of each seed of each variant, in nats per token.

    LIKELIHOOD_KEYS, `more` keys and where the network comes from; of masked models MASKED_KEYS; and for each order
    exact_ORDER and exact_ORDER_stderr, with exact_sequences for all of them.
    """
    found: dict[str, list[Row]] = {}
    for run in config.runs(task):
        path = layout.likelihood_file(root, run.name)
        saved = read_json(path)
        row = pick(path, saved, (*LIKELIHOOD_KEYS, *more)) | origin_of(saved)
        if row["model"] == "masked":
            row |= pick(path, saved, MASKED_KEYS)
        row |= exact_values(path, row.pop("exact"))
        found.setdefault(run.variant, []).append(row)
    return found


def baselines(root: Path, task: str) -> dict[str, Row]:
    """The models that count, by name: nats and nats_stderr per token of the held-out part, num_sequences of it."""
    path = layout.baselines_file(root, task)
    saved = pick(path, read_json(path), ("rows", "num_sequences", "train_tokens"))
    shared = {key: saved[key] for key in ("num_sequences", "train_tokens")}
    found = [pick(path, row, ("baseline", "nats", "nats_stderr")) for row in saved["rows"]]
    return {row["baseline"]: row | shared for row in found}


def exact_values(path: Path, exact: Mapping[str, Row]) -> Row:
    """What is saved of each order in `path`, as exact_ORDER, exact_ORDER_stderr and exact_sequences."""
    row: Row = {}
    for order, value in exact.items():
        found = pick(path, value, ("nll", "nll_stderr", "num_sequences"))
        row |= {f"exact_{order}": found["nll"], f"exact_{order}_stderr": found["nll_stderr"]}
        row["exact_sequences"] = found["num_sequences"]
    return row


def origin_of(saved: Row) -> Row:
    """The cells of columns.ORIGIN, from what a run's file says of its `source`: there is one of a checkpoint only."""
    source = saved.get("source")
    if source is None:
        return {"origin": "trained"}
    carry_over = source.get("carry_over")
    return {
        "origin": "checkpoint",
        "source_weights": source.get("weights"),
        "source_carry_over": None if carry_over is None else yes_no(carry_over),
        "source_step": source.get("step"),
        "source_sha256": source.get("sha256"),
    }


def meta(root: Path, task: str, keys: Iterable[str]) -> dict[str, Any]:
    """The given keys of a task's meta.json."""
    path = layout.data_dir(root, task) / "meta.json"
    return pick(path, read_json(path), keys)


def samplers(path: Path, keys: Iterable[str] = ()) -> list[Row]:
    """The samplers of a samples.json in the order of the samples: what is said of each, and of all of them together.

    Raises UserError unless each has SAMPLER_KEYS and `keys`.
    """
    saved = read_json(path)
    pick(path, saved, ("samplers",))
    together = {key: value for key, value in saved.items() if key != "samplers"}
    rows = [together | row for row in saved["samplers"]]
    for row in rows:
        pick(path, row, (*SAMPLER_KEYS, *keys))
    return rows


def samplers_of(root: Path, run: Run, keys: Iterable[str] = ()) -> list[Row]:
    """The same of a run."""
    return samplers(layout.sample_files(root, run.name)[1], keys)


def over_seeds(seeds: list[Row], columns: Iterable[str]) -> dict[str, float]:
    """For each column c that the seeds have: its mean over seeds, c_stderr and c_spread.

    c_stderr is the mean of the seeds' standard errors, not that divided by the square root of their number: the seeds
    are evaluated on the same sequences and the same draws, so their errors do not average out. c_spread is the
    standard deviation over seeds (n - 1), NaN for one seed.
    """
    result: dict[str, float] = {}
    for column in columns:
        if column not in seeds[0]:
            continue
        values = [float(row[column]) for row in seeds]
        result[column] = fmean(values)
        result[f"{column}_stderr"] = fmean(row[f"{column}_stderr"] for row in seeds)
        result[f"{column}_spread"] = stdev(values) if len(values) > 1 else nan
    return result
