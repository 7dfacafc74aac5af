"""MLflow's page, on this machine only."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdm_prime.errors import UserError
from mdm_prime.tracking import journal, pipeline, sqlite, store

HOST = "127.0.0.1"
START_WITHIN = 120.0  # seconds
END_WITHIN = 30.0  # seconds; then it is killed
HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"  # a name of this machine; any port, as a tunnel may have another
REFRESH_EVERY = 30.0  # seconds between two mirrors of a pipeline that is running


def ui(results: Path, port: int, scale: str) -> None:
    """Serves the runs at 127.0.0.1 until it is interrupted, and prints the address that lists them.

    Raises UserError when there is no run (`scale` is the one to make), the store is broken, the port is in use or the
    server does not start.
    """
    uri = pipeline.store_uri(results)
    if uri.startswith(("http:", "https:")):
        raise UserError("MLFLOW_TRACKING_URI names a server: open its address in a browser, or unset the variable")
    if importlib.util.find_spec("mlflow") is None:
        raise UserError("mlflow is not installed; add the extra: pip install 'mdm-prime[pipeline]'")
    pipeline.check_runs(results, scale)
    sqlite.check(pipeline.sqlite_file(uri))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port}: cannot be used ({error}); give another one: make ui PORT=5001") from None
    if not pipeline.mirror(results, START_WITHIN):
        raise UserError(f"{results}: the store cannot be written (see the warning above)")
    with _server(results, uri, port) as server:
        _await(server, port)
        for name, what in (("runs", "The runs are listed"), ("losses", "Both losses of every model")):
            sys.stdout.write(f"{what} at {address(results, port, name)}\n")
        sys.stdout.write("Ctrl-C ends it\n")
        sys.stdout.flush()
        seen = _size(results)
        while server.poll() is None:
            time.sleep(REFRESH_EVERY)
            if _size(results) != seen:
                seen = _size(results)
                pipeline.mirror(results, START_WITHIN)
    raise UserError(f"the server of MLflow ended with exit code {server.returncode}")


def address(results: Path, port: int, name: str) -> str:
    """Where the server shows a view."""
    experiment = pipeline.notes(results)["experiment"]
    return f"http://{HOST}:{port}/#/experiments/{experiment}/runs{store.view_query(name)}"


@contextmanager
def _server(results: Path, uri: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A running server; its process group is ended after the block, on SIGTERM and when the terminal closes."""
    artifacts = (results.resolve() / "mlartifacts").as_uri()
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    stores = ["--default-artifact-root", artifacts, "--artifacts-destination", artifacts]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": uri}  # may hold a password
    server = subprocess.Popen(
        [*command, *stores],
        env={"MLFLOW_SERVER_ALLOWED_HOSTS": HOSTS, **pipeline.mlflow_environment(), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    before = {number: signal.signal(number, lambda *_: sys.exit(0)) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield server
    except KeyboardInterrupt:
        sys.exit(0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise UserError(f"the server of MLflow did not start within {START_WITHIN:g} s; try it by itself: mlflow server")


def _size(results: Path) -> int:
    return sum(path.stat().st_size for path in journal.folder(results).glob("*.jsonl"))
