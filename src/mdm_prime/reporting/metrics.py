"""One small JSON file for each model, from the finished tables: what `dvc metrics` shows and compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.files import write_json
from mdm_prime.reporting import declared
from mdm_prime.reporting.records import read_table


def tables_with_metrics(config: Config) -> list[str]:
    """The tables of a scale that have headline numbers."""
    return [name for name, table in declared.tables().items() if table.metrics and table.applies(config)]


def needs(config: Config) -> list[Files]:
    """What the metrics are made from."""
    return [layout.table_csv(name) for name in tables_with_metrics(config)]


def write(config: Config, root: Path) -> None:
    """Writes layout.metrics_files and removes those of models that the params no longer have.

    Raises UserError when a table is missing.
    """
    values = of_models(config, root)
    files = layout.metrics_files(root, config)
    for path in layout.metrics_dir(root).rglob("*.json"):
        if path not in files:
            path.unlink()
    for path in files:
        write_json(path, values.get((path.parent.name, path.stem), {}))


def of_models(config: Config, root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By task and variant: what the tables declare as their metrics."""
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for name in tables_with_metrics(config):
        metrics = declared.table(name).metrics
        for model, found in metrics(read_table(root, name)).items() if metrics else ():
            values.setdefault(model, {}).update(found)
    return values
