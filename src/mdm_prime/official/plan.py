"""What evaluating official checkpoints would fetch, store and take, before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mdm_prime.experiment.sections.official import OfficialImageCheckpoint, OfficialImages, OfficialText, address_of
from mdm_prime.official.source import SCHEME, parts

BYTES = 4  # of a weight in float32
TIMEOUT = 10.0  # seconds to wait for the hub


@dataclass(frozen=True)
class Line:
    """One checkpoint.

    Attributes:
        name: TASK/CHECKPOINT.
        address: where it is.
        state: imported; here; to download; or missing.
        download: bytes still to fetch; None where the hub cannot be asked.
        disk: bytes of the imported weights, there or as assumed.
        seconds: of one device, as assumed: forward passes divided by those of a second.
    """

    name: str
    address: str
    state: str
    download: int | None
    disk: int
    seconds: float


def lines(
    repository: str, tasks: Mapping[str, OfficialText | OfficialImages], imported: Mapping[str, Path]
) -> list[Line]:
    """A line for each checkpoint; `imported` has the file of its weights, there or not."""
    found = []
    for task, settings in tasks.items():
        for key, checkpoint in settings.checkpoints.items():
            name, weights = f"{task}/{key}", imported[f"{task}/{key}"]
            address = address_of(repository, checkpoint.source)
            download: int | None = 0
            if weights.is_file():
                state = "imported"
            elif address.startswith(SCHEME):
                state, download = "to download", size_at_the_hub(address)
            else:
                state = "here" if Path(address).is_file() else "missing"
            disk = weights.stat().st_size if weights.is_file() else BYTES * settings.assumed.parameters
            passes = settings.evaluation.draws
            if isinstance(settings, OfficialImages) and isinstance(checkpoint, OfficialImageCheckpoint):
                steps = (
                    sampler.description["num_steps"] or settings.length * checkpoint.num_subtokens
                    for sampler in checkpoint.samplers
                )
                passes += settings.sampling.num_samples * sum(steps)
                passes *= checkpoint.components
            found.append(Line(name, address, state, download, disk, passes / settings.assumed.passes_per_second))
    return found


def size_at_the_hub(address: str) -> int | None:
    """Bytes of a file of the hub, from its headers; None where there is no network, or no such file."""
    repository, file, revision = parts(address)
    try:
        import huggingface_hub

        url = huggingface_hub.hf_hub_url(repository, file, revision=revision)
        size: int | None = huggingface_hub.get_hf_file_metadata(url, timeout=TIMEOUT).size
    except Exception:  # of the network or the hub: several libraries, and no base in common
        return None
    return size
