"""One small JSON file for each model, from the finished tables: what `dvc metrics` shows and compares."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import write_json
from mdm_prime.reporting.records import Row, read_table

LIKELIHOODS = {  # table -> metric -> column; each has a column of standard errors
    "text_perplexity": {"ppl_bound": "ppl_bound", "published_loss_ppl": "published_loss_ppl"},
    "toy_likelihood": {"nelbo": "nelbo", "joint_loss": "joint_loss"},
    "bound_validity": {"nelbo": "trained_nelbo", "joint_loss": "trained_joint_loss"},
    "image_likelihood": {"bpd_bound": "bpd_bound", "bpd_published": "bpd_published"},
}


def write(config: Config, results: Path) -> None:
    """Writes layout.metrics_files and removes those of models that the params no longer have.

    Raises UserError when a table is missing.
    """
    values = of_models(config, results)
    files = layout.metrics_files(results, config)
    for path in layout.metrics_dir(results).rglob("*.json"):
        if path not in files:
            path.unlink()
    for path in files:
        write_json(path, values[path.parent.name, path.stem])


def of_models(config: Config, results: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By task and variant: the bound and the published loss with standard errors; of images also the distances.

    Means over seeds where there are several.
    """
    task_of = {task.data.dataset: name for name, task in config.images.items()}
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for table, columns in LIKELIHOODS.items():
        for row in read_table(results, table):
            source = _task(table, row, task_of)
            if source and row["variant"]:  # of several seeds the mean comes last
                values[source, row["variant"]] = {
                    f"{name}{error}": row[f"{column}{error}"]
                    for name, column in columns.items()
                    for error in ("", "_stderr")
                }
    drawn: dict[tuple[str, str, str, str], list[float]] = {}  # of every seed
    for row in read_table(results, "image_quality"):
        if row["variant"]:  # else a baseline
            key = (task_of[row["dataset"]], row["variant"], row["distance_name"], row["sampler"])
            drawn.setdefault(key, []).append(row["distance"])
    for (task, variant, name, sampler), distances in drawn.items():
        values[task, variant].setdefault(name, {})[sampler] = fmean(distances)
    return values


def _task(table: str, row: Row, task_of: dict[str, str]) -> str | None:
    """The task of a row; None for a source that no model is trained on."""
    if table == "bound_validity":  # toy has a table of its own
        return "known_entropy" if row["source"] == "known_entropy" else None
    return task_of[row["dataset"]] if "dataset" in row else {"text_perplexity": "text", "toy_likelihood": "toy"}[table]
