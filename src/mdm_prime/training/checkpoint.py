"""Checkpoints: tensors in safetensors, the rest as JSON in the same file's header, so that one rename saves both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.training.parts import is_shared, like, whole

if TYPE_CHECKING:
    from mdm_prime.training.optimizers import Optimizer


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Writes tensors and JSON-able metadata atomically. Raises UserError when they cannot be written."""
    with files.replacing(path) as temporary:
        flat = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        try:
            save_file(flat, temporary, {"json": json.dumps(metadata)})
        except SafetensorError as error:  # a full disk is not an OSError here
            raise UserError(f"{path}: cannot be written ({error}); make room and repeat the command") from None


def load(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata. Raises UserError when the file is missing, truncated or no checkpoint."""
    with _opened(path, device) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _metadata(file)  # noqa: SIM118 (no mapping)


def metadata(path: Path) -> dict[str, Any]:
    """The metadata alone, for which no tensor is read. Raises UserError as `load` does."""
    with _opened(path, "cpu") as file:
        return _metadata(file)


@contextmanager
def _opened(path: Path, device: torch.device | str) -> Iterator[Any]:
    with files.one_line(path, "not a checkpoint"):
        with files.reading(path):
            pass
        with safe_open(path, framework="pt", device=str(device)) as file:
            yield file


def _metadata(file: Any) -> dict[str, Any]:
    found = json.loads((file.metadata() or {})["json"])
    if not isinstance(found, dict):
        raise ValueError("metadata that are no mapping")
    return found


def pack(network: nn.Module, average: Mapping[str, Tensor], optimizer: Optimizer) -> dict[str, Tensor]:
    """Everything that training goes on from, as one flat mapping; what processes keep in parts is on the CPU."""
    tensors: dict[str, Tensor] = {f"weights/{name}": parameter for name, parameter in network.named_parameters()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state(parameter).items():
            tensors[f"optimizer/{key}/{name}"] = value
    return {name: whole(tensor).cpu() if is_shared(tensor) else tensor for name, tensor in tensors.items()}


@torch.no_grad()
def unpack(tensors: Mapping[str, Tensor], network: nn.Module, average: dict[str, Tensor], optimizer: Optimizer) -> None:
    """Puts what `pack` gave back into place."""
    for name, parameter in network.named_parameters():
        parameter.copy_(like(tensors[f"weights/{name}"], parameter))
        average[name].copy_(like(tensors[f"average/{name}"], parameter))
        keys = [key.split("/")[1] for key in tensors if key.startswith("optimizer/") and key.endswith(f"/{name}")]
        state = {key: like(tensors[f"optimizer/{key}/{name}"].clone(), parameter) for key in keys}
        optimizer.state(parameter).update(state)
