"""The one command for a GPU, tried without one, and the page that is made of its numbers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from project_copy import PROJECT

SCRIPT = PROJECT / "benchmarks/gpu.py"
RUNS = [("text", "l1"), ("text", "l2"), ("digits", "l3"), ("digits", "mixture")]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_it_runs_on_a_cpu(tmp_path: Path, script: ModuleType) -> None:
    output = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--quick", "--seconds", "0.02", "--threads", "1", "--output", str(output)]
    command = [sys.executable, "-W", "error", str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["left_out"] == []
    assert [row["part"] for row in found["rows"]] == ["step"] * 5 + ["samples"] * 2 + ["bound"]
    steps = [row for row in found["rows"] if row["part"] == "step"]
    assert {row["run"] for row in steps} == {f"{task}/{model}/seed0" for task, model in RUNS}
    assert [row["grouped"] for row in steps] == [True, True, True, True, False]
    assert all(0 < row["share"] < 1 and row["memory"] is None for row in steps)
    assert found["rows"][-1]["ppl_bound"] > 1
    text = (tmp_path / "gpu.md").read_text()
    assert text == script.page(found)
    assert text.count("\n| `text/l1/seed0` |") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.md"}


def test_the_page_is_what_its_numbers_make(script: ModuleType) -> None:
    found = json.loads(script.JSON.read_text()) if script.JSON.is_file() else None
    assert script.PAGE.read_text() == script.page(found), "write it anew: python benchmarks/gpu.py --page"
