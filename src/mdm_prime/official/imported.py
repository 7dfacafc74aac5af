"""A folder with an imported checkpoint: official.json, which says what it is, and weights.safetensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import nn

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.base import Section
from mdm_prime.experiment.sections.networks import Network
from mdm_prime.experiment.shape import Shape
from mdm_prime.training import checkpoint

DESCRIPTION, WEIGHTS = "official.json", "weights.safetensors"
IMPORT = "import it again: mdm-prime import-checkpoint"


class Source(Section):
    """Where an imported network came from."""

    most_of_any: ClassVar[int] = 2**63 - 1  # bytes and steps
    format: Literal["official-text", "official-image"]
    file: str  # name, without its folder
    address: str | None  # hf://OWNER/NAME/FILE@REVISION for a file of the hub
    bytes: int
    sha256: str
    weights: Literal["ema", "raw"]
    step: int | None  # updates of the weights; None where the file does not say
    epoch: int


class Imported(Section):
    """Everything that evaluation needs of an imported network: the names are those of a run (tasks.py)."""

    model: Literal["masked", "autoregressive"]
    num_subtokens: int
    base: int
    vocab_size: int  # V of the tokens that the network sees
    length: int  # L of the tokens that the network sees
    channels: int  # tokens at one place of an image; 1 for text
    carry_over: bool
    super_tokens: bool
    schedule: Literal["linear", "polynomial"]
    exponent: float
    network: Network
    source: Source

    @property
    def digest(self) -> str:
        """Hash of the whole description, kept with the weights."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def network_of(imported: Imported) -> nn.Module:
    """A fresh network as described, on torch's default device."""
    return imported.network.build(
        Shape(
            base=imported.base,
            num_subtokens=imported.num_subtokens,
            vocab_size=imported.vocab_size,
            length=imported.length,
            channels=imported.channels,
            causal=imported.model == "autoregressive",
        )
    )


def describe(folder: Path) -> Imported:
    """What a folder holds. Raises UserError when it is no imported checkpoint."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UserError(f"{path}: no such file; {IMPORT}")
    try:
        return Imported.model_validate(files.read_json(path))
    except ValueError as error:
        raise UserError(f"{path}: not as it was written ({' '.join(str(error).split())[:200]}); {IMPORT}") from None


def load(folder: Path, device: torch.device | str = "cpu") -> tuple[Imported, nn.Module]:
    """What a folder holds and its network, for evaluation. Raises UserError when the two do not belong together."""
    imported = describe(folder)
    weights, metadata = checkpoint.load(folder / WEIGHTS, device)
    if metadata.get("digest") != imported.digest:
        raise UserError(f"{folder / WEIGHTS}: does not belong to {DESCRIPTION}; {IMPORT}")
    network = network_of(imported).to(device)
    network.load_state_dict(weights)
    return imported, network.eval()
