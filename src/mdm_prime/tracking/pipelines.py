"""The run of a whole pipeline: opened and closed by Snakemake, or shared by the stages of one `dvc repro`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdm_prime.tracking import about, endings, journal, mirror, notes, processes, watch


def start_pipeline(results: Path, params: Path, scale: str, config: Mapping[str, Any] | None = None) -> str:
    """Starts the run that the stages of a pipeline belong to, creates the store, and returns the run's id.

    Hand the id down in the environment variable MDM_PRIME_PARENT_RUN. An earlier pipeline that never ended is noted as
    killed, unless its process is alive. As a stage of DVC it only returns the run of that pipeline.

    Args:
        results: the results folder.
        params: the parameters as they were written.
        scale: their name.
        config: the same validated, with every default: the artifact config.json.
    """
    if joined := join_pipeline(results, scale, config):
        return joined
    run_id = _begin(results, scale, {"engine": "snakemake"}, config)
    journal.append_artifact(results, run_id, params)
    mirror.within(results, 60.0)
    return run_id


def finish_pipeline(results: Path, run_id: str, status: journal.Status) -> None:
    """Ends a pipeline's run with its tables and figures; a stage of it that never ended is noted as killed.

    That of a `dvc repro` goes on: it ends with its process.
    """
    if processes.under_dvc():
        return
    endings.note_products(results, run_id)
    endings.end(results, run_id, status)
    mirror.within(results, 120.0)


def join_pipeline(results: Path, scale: str, config: Mapping[str, Any] | None = None) -> str | None:
    """The run of the `dvc repro` that this process is a stage of, begun by its first stage; None elsewhere.

    Nothing waits for the store here: a process of its own mirrors until DVC has ended (mdm_prime.tracking.watch).
    """
    if not processes.under_dvc() or (process := processes.of_dvc()) is None:
        return None
    if problem := notes.problem(results):
        mirror.warn_of(results, problem)
    run_id = _of_process(results, process)
    if run_id is None:
        tags = {"engine": "dvc"}
        if name := os.environ.get("DVC_EXP_NAME"):
            tags["dvc.experiment"] = name
        run_id = _begin(results, scale, tags, config, process)
    elif config is not None and not _has_config(results, run_id):
        append_document(results, run_id, "config.json", config)
    watch.start(results, run_id)
    return run_id


def append_document(results: Path, run_id: str, name: str, content: str | Mapping[str, Any]) -> None:
    """Notes a text, or a mapping as JSON, that becomes an artifact of a run without being a file."""
    text = content if isinstance(content, str) else json.dumps(content, indent=1, default=str) + "\n"
    journal.append(results, run_id, "document", name=name, text=text)


def _begin(
    results: Path,
    scale: str,
    tags: Mapping[str, str],
    config: Mapping[str, Any] | None,
    process: processes.Record | None = None,
) -> str:
    endings.end_earlier(results)
    run_id = journal.new_id("pipeline", scale)
    journal.append(
        results,
        run_id,
        "start",
        stage="pipeline",
        name=scale,
        parent=None,
        params=about.environment(),
        tags={"stage": "pipeline", "scale": scale, **tags, **about.git_tags()},
        process=process,
    )
    if config is not None:
        append_document(results, run_id, "config.json", config)
    return run_id


def _of_process(results: Path, process: processes.Record) -> str | None:
    for run_id, events in journal.journals(results, "pipeline-*"):
        record = events[0].get("process")
        if record and processes.same(record, process):
            return run_id
    return None


def _has_config(results: Path, run_id: str) -> bool:
    return any(event["event"] == "document" for _, events in journal.journals(results, run_id) for event in events)
