"""`mdm-prime doctor`: its rows, each caused on purpose, and the screen that shows them."""

import importlib.metadata
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from mdm_prime.cli import doctor
from mdm_prime.cli import main as cli
from mdm_prime.cli.checks import environment, finding, hardware, leftovers, torch_facts
from mdm_prime.cli.checks.finding import Finding, Scene
from mdm_prime.cli.doctor import Row
from mdm_prime.experiment import config

ROOT = Path(__file__).parents[2]
OK, WARNED, FAILED = Finding("ok", "good"), Finding("warning", "hm", "do this"), Finding("failure", "bad", "do that")
CPU = {"version": "2.9", "gpus": [], "gpu_problem": None, "parameters": {"a": 10**9, "b": 10**9}}
GPU = CPU | {"gpus": [["A100", 80 * 10**9]]}
BROKEN_GPU = GPU | {"gpu_problem": "CUDA error: no kernel image is available"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current folder, and no store from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def scene_of(device="auto", torch=CPU):
    """The smoke params with a device, in this folder, and a torch."""
    values = yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text())
    values["compute"]["device"] = device
    shutil.copy2(ROOT / "params" / "base.yaml", "base.yaml")
    Path("mine.yaml").write_text(yaml.safe_dump(values))
    made = Scene(Path("mine.yaml"), Path("results"))
    made.__dict__["torch"] = torch
    return made


def has_state(found, state, *told):
    assert found.state == state, found
    assert bool(found.mend) == (state != "ok"), found
    for part in told:
        assert part in found.found + found.mend, found


def checks_that_find(monkeypatch, *findings):
    named = tuple((f"check {number}", lambda scene, found=found: found) for number, found in enumerate(findings))
    monkeypatch.setattr(doctor, "CHECKS", named)


# ---- the screen


@pytest.mark.parametrize(("found", "code"), [((OK,), 0), ((OK, WARNED), 0), ((OK, FAILED, WARNED), 1)])
def test_exit_code(monkeypatch, capsys, found, code):
    checks_that_find(monkeypatch, *found)
    assert cli.main(["--params", "none.yaml", "doctor"]) == code
    assert cli.main(["--params", "none.yaml", "doctor", "--json"]) == code
    assert "Traceback" not in capsys.readouterr().out


def test_json(monkeypatch, capsys):
    checks_that_find(monkeypatch, OK, FAILED)
    assert doctor.run(Path("none.yaml"), Path("results"), as_json=True) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"name": "check 0", "state": "ok", "found": "good", "mend": ""},
        {"name": "check 1", "state": "failure", "found": "bad", "mend": "do that"},
    ]


def test_a_check_that_breaks_is_a_row_and_the_others_go_on(monkeypatch):
    def broken(scene):
        raise RuntimeError("two\nlines at https://me:secret@host")

    monkeypatch.setattr(doctor, "CHECKS", (("broken", broken), ("whole", lambda scene: OK)))
    first, second = doctor.examine(Path("none.yaml"), Path("results"))
    assert (first.name, first.state) == ("broken", "failure")
    assert "RuntimeError: two lines at https://***@host" in first.found
    assert second == Row("whole", *OK)


def test_every_check_has_its_row_and_none_breaks_without_anything(monkeypatch):
    monkeypatch.setattr(torch_facts, "ask", lambda params: {"problem": "No module named 'torch'"})
    rows = doctor.examine(Path("none.yaml"), Path("results"))
    assert [row.name for row in rows] == [name for name, _ in doctor.CHECKS]
    assert not [row for row in rows if "the check itself failed" in row.found]
    states = {row.name: row.state for row in rows}
    assert states["params"] == states["torch and GPU"] == "failure"
    assert not Path("results").exists()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_readable_at_any_width(width):
    rows = [Row("leftover files", "failure", "[bold] are there", "pip install 'mdm-prime[pipeline]'"), Row("a", *OK)]
    output = io.StringIO()
    doctor.show(rows, Console(file=output, width=width, color_system=None), "make all")
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(output.getvalue().split())
    for part in ("leftover files", "failure", "[bold]", "good", "would fail"):
        assert part in text
    assert "mdm-prime[pipeline]" in text.replace(" ", "")


def test_summary_names_what_fails():
    assert doctor.summary([Row("a", *FAILED), Row("b", *WARNED)], "make all").endswith("would fail (a); warnings: b")
    assert doctor.summary([Row("a", *OK)], "make all").endswith("has what it needs")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:hunter2@host/a", "https://***@host/a"),
        ("postgresql://u:hunt,er2@p/w@host:5432/db", "postgresql://***@host:5432/db"),
        ("https://host/a?token=hunter2&b=1 then", "https://host/a?*** then"),
    ],
)
def test_no_secret_is_shown(monkeypatch, capsys, address, shown):
    checks_that_find(monkeypatch, Finding("warning", f"at {address}", f"ask {address}"))
    doctor.run(Path("none.yaml"), Path("results"), as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["found"], row["mend"]) == (f"at {shown}", f"ask {shown}")


def test_importing_doctor_is_light():
    code = "import sys, mdm_prime.cli.doctor; sys.exit(str({'torch', 'mlflow', 'pandas', 'sklearn'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "set()"


# ---- Python and packages


def installed(monkeypatch, **versions):
    """Other versions of some packages; None for one that is missing."""
    real = importlib.metadata.version

    def version_of(name):
        version = versions[name] if name in versions else real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", version_of)


@pytest.mark.parametrize(("version", "state"), [("3.11.7", "ok"), ("3.20.0", "ok"), ("3.10.2", "failure")])
def test_python(monkeypatch, version, state):
    monkeypatch.setattr("platform.python_version", lambda: version)
    monkeypatch.setattr("platform.python_version_tuple", lambda: tuple(version.split(".")))
    has_state(environment.python(scene_of()), state, version, ">=3.11")


def test_packages_as_locked():
    has_state(environment.packages(scene_of()), "ok", "as in requirements.lock")


@pytest.mark.parametrize(
    ("versions", "state", "told"),
    [
        ({"numpy": "1.26"}, "failure", "numpy is 1.26, wanted >=2.0"),
        ({"safetensors": None}, "failure", "'safetensors>=0.5'"),
        ({"snakemake": None}, "failure", "snakemake is missing"),
        ({"mlflow": None}, "warning", "mlflow is missing"),
        ({"ruff": None}, "warning", "ruff is missing"),
        ({"numpy": "99.0"}, "warning", "numpy is 99.0, wanted =="),
        (dict.fromkeys(("ruff", "mypy", "pytest", "dvc"), None), "warning", "and 1 more"),
    ],
)
def test_packages_that_are_missing_or_others(monkeypatch, versions, state, told):
    installed(monkeypatch, **versions)
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    has_state(environment.packages(scene_of()), state, told, "python -m pip install")
    monkeypatch.setattr(sys, "prefix", str(finding.ROOT / ".venv"))
    assert environment.packages(scene_of()).mend == "make setup"


def test_comparing_needs_packaging(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    has_state(environment.packages(scene_of()), "warning", "not compared", "pip install packaging")


# ---- params, torch, disk


def test_params(monkeypatch):
    has_state(environment.params(scene_of()), "ok", "mine.yaml", "runs")
    has_state(environment.params(Scene(Path("none.yaml"), Path("results"))), "failure", "none.yaml", "check-params")

    def broken(path):
        raise MemoryError("no room")

    monkeypatch.setattr(config, "load", broken)
    has_state(environment.params(Scene(Path("a.yaml"), Path("results"))), "failure", "a.yaml: MemoryError: no room")


@pytest.mark.parametrize(
    ("wanted", "torch", "state", "told"),
    [
        ("auto", CPU, "ok", "no GPU"),
        ("auto", GPU, "ok", "A100 (80.0 GB)"),
        ("cpu", BROKEN_GPU, "ok", "not used"),
        ("cuda", GPU, "ok", "A100"),
        ("cuda", CPU, "failure", "compute.device"),
        ("cuda", BROKEN_GPU, "failure", "no kernel image"),
        ("auto", BROKEN_GPU, "failure", "no kernel image"),
        ("cpu", {"problem": "No module named 'torch'"}, "failure", "No module named 'torch'"),
    ],
)
def test_torch(monkeypatch, wanted, torch, state, told):
    monkeypatch.setattr(shutil, "which", lambda command: None)
    has_state(hardware.torch(scene_of(wanted, torch)), state, told)


def test_a_gpu_that_torch_does_not_see(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda command: f"/bin/{command}")
    has_state(hardware.torch(scene_of("auto")), "warning", "nvidia-smi")
    has_state(hardware.torch(scene_of("cpu")), "ok")


def test_torch_counts_the_parameters_of_every_run():
    import torch

    found = torch_facts.ask(scene_of().params)
    assert found["version"] == torch.__version__
    loaded = config.load(Path("mine.yaml"))
    assert set(found["parameters"]) == {run.name for task in loaded.tasks for run in loaded.runs(task)}
    run = loaded.run("text/l2/seed0")
    assert found["parameters"][run.name] == sum(part.numel() for part in run.network.build(run.shape).parameters())


@pytest.mark.parametrize(
    ("code", "problem"),
    [("raise ImportError('libcudart.so: cannot open')", "libcudart.so"), ("import os; os.abort()", "exit code -6")],
)
def test_a_broken_torch_is_an_answer(monkeypatch, tmp_path, code, problem):
    (tmp_path / "torch.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert problem in torch_facts.ask(Path("mine.yaml"))["problem"]


def test_a_torch_that_hangs_is_an_answer(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("import time; time.sleep(10_000)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(torch_facts, "WITHIN", 0.5)
    assert torch_facts.ask(Path("mine.yaml")) == {"problem": "no answer within 0.5 s"}


def test_disk(monkeypatch):
    need = 4 * (2 * 10**9 + 2 * 4 * 10**9)  # both networks, and the state of one twice
    space = namedtuple("space", "free")
    for free, state in ((need - 1, "failure"), (need + 1, "warning"), (3 * need, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: space(free))
        has_state(hardware.disk(scene_of()), state, "free; networks and a training state take 40.0 GB")
    has_state(hardware.disk(scene_of(torch={"problem": "none"})), "ok", "not known")


# ---- leftovers and the store


def test_snakemake_lock(monkeypatch):
    has_state(leftovers.snakemake(scene_of()), "ok")
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    has_state(leftovers.snakemake(scene_of()), "ok")
    (locks / "0.output.lock").write_text("results/tables/claims.csv")
    has_state(leftovers.snakemake(scene_of()), "failure", "snakemake --unlock")
    monkeypatch.setattr(leftovers.lock, "running", lambda: 4711)
    has_state(leftovers.snakemake(scene_of()), "failure", "process 4711", "wait")


def test_leftovers():
    has_state(leftovers.leftovers(scene_of()), "ok", "none")
    run = Path("results/mine/text/networks/l2/seed0")
    run.mkdir(parents=True)
    (run / "state.safetensors").touch()
    (run / ".weights-a1b2c3d4.safetensors").touch()  # may still be written
    has_state(leftovers.leftovers(scene_of()), "ok", "1 trainings")
    os.utime(run / ".weights-a1b2c3d4.safetensors", (0, time.time() - 2 * leftovers.OLD))
    found = leftovers.leftovers(scene_of())
    has_state(found, "warning", ".weights-a1b2c3d4.safetensors", "1 trainings")
    assert found.mend == f"rm {run}/.weights-a1b2c3d4.safetensors"


def test_mlflow_database():
    has_state(leftovers.mlflow_store(scene_of()), "ok", "not there yet")
    Path("results").mkdir()
    with sqlite3.connect("results/mlflow.db") as database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
    database.close()
    has_state(leftovers.mlflow_store(scene_of()), "ok", "whole")
    Path("results/mlflow.db").write_bytes(b"no database" * 100)
    has_state(leftovers.mlflow_store(scene_of()), "warning", "not a database", "mv ")


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
    monkeypatch.setattr(leftovers, "WITHIN", 300.0)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        uri = f"http://me:hunter2@127.0.0.1:{server.server_port}?token=hunter2"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        found = leftovers.mlflow_store(scene_of())
        thread.join()
    has_state(found, state, f"http://127.0.0.1:{server.server_port}")
    assert "hunter2" not in str(found)


def test_mlflow_server_that_is_not_there_or_deaf(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(leftovers, "WITHIN", 0.2)
        has_state(leftovers.mlflow_store(scene_of()), "warning", "timed out", "no run is lost")
    has_state(leftovers.mlflow_store(scene_of()), "warning", "Connection refused", "no run is lost")


def test_another_store_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2@host/db")
    monkeypatch.setattr(doctor, "CHECKS", (("MLflow store", leftovers.mlflow_store),))
    (row,) = doctor.examine(Path("none.yaml"), Path("results"))
    assert row.state == "ok"
    assert "postgresql://***@host/db" in row.found
