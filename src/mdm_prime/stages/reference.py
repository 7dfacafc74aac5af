"""The stage `keep-reference`: the present tables and figures, with where and how they were made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mdm_prime.errors import UserError
from mdm_prime.files import write_json
from mdm_prime.tracking import journal


def keep_reference(results: Path, reference: Path) -> None:
    """Replaces `reference` by copies of results/tables and results/figures and about.json.

    Raises UserError when there are none, or no finished pipeline run that made them.
    """
    for folder in (results / "tables", results / "figures"):
        if not folder.is_dir():
            raise UserError(f"{folder}: not there; make it with: snakemake --cores all {folder}/")
    about = _about(results)
    fresh = reference.with_name(f".{reference.name}-new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in ("tables", "figures"):
        shutil.copytree(results / name, fresh / name)
    write_json(fresh / "about.json", about)
    shutil.rmtree(reference, ignore_errors=True)
    fresh.replace(reference)


def _about(results: Path) -> dict[str, Any]:
    """Commit, machine and minutes, from the journals of the pipeline runs that finished at the last one's commit."""
    pipelines = [run for run in journal.pipelines(results) if run.status == "FINISHED"]
    if not pipelines:
        raise UserError(f"{results}/tracking: holds no finished pipeline run; make one with: make tables figures")
    last = pipelines[-1]
    made = [run for run in pipelines if (run.scale, run.tags) == (last.scale, last.tags)]
    return {
        "scale": last.scale,
        "commit": last.tags["git.commit"],
        "uncommitted_changes": last.tags["git.dirty"],
        "machine": last.environment,
        "pipeline_runs": [{"stages": run.stages, "minutes": round(run.minutes, 1)} for run in made],
    }
