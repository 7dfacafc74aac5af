"""The stage `keep-reference`: the present tables and figures, with where and how they were made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import write_json
from mdm_prime.tracking import journal


def keep_reference(config: Config, results: Path, reference: Path) -> None:
    """Replaces `reference` by copies of the tables and figures of a scale, and about.json.

    Raises UserError when there are none, or no finished pipeline run that made them.
    """
    root = layout.scale_root(results, config.scale)
    for folder in (root / "tables", root / "figures"):
        if not folder.is_dir():
            raise UserError(f"{folder}: not there; make it with: {hints.everything(config.scale)}")
    about = _about(results, config.scale)
    fresh = reference.with_name(f".{reference.name}-new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in ("tables", "figures"):
        shutil.copytree(root / name, fresh / name)
    write_json(fresh / "about.json", about)
    shutil.rmtree(reference, ignore_errors=True)
    fresh.replace(reference)


def _about(results: Path, scale: str) -> dict[str, Any]:
    """Commit, machine and minutes, from the journals of the pipeline runs that finished at the last one's commit."""
    pipelines = [run for run in journal.pipelines(results) if run.status == "FINISHED" and run.scale == scale]
    if not pipelines:
        raise UserError(f"{results}/tracking: holds no finished pipeline run; make one with: {hints.everything(scale)}")
    last = pipelines[-1]
    made = [run for run in pipelines if run.tags == last.tags]
    return {
        "scale": last.scale,
        "commit": last.tags["git.commit"],
        "uncommitted_changes": last.tags["git.dirty"],
        "machine": last.environment,
        "pipeline_runs": [{"stages": run.stages, "minutes": round(run.minutes, 1)} for run in made],
    }
