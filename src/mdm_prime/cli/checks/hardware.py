"""The GPU, and the disk."""

from __future__ import annotations

import shutil

from rich.filesize import decimal

from mdm_prime.cli.checks.finding import Finding, Scene
from mdm_prime.cost.plan import FLOAT, STATE

SPARE = 10**9  # bytes for data and samples


def torch(scene: Scene) -> Finding:
    """Whether torch works, and has the device that the params want."""
    found = scene.torch
    if "problem" in found:
        return Finding("failure", f"torch cannot be used: {found['problem']}", "install it anew: make setup")
    wanted = None if isinstance(scene.loaded, str) else scene.loaded.compute.device
    version = f"torch {found['version']}"
    gpus = ", ".join(f"{name} ({decimal(memory)})" for name, memory in found["gpus"])
    if found["gpu_problem"] and wanted != "cpu":
        mend = "install a torch built for this GPU and its driver (https://pytorch.org), or set compute.device: cpu"
        return Finding("failure", f"{version}: {gpus or 'the GPU'} does not compute: {found['gpu_problem']}", mend)
    if gpus:
        unused = "; not used: compute.device is cpu" if wanted == "cpu" else ""
        return Finding("ok", f"{version}, {gpus}{unused}")
    mend = "nvidia-smi shows whether the driver works; python -c 'import torch; print(torch.version.cuda)' the build"
    if wanted == "cuda":
        found_none = f"{version} sees no GPU, but compute.device is cuda"
        return Finding("failure", found_none, f"set compute.device: cpu, or mend the driver: {mend}")
    if shutil.which("nvidia-smi") and wanted != "cpu":
        return Finding("warning", f"{version} sees no GPU, but nvidia-smi is installed: the CPU is used", mend)
    return Finding("ok", f"{version}, no GPU: the CPU is used")


def disk(scene: Scene) -> Finding:
    """Free space against what the networks of a fresh run take, the largest training's state twice."""
    place = next(folder for folder in (scene.results.absolute(), *scene.results.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    sizes = (scene.torch.get("parameters") or {}).values()
    need = FLOAT * (sum(sizes) + 2 * STATE * max(sizes, default=0))  # a state is replaced by a whole one
    found = f"{decimal(free)} free; networks and a training state take {decimal(need)}, data and samples come on top"
    if not sizes:
        found = f"{decimal(free)} free; what the networks take is not known"
    mend = f"free some, or --results FOLDER on another disk; what is there: du -sh {scene.results}/*"
    if free < need:
        return Finding("failure", found, mend)
    return Finding("warning", f"{found}: tight", mend) if free < 2 * need + SPARE else Finding("ok", found)
