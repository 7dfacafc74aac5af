"""The environment's commands as forks of a Python that has imported the libraries of others already.

Each call is still a process of its own, with its own arguments, environment, folder and open files, and imports this
project anew; only the seconds that torch, MLflow, Snakemake or DVC take to import are spent once. The commands are
clients in a folder for PATH. Not for tests that kill more than one process: of these commands only the client is in the
group of its caller. Not for tests of what hash seeds change: the forks of one server have one.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from contextlib import suppress
from pathlib import Path

DVC = (
    *("dvc.cachemgr", "dvc.data_cloud", "dvc.dvcfile", "dvc.repo.experiments", "dvc.repo.index", "dvc.stage"),
    *("dvc.utils.strictyaml", "dvc_render", "pyparsing"),
    *("dulwich.walk", "dulwich.client", "networkx", "psutil", "pygit2", "ruamel.yaml", "scmrepo.git", "zc.lockfile"),
)
LIBRARIES = {  # what a command imports, as far as it is of others
    "mdm-prime": (
        *("numpy", "pydantic.plugin._schema_validator", "pydantic.types", "pydantic.type_adapter", "sqlite3", "yaml"),
        *("torch", "torch._dynamo", "safetensors.torch", "rich.progress", "tabulate", "tokenizers"),
        *("matplotlib.style", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"),
        *("sklearn.datasets", "sklearn.model_selection", "PIL.ImageOps", "PIL.JpegImagePlugin"),
    ),
    "snakemake": (
        *("numpy", "pydantic.plugin._schema_validator", "pydantic.types", "yaml", "pandas", "docutils.core", "yte"),
        *("snakemake.cli", "snakemake.workflow", "snakemake.dag", "snakemake.executors.local"),
        *("snakemake.report.html_reporter", "docutils.parsers.rst", "jinja2"),
        *DVC,
    ),
    "dvc": ("dvc.cli.parser", *DVC),
    "python": ("mlflow", "mlflow.store.tracking.sqlalchemy_store", "alembic.command"),  # of `python -c`: mirrors
}
MOST_FILES = 100
CLIENT = """\
#!{python} -IS
# What its server has forked is this command, killed when this process is. Without a server it is {real}.
import json, os, signal, socket, sys
files = [int(name) for name in os.listdir("/proc/self/fd")]
files = [file for file in files if os.path.exists("/proc/self/fd/%d" % file)]  # without that of the list itself
said = [files, sys.argv[1:], os.getcwd(), dict(os.environ), os.getppid()]
with socket.socket(socket.AF_UNIX) as server:
    try:
        if {real!r} == {python!r} and sys.argv[1] != "-c":
            raise FileNotFoundError
        server.connect({address!r})
    except FileNotFoundError:
        os.execv({real!r}, [{real!r}, *sys.argv[1:]])
    socket.send_fds(server, [b"."], files)
    server.sendall(json.dumps(said).encode() + b"\\n")
    for file in files:
        os.close(file)
    status = int(server.recv(16))
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""
_servers: dict[str, subprocess.Popen[bytes]] = {}


def commands(*names: str) -> Path:
    """A folder with the commands, of which these are forks from now on; their servers end with this process."""
    folder = _folder()
    started = {name: _start(folder, name) for name in names if name not in _servers}
    _servers.update(started)
    for server in started.values():
        assert server.stdout
        assert server.stdout.readline()  # it listens, and imports
    return folder


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in LIBRARIES:
        real = sys.executable if name == "python" else str(Path(sys.executable).parent / name)
        address = str(folder / f"{name}.socket")
        (folder / name).write_text(CLIENT.format(python=sys.executable, real=real, address=address), encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def _start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    from mdm_prime.tracking.pipeline import mlflow_environment  # not in the server

    command = [sys.executable, __file__, str(folder), name]
    environment = mlflow_environment() if name == "python" else None  # read when mlflow is imported
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(_close, server)
    return server


def _close(server: subprocess.Popen[bytes]) -> None:
    with server:
        server.kill()


# ---- the server, a process by itself ---------------------------------------------------------------------------------


def serve(folder: Path, name: str) -> None:
    """Returns in a fork, which has become the command; the server ends with whoever has started it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / f"{name}.socket"))
    listener.listen(64)
    os.write(1, b"\n")
    sys.argv[0] = str(Path(sys.executable).parent / name)
    sys.executable, sys.path[0] = str(folder / "python"), str(Path(sys.argv[0]).parent)
    for library in LIBRARIES[name]:
        importlib.import_module(library)
    assert "mdm_prime" not in sys.modules
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            sys.exit()
        client, _ = listener.accept()
        if os.fork() == 0:
            break
        client.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()
    _, files, _, _ = socket.recv_fds(client, 1, MOST_FILES)
    with client.makefile("rb") as line:
        said = json.loads(line.readline())
    if process := os.fork():
        _wait(process, client, files)
    client.close()
    _become(files, *said)


def _wait(process: int, client: socket.socket, files: list[int]) -> None:
    """Tells the client how the command has ended; kills the command when the client is killed."""
    for file in (0, 1, 2, *files):
        os.close(file)
    ended = os.pidfd_open(process)
    ready, _, _ = select.select([ended, client], [], [])
    if ended not in ready:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with suppress(OSError):
        client.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(
    files: list[int], numbers: list[int], arguments: list[str], folder: str, environment: dict[str, str], parent: int
) -> None:
    """This process with what a new one would have been given."""
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 1000) for file in files]
    for file in files:
        os.close(file)
    for number, file in zip(numbers, aside, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.getppid = lambda: parent
    sys.argv[1:] = arguments
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]


def run() -> int:
    """The command, as its script or its text begins it; returns its exit status."""
    try:
        if sys.argv[1:2] == ["-c"]:
            del sys.argv[0]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(sys.argv.pop(1), main.__dict__)  # noqa: S102
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else end.code is not None
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(status: int) -> None:
    """Ends the process as Python does, but leaves its memory to the system, which takes half a second less."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])
    end(run())
