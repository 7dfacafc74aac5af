"""What torch says of itself, asked in a process of its own: a broken torch may raise, hang or take its process down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

WITHIN = 60.0  # seconds; importing torch takes 2 to 10


def ask(params: Path) -> dict[str, Any]:
    """What `answer` says, or {"problem": one line} where it has no answer."""
    command = [sys.executable, "-c", "from mdm_prime.doctor import probe; probe.main()", str(params)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=WITHIN, check=False)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {WITHIN:g} s"}
    except (ValueError, IndexError):  # no line, or one that is not JSON
        said = done.stderr.strip().splitlines()
        return {"problem": said[-1] if said else f"ended with exit code {done.returncode}"}
    return found


def answer(params: Path) -> dict[str, Any]:
    """Facts of torch, and how large the networks of the params are.

    Returns:
        version: of torch.
        gpus: [name, bytes of memory] of each.
        gpu_problem: why the first one does not compute, or null.
        parameters: {"TASK/VARIANT": parameters of the network}, null where the params do not load.
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
        found["parameters"] = _parameters(params)
    except Exception as error:  # the row of the params says what is wrong with them
        found["parameters_problem"] = f"{type(error).__name__}: {error}"
    return found


def _parameters(params: Path) -> dict[str, int]:
    import torch

    from mdm_prime.experiment import config
    from mdm_prime.stages.place import network_of

    loaded = config.load(params)
    first = {f"{run.task}/{run.variant}": run for task in loaded.tasks for run in reversed([*loaded.runs(task)])}
    with torch.device("meta"):  # shapes without memory
        return {name: sum(part.numel() for part in network_of(run).parameters()) for name, run in first.items()}


def main() -> None:
    """Prints the answer for the params file in sys.argv[1] as the last line."""
    sys.stdout.write("\n" + json.dumps(answer(Path(sys.argv[1]))) + "\n")
