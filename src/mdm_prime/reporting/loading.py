"""Saved result files as data frames, one row per run, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import read_json
from mdm_prime.reporting.records import pick

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


def likelihoods(config: Config, root: Path, task: str) -> pd.DataFrame:
    """One row per run of a task, with LIKELIHOOD_KEYS as columns; nats per token."""
    rows = []
    for run in config.runs(task):
        path = layout.likelihood_file(root, run.name)
        rows.append(pick(path, read_json(path), LIKELIHOOD_KEYS))
    return pd.DataFrame(rows, columns=list(LIKELIHOOD_KEYS))


def meta(root: Path, task: str, keys: Iterable[str]) -> dict[str, Any]:
    """The given keys of a task's meta.json."""
    path = layout.data_dir(root, task) / "meta.json"
    return pick(path, read_json(path), keys)


def over_seeds(group: pd.DataFrame, columns: Iterable[str]) -> dict[str, float]:
    """For each column c: its mean over seeds, c_stderr and c_spread.

    c_stderr is the mean of the seeds' standard errors, not that divided by the square root of their number: the seeds
    are evaluated on the same sequences and the same draws, so their errors do not average out. c_spread is the
    standard deviation over seeds (n - 1), NaN for one seed.
    """
    result: dict[str, float] = {}
    for column in columns:
        result[column] = float(group[column].mean())
        result[f"{column}_stderr"] = float(group[f"{column}_stderr"].mean())
        result[f"{column}_spread"] = float(group[column].std(ddof=1))
    return result


def yes_no(value: bool) -> str:
    return "yes" if value else "no"
