"""The run of one stage, written as a journal."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdm_prime.files import sha256_of
from mdm_prime.tracking import journal, pipeline
from mdm_prime.tracking.events import flat

PARENT_RUN = "MDM_PRIME_PARENT_RUN"  # environment variable that hands a pipeline's run down to its stages
MIRROR_EVERY = 300.0  # seconds between two mirrors of a stage that is still running
PATIENCE = 10.0  # seconds that a stage started by hand waits for the mirror when it ends


@dataclass
class StageRun:
    """A run being written; `run_id` names its journal. No method raises, whatever the state of disk and store."""

    results: Path
    run_id: str
    last_step: int = -1  # of the points in the journal: a resumed training repeats some of them
    _mirror_at: float = field(default_factory=lambda: time.monotonic() + MIRROR_EVERY)

    def metric(self, step: int, values: Mapping[str, float]) -> None:
        """Notes the values at a step; a step at or before the last one noted is skipped."""
        if step <= self.last_step:
            return
        self.last_step = step
        numbers = {key: float(value) for key, value in values.items()}
        journal.append(self.results, self.run_id, "metrics", step=step, values=numbers)
        if time.monotonic() > self._mirror_at:
            self._mirror_at = time.monotonic() + MIRROR_EVERY
            pipeline.mirror_later(self.results)

    def link(self, name: str, path: str | Path) -> None:
        """Notes where a file lies (relative to the current folder) and its SHA-256 as tags; nothing is copied."""
        try:
            digest = sha256_of(path)
        except OSError as error:
            journal.warn_once(f"{path}: no link to it ({error.strerror})")
            return
        values = {f"{name}.path": os.path.relpath(path), f"{name}.sha256": digest}
        journal.append(self.results, self.run_id, "tags", values=values)

    def artifact(self, path: str | Path, folder: str | None = None) -> None:
        """A small file, or a folder of them, that the mirror copies into the store."""
        journal.append_artifact(self.results, self.run_id, path, folder)

    def document(self, name: str, content: str | Mapping[str, Any]) -> None:
        """A text, or a mapping as JSON, that the mirror writes into the store as an artifact of that name."""
        journal.append_document(self.results, self.run_id, name, content)


@contextmanager
def stage(
    results: Path, *, stage: str, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]
) -> Iterator[StageRun]:
    """The run of one stage, a child of the pipeline's run where MDM_PRIME_PARENT_RUN names one.

    A stage of the same name and params that was interrupted or failed is continued: the same run, no point twice.
    An exception passes through and ends the run as FAILED. Without a pipeline the run is mirrored when it ends: a
    stage started by hand waits for that, a stage of `dvc repro` leaves it to a process of its own.

    Args:
        results: the results folder.
        stage: what is done, such as `train`.
        name: what it is done to, such as `text/l4/seed0`.
        params: values that the run depends on: the artifact config.json, and parameters with dotted keys.
        tags: what to find the run by: task, variant, model, num_subtokens, seed, scale, SHA-256 of the data.
    """
    params = json.loads(json.dumps(params, default=str))  # as it will be read back
    parent = os.environ.get(PARENT_RUN) or None
    of_dvc = parent is None and "DVC_STAGE" in os.environ
    if of_dvc:
        pipeline.warn_of_problem(results)
    continued = _unfinished(results, stage, name, params)
    run = continued or StageRun(results, journal.new_id(stage, name))
    journal.start(results, run.run_id, stage=stage, name=name, parent=parent, params=params, tags=tags, pid=os.getpid())
    if not continued:
        run.document("config.json", params)
    try:
        yield run
    except BaseException:
        journal.append(results, run.run_id, "end", status="FAILED")
        raise
    else:
        journal.append(results, run.run_id, "end", status="FINISHED")
    finally:
        if of_dvc:
            pipeline.mirror_later(results)
        elif parent is None:
            pipeline.mirror(results, PATIENCE)


def _unfinished(results: Path, stage: str, name: str, params: Mapping[str, Any]) -> StageRun | None:
    for run_id, events in journal.journals(results, f"{journal.slug(stage, name)}-*"):
        start = events[0]
        same = (start["stage"], start["name"], flat(start["params"])) == (stage, name, flat(params))
        if same and journal.status(events) != "FINISHED":
            return StageRun(results, run_id, max(event.get("step", -1) for event in events))
    return None
