"""What the machine has: torch and GPU, cores, disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from rich.filesize import decimal

from mdm_prime.data.images.batches import ImageBatchesData
from mdm_prime.data.images.photos import PhotosData
from mdm_prime.data.known_entropy import KnownEntropyData
from mdm_prime.data.text import TextData
from mdm_prime.data.toy import ToyData
from mdm_prime.doctor.finding import Finding, Scene
from mdm_prime.doctor.inputs import NOT_CHECKED, hub_sources
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config

FLOAT = 4  # bytes
STATE = 4  # numbers kept for each parameter while training: weight, average, two moments of AdamW


def torch(scene: Scene) -> Finding:
    """Whether torch works, and has the device that the params want."""
    found = scene.torch
    if "problem" in found:
        return Finding("failure", f"torch cannot be used: {found['problem']}", "install it anew: make setup")
    wanted = scene.config.compute.device if scene.config else None
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


def processors(scene: Scene) -> Finding:
    """CPU cores against the threads of a job."""
    cores = available_cores()
    if scene.config is None:
        return NOT_CHECKED._replace(found=f"{cores} cores; {NOT_CHECKED.found}")
    threads = scene.config.compute.threads
    if threads > cores:
        found = f"{cores} cores, fewer than compute.threads {threads}: slow"
        return Finding("warning", found, f"compute.threads: {cores}")
    return Finding("ok", f"{cores} cores, compute.threads {threads}: jobs side by side: {cores // threads}")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folders(scene: Scene) -> Finding:
    """Whether results and Snakemake's notes can be written."""
    wrong = []
    for folder in (_existing(scene.results), Path.cwd()):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"doctor")
        except OSError as error:
            wrong.append(f"{folder}: {error.strerror or error}")
    if wrong:
        return Finding("failure", f"cannot be written: {'; '.join(dict.fromkeys(wrong))}", "change owner or folder")
    return Finding("ok", f"{scene.results} and this folder can be written")


def disk(scene: Scene) -> Finding:
    """Free space against an estimate of what a fresh run takes."""
    free = shutil.disk_usage(_existing(scene.results, folder=True)).free
    if scene.config is None:
        return NOT_CHECKED._replace(found=f"{decimal(free)} free; need {NOT_CHECKED.found}")
    need, left_out = needed_space(scene.config, scene.torch.get("parameters"))
    found = f"{decimal(free)} free; a fresh run needs about {decimal(need)} (data, samples, weights, a training state"
    found += f"; not counted: {', '.join(left_out)})" if left_out else ")"
    mend = f"free some, or --results FOLDER on another disk; what is there: du -sh {scene.results}/*"
    if free < need:
        return Finding("failure", found, mend)
    if hub_sources(scene.config):
        return Finding("warning", found, "look up the size of what is not counted: https://huggingface.co/datasets")
    return Finding("warning", f"{found}: tight", mend) if free < 2 * need else Finding("ok", found)


def needed_space(config: Config, parameters: dict[str, int] | None) -> tuple[int, list[str]]:
    """Bytes of a fresh run, and what is not in them: an estimate, from sizes that the params tell.

    Args:
        config: the params.
        parameters: {"TASK/VARIANT": parameters of the network}, None where they are not known.
    """
    from mdm_prime.data.arrays import token_dtype

    need, left_out = 0, [name for _, name in hub_sources(config).values()]
    for name, task in config.tasks.items():
        token = token_dtype(task.data.vocab_size).itemsize
        if isinstance(task.data, KnownEntropyData | ToyData):
            need += (task.data.train_sequences + task.data.validation_sequences) * task.data.length * token
        elif isinstance(task.data, TextData):
            need += sum(map(_size, map(Path, task.data.files))) * token  # at most a token a byte
        elif isinstance(task.data, PhotosData):
            need += (task.data.train_images + task.data.test_images) * task.data.length
        elif isinstance(task.data, ImageBatchesData):
            need += sum(map(_size, Path(task.data.folder).rglob("*")))
        for run in layout.sampled_runs(config, name):
            sets = len(task.samplers_of(run.variant))
            need += sets * task.sampling.num_samples * task.data.length * token
    if parameters is None:
        return need, [*left_out, "networks"]
    runs = [parameters[f"{run.task}/{run.variant}"] for task in config.tasks for run in config.runs(task)]
    return need + FLOAT * (sum(runs) + 2 * STATE * max(runs)), left_out  # a state is replaced by a whole one


def _existing(path: Path, *, folder: bool = False) -> Path:
    """The path itself or the nearest parent that is there; a parent too of what is no folder, if `folder`."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if (place.is_dir() if folder else place.exists()))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
