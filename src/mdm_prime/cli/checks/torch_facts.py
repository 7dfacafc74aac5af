"""What torch says of itself and of this machine, asked of another process: a broken torch takes down its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mdm_prime.experiment import config

WITHIN = 60.0  # seconds to answer


def ask(params: Path) -> dict[str, Any]:
    """What `answer` prints, or {"problem": one line}: a broken torch may raise, hang or end its process."""
    command = [sys.executable, "-c", "from mdm_prime.cli.checks import torch_facts; torch_facts.answer()", str(params)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=WITHIN, check=False)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {WITHIN:g} s"}
    except (ValueError, IndexError):  # no line, or one that is not JSON
        said = done.stderr.strip().splitlines()
        return {"problem": said[-1] if said else f"ended with exit code {done.returncode}"}
    return found


def answer() -> None:
    """Prints facts of torch, and how large the networks of the params file in sys.argv[1] are, as the last line.

    `parameters` are those of every run, null where the params do not load; `gpu_problem` is why the first GPU does not
    compute.
    """
    import torch

    found: dict[str, Any] = {"version": str(torch.__version__), "gpus": [], "gpu_problem": None, "parameters": None}
    if torch.cuda.is_available():
        try:
            devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
            found["gpus"] = [[device.name, device.total_memory] for device in devices]
            (torch.ones(1, device="cuda") + 1).item()  # a torch that was built for other GPUs fails here
        except RuntimeError as error:
            found["gpu_problem"] = str(error).strip().splitlines()[0]
    try:
        loaded = config.load(Path(sys.argv[1]))
        with torch.device("meta"):  # shapes without memory
            networks = {run.name: run.build() for task in loaded.tasks for run in loaded.runs(task)}
        found["parameters"] = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    except Exception as error:  # the row of the params says what is wrong with them
        found["parameters_problem"] = f"{type(error).__name__}: {error}"
    sys.stdout.write("\n" + json.dumps(found) + "\n")
