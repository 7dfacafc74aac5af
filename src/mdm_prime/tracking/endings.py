"""The end of a pipeline's run, by whoever notes it: the pipeline itself, or another process after its death."""

from __future__ import annotations

from pathlib import Path

from mdm_prime.tracking import journal, processes

FOLDERS = ("tables", "figures")  # of results, copied into the run of a pipeline


def end(results: Path, run_id: str, status: journal.Status, time: int | None = None) -> None:
    """Ends a pipeline's run; a stage of it that never ended is noted as killed. `time` is in milliseconds."""
    when = {} if time is None else {"time": time}
    for stage_id, events in stages_of(results, run_id):
        if journal.status(events) == "RUNNING":
            journal.append(results, stage_id, "end", status="KILLED", **when)
    journal.append(results, run_id, "end", status=status, **when)


def stages_of(results: Path, run_id: str) -> list[tuple[str, list[journal.Event]]]:
    """The journals of the stages whose last start belongs to a pipeline."""
    return [run for run in journal.journals(results) if journal.last_start(run[1])["parent"] == run_id]


def note_products(results: Path, run_id: str) -> None:
    """Tables and figures as artifacts of a pipeline's run."""
    for folder in FOLDERS:
        if (results / folder).is_dir():
            journal.append_artifact(results, run_id, results / folder, folder)


def end_dead(results: Path) -> None:
    """Ends every pipeline whose process has died, when none of its stages goes on without it.

    FINISHED if all its stages are, else FAILED: how the process itself ended nobody can tell any more.
    """
    for run_id, events in journal.journals(results, "pipeline-*"):
        if journal.status(events) == "RUNNING" and dead(results, run_id, events):
            stages = stages_of(results, run_id)
            whole = all(journal.status(stage) == "FINISHED" for _, stage in stages)
            last = max(int(event["time"]) for _, journal_ in [(run_id, events), *stages] for event in journal_)
            note_products(results, run_id)
            end(results, run_id, "FINISHED" if whole else "FAILED", last)


def end_earlier(results: Path) -> None:
    """Ends what went before a new pipeline, all but one whose process lives: no two write into one folder."""
    end_dead(results)
    for run_id, events in journal.journals(results, "pipeline-*"):
        if journal.status(events) == "RUNNING" and processes.alive(events[0].get("process")) is not True:
            end(results, run_id, "KILLED")


def dead(results: Path, run_id: str, events: list[journal.Event]) -> bool:
    """Whether the process of a pipeline has died, and every stage of it that has not ended."""
    if processes.alive(events[0].get("process")) is not False:
        return False
    running = [stage for _, stage in stages_of(results, run_id) if journal.status(stage) == "RUNNING"]
    return not any(processes.alive(journal.last_start(stage).get("process")) for stage in running)
