"""Journals as runs of MLflow; the only importer of mlflow. `main` runs in a process of its own.

Sending again adds nothing: how much of a journal is in the store is noted beside the journals, and MLflow ignores a
point that it has (same key, step, time and value).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdm_prime.files import replacing, sha256_of, write_json
from mdm_prime.tracking import journal, pipeline, sqlite
from mdm_prime.tracking.events import flat

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "mdm-prime"
REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")  # of one run, not of the whole store
MAX_METRICS, MAX_ITEMS, MAX_TEXT = 1000, 100, 5000  # limits of MLflow: metrics and tags of one call, one value
COMPARED_BY = ("task", "variant", "model", "num_subtokens", "scale")  # tags that are shown as parameters as well
PATIENCE = 600  # seconds that a mirror which nobody waits for may take


class StoreError(Exception):
    """The store cannot be written; `str(error)` is one line that says why."""


def main() -> None:
    """Mirrors the results folder in sys.argv[1]; prints one line and exits with 1 when that fails.

    With the number of a locked file and seconds as further arguments: waits so long first, and lets go of the lock.
    """
    results, *later = Path(sys.argv[1]), *sys.argv[2:]
    if later:
        time.sleep(float(later[1]))
        os.close(int(later[0]))
        if not journal.folder(results).is_dir():  # removed since
            return
        signal.alarm(PATIENCE)
    reason = None
    try:
        with contextlib.redirect_stdout(sys.stderr):
            mirror(results)
    except Exception as error:  # whatever mlflow and its drivers may raise
        reason = str(error) if isinstance(error, StoreError) else one_line(error)
    with contextlib.suppress(OSError):  # what cannot be written there was said when the journal was written
        pipeline.note_problem(results, reason)
    if reason:
        sys.stdout.write(reason)
        sys.exit(1)


def mirror(results: Path) -> None:
    """Ends the runs whose process died, and adds to the store what the journals hold beyond it. Raises StoreError.

    Of many that wait for one another only the first has anything to do, and the others do not import mlflow.
    """
    journal.folder(results).mkdir(parents=True, exist_ok=True)
    with (journal.folder(results) / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        journal.end_dead(results)
        if pipeline.waiting(results).runs or not pipeline.notes(results).get("runs"):
            send(results)


def send(results: Path) -> None:
    """Adds to the store what the journals hold beyond it. Raises StoreError.

    What is noted as sent is trusted as long as the experiment is the same; a store in its place is filled again.
    """
    client, experiment, identity = _open(results)
    noted = pipeline.notes(results)
    if noted.get("store") != identity:
        noted = {"store": identity, "experiment": experiment, "runs": {}}
    noted["uri"] = pipeline.digest_of(pipeline.store_uri(results))
    write_json(pipeline.notes_file(results), noted)
    refused = []
    found = list(journal.journals(results))
    for run_id, events in sorted(found, key=lambda run: run[1][0]["stage"] != "pipeline"):  # parents first
        path = journal.folder(results) / f"{run_id}.jsonl"
        known = noted["runs"].setdefault(run_id, {"run": None, "bytes": 0})
        if path.stat().st_size > known["bytes"]:
            known["run"] = known["run"] or _run(client, experiment, run_id, events[0])
            try:
                known["bytes"] = _add(client, known["run"], path, known["bytes"], noted["runs"])
            except Exception as error:
                if getattr(error, "error_code", None) not in REFUSED:
                    raise
                refused.append(f"{run_id}: refused by the store ({one_line(error)})")
                known["bytes"] = path.stat().st_size  # a run deleted by hand stays deleted
            write_json(pipeline.notes_file(results), noted)
    if refused:
        raise StoreError(refused[0] + (f" and {len(refused) - 1} more" if refused[1:] else ""))


def _open(results: Path) -> tuple[MlflowClient, str, str]:
    """A client, the experiment's id, and a text that no other experiment of any store has."""
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise StoreError(f"mlflow cannot be imported ({error}); add the extra mdm-prime[pipeline]") from None
    uri = pipeline.store_uri(results)
    artifacts = None
    if database := pipeline.sqlite_file(uri):
        artifacts = (results.resolve() / "mlartifacts").as_uri()
        _check_sqlite(database, artifacts)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        experiment = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
    for key, value in view_tags().items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    identity = pipeline.digest_of(uri, experiment.experiment_id, experiment.creation_time)
    return client, str(experiment.experiment_id), identity


def _check_sqlite(path: Path, artifacts: str) -> None:
    """Creates the database, whole or not at all, where there is none; raises StoreError for one that cannot be used."""
    from mlflow import MlflowClient

    if not path.exists() or not path.stat().st_size:
        with replacing(path) as temporary:
            MlflowClient(tracking_uri=f"sqlite:///{temporary}").create_experiment(EXPERIMENT, artifacts)
        return
    if reason := sqlite.unusable(path):
        raise StoreError(reason)


def _run(client: MlflowClient, experiment: str, run_id: str, first: journal.Event) -> str:
    """The MLflow run of a journal; a mirror that was killed may have created it."""
    for run in client.search_runs([experiment], f"tags.journal = '{run_id}'", max_results=1):
        return str(run.info.run_id)
    name = f"{first['stage']} {first['name']}"
    run = client.create_run(experiment, first["time"], {"journal": run_id}, run_name=name)
    return str(run.info.run_id)


def _add(client: MlflowClient, run: str, path: Path, offset: int, runs: Mapping[str, Any]) -> int:
    """Adds a journal from a byte offset on to its run, and returns the offset of its end."""
    from mlflow.entities import Metric

    events, end = journal.read(path, offset)
    starts = [event for event in events if event["event"] == "start"]
    if offset and starts:
        client.update_run(run, status="RUNNING")  # continued
    tags: dict[str, Any] = {}
    metrics, changed = [], []
    for event in events:
        if event["event"] == "start":
            parent = runs.get(event["parent"], {}).get("run")
            tags |= event["tags"] | ({"mlflow.parentRunId": parent} if parent else {})
        elif event["event"] == "tags":
            tags |= event["values"]
        elif event["event"] == "metrics":
            values = event["values"].items()
            metrics += [Metric(key, value, event["time"], event["step"]) for key, value in values]
        elif event["event"] == "document":
            client.log_text(run, event["text"], event["name"])
        elif event["event"] == "artifact" and not _log_artifact(client, run, event):
            changed.append(Path(event["path"]).name)
    if changed:
        tags["not_copied"] = f"changed or removed before it was copied: {', '.join(sorted(set(changed)))}"
    _log(client, run, metrics, {} if offset else _params(starts[0]), tags)
    last = [event for event in events if event["event"] in ("start", "end")][-1:]
    if last and last[0]["event"] == "end":
        client.set_terminated(run, last[0]["status"], end_time=last[0]["time"])
    return end


def _params(start: journal.Event) -> dict[str, Any]:
    """Parameters with dotted keys, and what runs are compared by: MLflow draws by parameters, not by tags."""
    return {key: start["tags"][key] for key in COMPARED_BY if key in start["tags"]} | flat(start["params"])


def _log(
    client: MlflowClient,
    run: str,
    metrics: list[Metric],
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
) -> None:
    """In parts, as a call takes so many at most."""
    from mlflow.entities import Param, RunTag

    for chunk in _chunks([Param(key, str(value)[:MAX_TEXT]) for key, value in params.items()], MAX_ITEMS):
        client.log_batch(run, params=chunk)
    for chunk in _chunks(metrics, MAX_METRICS):
        client.log_batch(run, metrics=chunk)
    for chunk in _chunks([RunTag(key, str(value)[:MAX_TEXT]) for key, value in tags.items()], MAX_ITEMS):
        client.log_batch(run, tags=chunk)


def _log_artifact(client: MlflowClient, run: str, event: journal.Event) -> bool:
    """Copies a file if it is still the one that was noted, and says so."""
    path = Path(event["path"])
    try:
        if not path.is_file() or sha256_of(path) != event["sha256"]:
            return False
    except OSError:
        return False
    client.log_artifact(run, str(path), event["folder"])
    return True


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def one_line(error: BaseException) -> str:
    """What went wrong, without the user and the password that an address may hold."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return re.sub(r"//[^/@\s]+@", "//***@", text)[:400]


# ---- what the page of runs shows at first ----------------------------------------------------------------------------

# MLflow keeps a shared view of the page as a tag of the experiment and names it by a key in the address: what its
# button "Share" makes, with the names that its page uses (mlflow/server/js, experiment-page). Another version of MLflow
# that cannot read it shows its own columns instead.
KIND = {"mlflow.experimentKind": "custom_model_development"}  # not the pages of language model applications
CREATED = "runDateAndNestInfo"  # the column that is always there: wide enough for the state of a run
WHAT = {CREATED: 70, "params.`num_subtokens`": 125}
LOSSES = {  # at a width of 1600 all four are on the screen, with the pane of the assistant too
    "metrics.`ppl_bound`": 100,
    "metrics.`published_loss_ppl`": 145,
    "metrics.`bpd_bound`": 100,
    "metrics.`bpd_published`": 120,
}
VIEWS = {  # sorted by anything but time, children stand beside their parents instead of inside them, folded
    "runs": {
        "searchFilter": "",
        "orderByKey": "tags.`mlflow.runName`",
        "columnWidths": WHAT | {"params.`model`": 105, "params.`scale`": 70, "tags.`seed`": 55} | LOSSES,
    },
    "losses": {
        "searchFilter": "tags.stage = 'evaluate'",
        "orderByKey": "params.`num_subtokens`",
        "columnWidths": WHAT | LOSSES,
    },
}


def view_tags() -> dict[str, str]:
    """The tags of the experiment: its kind and the views."""
    return KIND | {f"mlflow.sharedViewState.{_key(name)}": _content(name) for name in VIEWS}


def view_query(name: str) -> str:
    """What shows a view when it stands behind the address of an experiment's runs."""
    return f"?viewStateShareKey={_key(name)}&workflowType=machine_learning"


def _key(name: str) -> str:
    """Another one whenever the view changes."""
    return hashlib.sha256(_content(name).encode()).hexdigest()[:16]


def _content(name: str) -> str:
    columns = list(VIEWS[name]["columnWidths"])
    state = {**VIEWS[name], "orderByAsc": True, "selectedColumns": columns, "columnOrder": columns}
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
