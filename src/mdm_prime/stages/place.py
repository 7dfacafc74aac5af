"""What the stages share: where files lie, what a run is built from, what it is described by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mdm_prime import files
from mdm_prime.core import schedules
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.super_tokens import to_super_tokens
from mdm_prime.data import arrays
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.sections.image_data import ImageDataSection
from mdm_prime.experiment.shape import Shape
from mdm_prime.experiment.tasks import SUPER_TOKENS, Run
from mdm_prime.official.imported import Imported
from mdm_prime.training import checkpoint


@dataclass(frozen=True)
class Place:
    """A scale's parameters and the folder of its results."""

    config: Config
    results: Path

    @property
    def root(self) -> Path:
        return layout.scale_root(self.results, self.config.scale)

    def device(self) -> torch.device:
        """Fixes the number of threads and gives the device. Raises UserError for a GPU that is not there."""
        compute = self.config.compute
        torch.set_num_threads(compute.threads)
        if compute.device == "cuda" and not torch.cuda.is_available():
            raise UserError("compute.device is 'cuda' but torch sees no GPU; allowed here: auto, cpu")
        if compute.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(compute.device)

    def tokens(self, task: str, split: str) -> NDArray[np.unsignedinteger]:
        """(N, L) memory-mapped tokens of a split. Raises UserError when they are missing or another shape."""
        path, again = layout.data_dir(self.root, task) / f"{split}.npy", f"{self.config.data_command} {task}"
        try:
            tokens: NDArray[np.unsignedinteger] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); make it with: {again}") from None
        length = self.config.task(task).data.length  # of the data set; super-tokens are made from pixels
        if tokens.ndim != 2 or tokens.shape[1] != length:
            raise UserError(f"{path}: has shape {tokens.shape}, wanted (N, {length}); make it with: {again}")
        return tokens

    def meta(self, task: str) -> dict[str, Any]:
        """meta.json of a data set. Raises UserError when it is missing or the data set has another vocabulary."""
        path = layout.data_dir(self.root, task) / "meta.json"
        meta: dict[str, Any] = files.read_json(path)
        wanted = self.config.task(task).data.vocab_size
        if meta["vocab_size"] != wanted:
            again = f"{self.config.data_command} {task}"
            raise UserError(f"{path}: has vocab_size {meta['vocab_size']}, wanted {wanted}; make it with: {again}")
        return meta


def mathematics(run: Run | Imported) -> tuple[Subtokenizer, Schedule]:
    """The sub-token map and the noise schedule of a run, or of an imported checkpoint."""
    noise = run.training if isinstance(run, Run) else run
    return (
        Subtokenizer(run.vocab_size, run.num_subtokens),
        schedules.by_name(noise.schedule, noise.exponent),
    )


def network_of(run: Run) -> nn.Module:
    """A fresh network of a run, on the CPU."""
    subtokenizer, _ = mathematics(run)
    return run.network.build(
        Shape(
            base=subtokenizer.base,
            num_subtokens=run.num_subtokens,
            vocab_size=run.vocab_size,
            length=run.length,
            channels=channels_of(run),
            causal=run.model == "autoregressive",
        )
    )


def image_data(run: Run) -> ImageDataSection:
    """The section of a run's images. Raises TypeError for a run on other data."""
    if not isinstance(run.data, ImageDataSection):
        raise TypeError(f"{run.name} is not on images")
    return run.data


def channels_of(run: Run) -> int:
    """Tokens at one place of an image: its channels, or super-tokens; 1 for other data."""
    if run.super_tokens:
        return SUPER_TOKENS
    return run.data.channels if isinstance(run.data, ImageDataSection) else 1


def tokens_of(run: Run | Imported, stored: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """The tokens (N, run.length) that the network sees of stored tokens (N, run.data.length)."""
    if not run.super_tokens:
        return stored
    x = to_super_tokens(torch.from_numpy(np.asarray(stored, dtype=np.int64)))
    return x.numpy().astype(arrays.token_dtype(run.vocab_size))


def trained_network(place: Place, run: Run, device: torch.device) -> nn.Module:
    """The network with its averaged weights, for evaluation. Raises UserError when params have changed since."""
    path = layout.network_dir(place.root, run.name) / "weights.safetensors"
    weights, metadata = checkpoint.load(path, device)
    if metadata.get("digest") != identity(run, place.meta(run.task)):
        raise UserError(f"{path}: trained with other parameters or data; train it again: mdm-prime train {run.name}")
    network = network_of(run).to(device)
    network.load_state_dict(weights)
    return network.eval()


def identity(run: Run, meta: Mapping[str, Any]) -> str:
    """What weights belong to: the run's parameters and its data."""
    return f"{run.digest} {meta['sha256']}"


def loss_name(run: Run) -> str:
    """The true name of what is minimised."""
    return "nll" if run.model == "autoregressive" else run.training.objective


def describe(run: Run, network: nn.Module, train_tokens: int) -> dict[str, Any]:
    """The head of run.json and likelihood.json."""
    return {
        "task": run.task,
        "variant": run.variant,
        "seed": run.seed,
        "model": run.model,
        "num_subtokens": run.num_subtokens,
        "base": mathematics(run)[0].base,
        "carry_over": run.carry_over,
        "super_tokens": run.super_tokens,
        "components": getattr(run.network, "components", 1),
        "objective": loss_name(run),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "train_tokens": train_tokens,
    }


def tags(run: Run, place: Place, meta: Mapping[str, Any]) -> dict[str, str]:
    """What a run is found by in MLflow."""
    values = {"task": run.task, "variant": run.variant, "model": run.model, "num_subtokens": run.num_subtokens}
    values |= {"carry_over": run.carry_over, "super_tokens": run.super_tokens, "seed": run.seed}
    values |= {"scale": place.config.scale}
    return {key: str(value) for key, value in (values | {"data_sha256": meta["sha256"]}).items()}
