"""What is saved of runs: likelihoods, samplers and where a network comes from; and means over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan
from pathlib import Path
from statistics import fmean, stdev

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.runs import Run
from mdm_prime.reporting.records import Row, yes_no
from mdm_prime.results.base import known
from mdm_prime.results.baselines import BaselinesFile
from mdm_prime.results.data_set import DataSet
from mdm_prime.results.exact import ExactValue
from mdm_prime.results.likelihood import LikelihoodFile
from mdm_prime.results.models import Source
from mdm_prime.results.samples import SamplesFile


def likelihoods(config: Config, root: Path, task: str) -> dict[str, list[Row]]:
    """What is saved of each seed of each variant, in nats per token.

    The fields of LikelihoodFile, but for `energy`, and where the network comes from; and for each order exact_ORDER and
    exact_ORDER_stderr, with exact_sequences for all of them.
    """
    found: dict[str, list[Row]] = {}
    for run in config.runs(task):
        path = layout.likelihood_file(root, run.name)
        saved = LikelihoodFile.read(path)
        if set(saved.exact) != (orders := exact_orders(config, run)):
            again = f"delete it and run the pipeline again: {hints.target(path)}"
            raise UserError(f"{path}: exact: has {_listed(saved.exact)}; should have {_listed(orders)}; {again}")
        row = {key: value for key, value in saved if key not in ("source", "exact", "energy")}
        row |= origin_of(saved.source) | exact_values(saved.exact)
        for value in saved.exact.values():
            row["exact_sequences"] = value.num_sequences
        found.setdefault(run.variant, []).append(row)
    return found


def exact_orders(config: Config, run: Run) -> set[str]:
    """The orders whose exact values a run's likelihood has."""
    settings = config.task(run.task).evaluation.exact
    always = {run.model.exact_order} if run.model.exact_order else set()
    return always | set(run.model.orders(settings.orders) if settings else ())


def _listed(orders: Iterable[str]) -> str:
    return ", ".join(sorted(orders)) or "none"


def baselines(root: Path, task: str) -> dict[str, Row]:
    """The models that count, by name: nats and nats_stderr per token of the held-out part, num_sequences of it."""
    saved = BaselinesFile.read(layout.baselines_file(root, task))
    shared = {"num_sequences": saved.num_sequences, "train_tokens": saved.train_tokens}
    return {row.baseline: dict(row) | shared for row in saved.rows}


def exact_values(exact: Mapping[str, ExactValue]) -> Row:
    """What is saved of each order, as exact_ORDER and exact_ORDER_stderr."""
    row: Row = {}
    for order, value in exact.items():
        row |= {f"exact_{order}": value.nll, f"exact_{order}_stderr": value.nll_stderr}
    return row


def origin_of(source: Source | None) -> Row:
    """The cells of columns.ORIGIN, from the checkpoint of a network, if it has one."""
    if source is None:
        return {"origin": "trained"}
    return {
        "origin": "checkpoint",
        "source_weights": source.weights,
        "source_carry_over": yes_no(source.carry_over),
        "source_step": source.step,
        "source_sha256": source.sha256,
    }


def meta(root: Path, task: str) -> DataSet:
    """A task's meta.json."""
    return DataSet.read(layout.data_dir(root, task) / "meta.json")


def entropy(root: Path, task: str) -> float:
    """Nats per token of a source whose entropy is known. Raises UserError where its file does not say it."""
    path = layout.data_dir(root, task) / "meta.json"
    return known(DataSet.read(path).entropy_per_token, path, "entropy_per_token")


def samples(root: Path, run: Run) -> SamplesFile:
    """What is saved of a run's samples."""
    return SamplesFile.read(layout.sample_files(root, run.name)[1])


def over_seeds(seeds: list[Row], columns: Iterable[str]) -> dict[str, float]:
    """For each column c that the seeds have: its mean over seeds, c_stderr and c_spread.

    c_stderr is the mean of the seeds' standard errors, not that divided by the square root of their number: the seeds
    are evaluated on the same sequences and the same draws, so their errors do not average out. c_spread is the
    standard deviation over seeds (n - 1), NaN for one seed.
    """
    result: dict[str, float] = {}
    for column in columns:
        if seeds[0].get(column) is None:
            continue
        values = [float(row[column]) for row in seeds]
        result[column] = fmean(values)
        result[f"{column}_stderr"] = fmean(row[f"{column}_stderr"] for row in seeds)
        result[f"{column}_spread"] = stdev(values) if len(values) > 1 else nan
    return result
