"""What killed runs have left, and the store of MLflow."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from mdm_prime.cli.checks.finding import FEW, Finding, Scene, few
from mdm_prime.engines import lock
from mdm_prime.tracking import pipeline

TEMPORARY = r"\..+-[a-z0-9_]{8}(\.\w+)*"  # as files.replacing names them
OLD = 60 * 60  # seconds: a younger file may still be written
WITHIN = 3.0  # seconds for a store to answer
NO_RUN_LOST = "no run is lost: they are in journals"


def snakemake(scene: Scene) -> Finding:
    """Whether a lock keeps Snakemake from starting."""
    return Finding("failure", *lock.why()) if any(lock.FILES.glob("*.lock")) else Finding("ok", "no lock")


def leftovers(scene: Scene) -> Finding:
    """Temporary files of killed writes, and states of trainings that did not end."""
    files = [Path(folder) / name for folder, _, names in os.walk(scene.results) for name in names]
    states = [path for path in files if path.name == "state.safetensors"]
    useless = [path for path in files if re.fullmatch(TEMPORARY, path.name) and _is_old(path)]
    going_on = f"{len(states)} trainings under way or interrupted; they go on from their state" if states else ""
    if useless:
        mend = f"rm {shlex.join(map(str, useless[:FEW]))}" + (" ..." if len(useless) > FEW else "")
        return Finding("warning", f"of killed runs: {few(map(str, useless))}. {going_on}".strip(), mend)
    return Finding("ok", going_on or "none")


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > OLD
    except OSError:  # it was removed since
        return False


def mlflow_store(scene: Scene) -> Finding:
    """The server that MLFLOW_TRACKING_URI names, or the database, its own or results/mlflow.db."""
    uri = pipeline.store_uri(scene.results)
    if uri.startswith(("http://", "https://")):
        return _server(uri)
    if database := pipeline.sqlite_file(uri):
        return _database(database)
    return Finding("ok", f"MLFLOW_TRACKING_URI is {uri} (not checked: no server and no SQLite file)")


def _server(uri: str) -> Finding:
    """Whether a server answers; that it refuses, or does not know the page, is an answer as well."""
    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()  # no password
    found = f"MLFLOW_TRACKING_URI: {address}"
    reason: object = None
    try:
        urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=WITHIN).close()  # noqa: S310 (http, https)
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"{error.code} {error.reason}" if error.code >= 500 else None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
    if reason:
        mend = "start that server, or unset MLFLOW_TRACKING_URI to use results/mlflow.db"
        return Finding("warning", f"{found}: no answer ({reason}); {NO_RUN_LOST}", mend)
    return Finding("ok", f"{found} answers")


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding("ok", f"{path.name} is not there yet: the first run makes it")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=WITHIN)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        mend = f"move it away: mv {path} {path}.broken; the next run makes a new one from the journals"
        return Finding("warning", f"{path}: {verdict}; {NO_RUN_LOST}", mend)
    return Finding("ok", f"{path.name}: whole")
