"""Where runs and versions are kept: MLflow, git, DVC. Tables are made without any of them, so nothing here fails."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from mdm_prime.doctor.finding import Finding, Scene
from mdm_prime.doctor.waiting import within
from mdm_prime.tracking import mirror
from mdm_prime.tracking.server import HOST

PATIENCE = 3.0  # seconds
PORT = 5000  # of `make ui`
NO_RUN_LOST = "no run is lost: they are in journals"


def mlflow_store(scene: Scene) -> Finding:
    """The server that MLFLOW_TRACKING_URI names, or the database, its own or results/mlflow.db."""
    uri = mirror.store_uri(scene.results)
    if uri.startswith(("http://", "https://")):
        return _server(uri)
    if uri.startswith("sqlite:///"):
        return _database(Path(uri.removeprefix("sqlite:///")))
    return Finding("ok", f"MLFLOW_TRACKING_URI is {uri} (not checked: no server and no SQLite file)")


def _server(uri: str) -> Finding:
    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()  # no password
    found = f"MLFLOW_TRACKING_URI: {address}"
    try:
        within(PATIENCE + 1, lambda: _get(f"{address.rstrip('/')}/health"))
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        mend = "start that server, or unset MLFLOW_TRACKING_URI to use results/mlflow.db"
        return Finding("warning", f"{found}: no answer ({reason}); {NO_RUN_LOST}", mend)
    return Finding("ok", f"{found} answers")


def _get(address: str) -> None:
    """Asks for a page; that it is refused or not there is an answer as well."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE):  # noqa: S310 (http or https, see the caller)
            pass
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500:
            raise ConnectionError(f"{error.code} {error.reason}") from None


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding("ok", f"{path.name} is not there yet: the first run makes it")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            runs = database.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        mend = f"move it away: mv {path} {path}.broken; the next run makes a new one from the journals"
        return Finding("warning", f"{path}: {verdict}; {NO_RUN_LOST}", mend)
    return Finding("ok", f"{path.name}: whole, {runs} runs")


def port(scene: Scene) -> Finding:
    """The port of `make ui`."""
    try:
        socket.create_server((HOST, PORT)).close()
    except OSError as error:
        found = f"{HOST}:{PORT} cannot be used ({error.strerror or error}): something else listens, perhaps make ui"
        return Finding("warning", found, "make ui PORT=5001")
    return Finding("ok", f"{HOST}:{PORT} is free")


def git(scene: Scene) -> Finding:
    """Whether runs can be tagged with a commit that says all."""
    if not shutil.which("git"):
        return Finding("warning", "not installed: runs are not tagged with their commit", "install git")
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changes = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no").splitlines()
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("warning", f"no commit to tag runs with ({reason})", "run inside a git clone with a commit")
    except subprocess.TimeoutExpired:
        return Finding("warning", "git does not answer", "git status")
    if changes:
        found = f"{commit} and {len(changes)} changed files: runs are tagged git.dirty"
        return Finding("warning", found, "git status shows them; git commit or git stash")
    return Finding("ok", f"{commit}, no changes")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True).stdout.rstrip()


def dvc(scene: Scene) -> Finding:
    """Whether DVC is there and knows where to push to."""
    if not (shutil.which("dvc") or (Path(sys.executable).parent / "dvc").is_file()):
        return Finding("warning", "not installed: data and results get no version in DVC", "make setup")
    if not Path(".dvc").is_dir():
        return Finding("warning", "not set up in this folder", "dvc init && make remote DIR=/mnt/FOLDER")
    remotes = _remotes()
    if not remotes:
        found = "no remote: nothing can be pushed or pulled"
        return Finding(
            "warning", found, "make remote DIR=/mnt/FOLDER, or dvc remote add --local --default NAME s3://BUCKET/FOLDER"
        )
    return Finding("ok", f"remotes: {', '.join(remotes)}")


def _remotes() -> list[str]:
    """Names of DVC's remotes, of the repository and of the user. Reading its files takes no second, asking it does."""
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "dvc"
    found: list[str] = []
    for file in (Path(".dvc/config"), Path(".dvc/config.local"), user / "config"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read(file, encoding="utf-8")
        matches = (re.fullmatch(r"""'?remote "(.+)"'?""", section) for section in parser.sections())
        found += [match[1] for match in matches if match]
    return list(dict.fromkeys(found))
