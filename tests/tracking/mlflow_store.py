"""What MLflow shows, asked in a process of its own, and a real server for it."""

from __future__ import annotations

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from mdm_prime.tracking import pipeline

READ = """
import contextlib, json, sys
from mlflow import MlflowClient
def read(client, run):
    history = {k: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, k)] for k in run.data.metrics}
    files = {}
    for folder in ("", "tables", "figures"):
        for file in client.list_artifacts(run.info.run_id, folder):
            if not file.is_dir:
                with open(client.download_artifacts(run.info.run_id, file.path), "rb") as content:
                    files[file.path] = content.read().decode("latin-1")
    info = {"id": run.info.run_id, "name": run.info.run_name, "status": run.info.status, "end": run.info.end_time}
    return info | {"params": run.data.params, "tags": run.data.tags, "history": history, "files": files}
for line in sys.stdin:
    uri, text, whole = json.loads(line)
    with contextlib.redirect_stdout(sys.stderr):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("mdm-prime").experiment_id
        runs = client.search_runs([experiment], text, max_results=1000)
        found = [read(client, run) if whole else run.info.run_name for run in runs]
    print(json.dumps(found), flush=True)
"""


@functools.cache
def reader() -> subprocess.Popen[str]:
    """One process for all questions, since importing mlflow takes seconds; it ends with this one, or at an error."""
    process = subprocess.Popen(
        [sys.executable, "-c", READ],
        env=pipeline.mlflow_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.kill)
    return process


def _answer(uri: str, filter_string: str, *, whole: bool) -> Any:
    process = reader()
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps([uri, filter_string, whole]) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        reader.cache_clear()
        pytest.fail(f"{uri}: the reader of the store has ended with {process.wait()}")
    return json.loads(line)


def found_by(uri: str, *filter_strings: str) -> list[set[str]]:
    """The names of the runs that each search string finds."""
    return [set(_answer(uri, text, whole=False)) for text in filter_strings]


def search(uri: str, filter_string: str = "") -> list[dict[str, Any]]:
    """The runs that a search string finds, with every point and every artifact."""
    found: list[dict[str, Any]] = _answer(uri, filter_string, whole=True)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """`mlflow server` on 127.0.0.1 with its database and its artifacts in a folder; killed and started at will."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--workers", "1", "--serve-artifacts"]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **settings}, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "server.txt").read_text()
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.txt").read_text())

    def kill(self) -> None:
        """As a power cut does it: the server and its workers at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
