import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from doctor_scenes import has_state, scene_of

from mdm_prime.doctor import report, stores


def test_mlflow_database():
    has_state(stores.mlflow_store(scene_of()), "ok", "not there yet")
    Path("results").mkdir()
    with sqlite3.connect("results/mlflow.db") as database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
        database.executemany("INSERT INTO runs VALUES (?)", [(str(number),) for number in range(3)])
    database.close()
    has_state(stores.mlflow_store(scene_of()), "ok", "3 runs")
    Path("results/mlflow.db").write_bytes(b"no database" * 100)
    has_state(stores.mlflow_store(scene_of()), "warning", "not a database", "mv ")


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "ok"), (404, "ok"), (503, "warning")])
def test_mlflow_server(monkeypatch, status, state):
    monkeypatch.setattr(Answer, "status", status)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.timeout = 2.0  # seconds to wait for a request that never comes
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        uri = f"http://me:hunter2@127.0.0.1:{server.server_port}?token=hunter2"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        found = stores.mlflow_store(scene_of())
        thread.join()
    has_state(found, state, f"http://127.0.0.1:{server.server_port}")
    assert "hunter2" not in str(found)


def test_mlflow_server_that_is_not_there(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free}")
    has_state(stores.mlflow_store(scene_of()), "warning", "Connection refused", "no run is lost")


def test_another_store_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2@host/db")
    monkeypatch.setattr(report, "CHECKS", (("MLflow store", stores.mlflow_store),))
    (row,) = report.examine(Path("none.yaml"), Path("results"))
    assert row.state == "ok"
    assert "postgresql://***@host/db" in row.found


def test_port(monkeypatch):
    with socket.create_server((stores.HOST, 0)) as listening:
        monkeypatch.setattr(stores, "PORT", listening.getsockname()[1])
        has_state(stores.port(scene_of()), "warning", "make ui PORT=5001")
    has_state(stores.port(scene_of()), "ok", "free")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "file").write_text("1")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "file"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *arguments], check=True, capture_output=True)
    return tmp_path


def test_git(repository, monkeypatch):
    has_state(stores.git(scene_of()), "ok", "no changes")
    (repository / "file").write_text("2")
    has_state(stores.git(scene_of()), "warning", "1 changed", "git status")
    shutil.rmtree(repository / ".git")
    has_state(stores.git(scene_of()), "warning", "not a git repository")
    monkeypatch.setattr(shutil, "which", lambda command: None)
    has_state(stores.git(scene_of()), "warning", "not installed")


def test_dvc(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda command: f"/bin/{command}")
    has_state(stores.dvc(scene_of()), "warning", "dvc init")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    has_state(stores.dvc(scene_of()), "warning", "dvc remote add")
    remote = "['remote \"store\"']\n    url = https://me:hunter2@host\n    password = 100%hunter2\n"
    (tmp_path / ".dvc" / "config.local").write_text(remote)
    found = stores.dvc(scene_of())
    has_state(found, "ok", "store")
    assert "hunter2" not in str(found)
    monkeypatch.setattr(shutil, "which", lambda command: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    has_state(stores.dvc(scene_of()), "warning", "not installed")
