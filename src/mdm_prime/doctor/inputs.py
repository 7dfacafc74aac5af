"""The params file, and the files, folders and downloads that it names."""

from __future__ import annotations

import os
import re
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from mdm_prime.data.images.batches import ImageBatchesData
from mdm_prime.data.images.hub import HubImagesData
from mdm_prime.data.images.photos import PhotosData
from mdm_prime.data.text import TextData
from mdm_prime.doctor.finding import Finding, Scene
from mdm_prime.doctor.waiting import within
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config

HUB = "https://huggingface.co"
PATIENCE = 3.0  # seconds
HUB_NAME = r"\w[\w.-]*(/\w[\w.-]*)?"  # anything else is a path
TRUE = ("1", "on", "yes", "true")  # as huggingface_hub reads its variables
NOT_CHECKED = Finding("warning", "not checked: the params file does not load")


def params(scene: Scene) -> Finding:
    """Whether the params file loads."""
    if scene.config is None:
        return Finding("failure", scene.problem, "correct it, and check it with: mdm-prime check-params")
    runs = sum(1 for task in scene.config.tasks for _ in scene.config.runs(task))
    return Finding("ok", f"{scene.params}: {len(scene.config.tasks)} tasks, {runs} runs")


def named_files(scene: Scene) -> Finding:
    """Whether the files and folders that the params name can be read; loading them found that they exist."""
    if scene.config is None:
        return NOT_CHECKED
    paths = _named(scene.config)
    wrong = [f"{key}: {path}: no such file or folder" for key, path in paths.items() if not path.exists()]
    wrong += [
        f"{key}: {path}: not readable" for key, path in paths.items() if path.exists() and not os.access(path, os.R_OK)
    ]
    if not wrong:
        wrong = _unusable(scene.config)
    if wrong:
        return Finding("failure", "; ".join(wrong), "put them there, or change the params")
    return Finding("ok", f"{len(paths)} files and folders, readable" if paths else "the params name none")


def inception(scene: Scene) -> Finding:
    """Inception's weights, where the params ask for them."""
    if scene.config is None:
        return NOT_CHECKED
    weights = {task.fidelity.inception_weights for task in scene.config.images.values()} - {None}
    if not weights:
        return Finding("ok", "not asked for: images are compared by each task's own classifier")
    wrong = [path for path in sorted(map(str, weights)) if not _has_bytes(path)]
    mend = "give torch-fidelity's weights-inception-2015-12-05-6726825d.pth as fidelity.inception_weights, or null"
    if wrong:
        return Finding("failure", f"empty or not readable: {', '.join(wrong)}", mend)
    return Finding("ok", ", ".join(sorted(map(str, weights))))


def hub(scene: Scene) -> Finding:
    """Whether the Hugging Face hub can be reached, where the params need it."""
    if scene.config is None:
        return NOT_CHECKED
    sources = hub_sources(scene.config)
    needed = {
        key: name
        for key, (task, name) in sources.items()
        if not all(path.is_file() for path in layout.data_files(layout.scale_root(scene.results, _scale(scene)), task))
    }
    if not needed:
        return Finding("ok", "not needed: " + ("what comes from it is there" if sources else "no data come from it"))
    wanted = ", ".join(f"{key} {name}" for key, name in needed.items())
    cached = all(_looks_cached(name) for name in needed.values())
    mend = "give local paths in the params, or "
    if any(os.environ.get(name, "").lower() in TRUE for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")):
        mend += "unset HF_HUB_OFFLINE"
        state, reason = "forbidden", "the hub is not asked (HF_HUB_OFFLINE)"
    else:
        mend += "connect this machine (a proxy: HTTPS_PROXY, a mirror: HF_ENDPOINT)"
        state, reason = _connect()
    if state == "reached":
        return Finding("ok", f"{reason}; wanted: {wanted}")
    if cached:
        return Finding("warning", f"{reason}; wanted and perhaps in the cache: {wanted}", mend)
    return Finding("failure", f"{reason}; wanted: {wanted}", mend)


def hub_sources(config: Config) -> dict[str, tuple[str, str]]:
    """Key of the params to (task, name) of what comes from the hub rather than from this machine."""
    return {
        key: (task, name)
        for key, (task, name) in _hub_or_local(config).items()
        if re.fullmatch(HUB_NAME, name) and not Path(name).exists()
    }


def _hub_or_local(config: Config) -> dict[str, tuple[str, str]]:
    found = {}
    data = config.text.data
    if isinstance(data, TextData):
        if data.hub:
            found["text.data.hub.path"] = ("text", data.hub.path)
        if data.tokenizer:
            found["text.data.tokenizer"] = ("text", data.tokenizer)
    for name, task in config.images.items():
        if isinstance(task.data, HubImagesData):
            found[f"images.{name}.data.path"] = (name, task.data.path)
    return found


def _named(config: Config) -> dict[str, Path]:
    """Key to every path of the params, but Inception's weights."""
    from mdm_prime.data.photographs import PHOTOGRAPHS

    from_hub = hub_sources(config)
    found = {key: Path(name) for key, (_, name) in _hub_or_local(config).items() if key not in from_hub}
    if isinstance(config.text.data, TextData):
        found |= {f"text.data.files[{number}]": Path(file) for number, file in enumerate(config.text.data.files)}
    image = getattr(config.toy.data, "image", PHOTOGRAPHS[0])
    found |= {} if image in PHOTOGRAPHS else {"toy.data.image": Path(image)}
    for name, task in config.images.items():
        if isinstance(task.data, PhotosData | ImageBatchesData) and task.data.folder:
            found[f"images.{name}.data.folder"] = Path(task.data.folder)
    return found


def _unusable(config: Config) -> list[str]:
    """Folders of images that lack files."""
    wrong = []
    for name, task in config.images.items():
        if isinstance(task.data, PhotosData | ImageBatchesData) and task.data.folder:
            try:
                task.data.source(f"images.{name}.data")
            except UserError as error:
                wrong.append(str(error))
    return wrong


def _has_bytes(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _scale(scene: Scene) -> str:
    return scene.config.scale if scene.config else ""


def _looks_cached(name: str) -> bool:
    """Whether the cache of `datasets` or of the hub has a folder for a name; it need not be complete."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    caches = [Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets")]
    caches += [Path(os.environ.get("HF_HUB_CACHE") or home / "hub")]
    letters = _letters(name)
    folders = {_letters(path.name) for cache in caches if cache.is_dir() for path in cache.iterdir() if path.is_dir()}
    return bool(folders & {letters, f"datasets{letters}", f"models{letters}"})


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())  # the caches write / as ___ or --


def _connect() -> tuple[str, str]:
    """("reached" or "not", a phrase) for the hub, its mirror or the proxy before it."""
    address = urlsplit(os.environ.get("HF_ENDPOINT") or HUB)
    proxy = urllib.request.getproxies().get(address.scheme)
    by_proxy = proxy and not urllib.request.proxy_bypass(address.hostname or "")
    target = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}") if by_proxy else address
    host, port = target.hostname or "", target.port or (443 if target.scheme == "https" else 80)
    name = f"{'the proxy ' if by_proxy else ''}{host}:{port}"
    try:
        within(PATIENCE, lambda: socket.create_connection((host, port), PATIENCE).close())
    except OSError as error:
        return "not", f"{name} cannot be reached ({error.strerror or error})"
    return "reached", f"{name} can be reached"
