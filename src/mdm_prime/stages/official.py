"""The stages of official checkpoints: importing one, and both losses of it on a part of the held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mdm_prime import files, tracking
from mdm_prime.data.tokenizer import load_tokenizer, separator_id
from mdm_prime.errors import UserError
from mdm_prime.evaluation import likelihood
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Official
from mdm_prime.experiment.sections.image_data import ImageDataSection
from mdm_prime.experiment.sections.official import OfficialCheckpoint, OfficialImageCheckpoint, address_of
from mdm_prime.experiment.tasks import SUPER_TOKEN_VALUES
from mdm_prime.official import imported as imported_folder
from mdm_prime.official.contents import FormatError
from mdm_prime.official.imported import Imported
from mdm_prime.official.importing import import_checkpoint
from mdm_prime.progress import progress
from mdm_prime.stages import gpus
from mdm_prime.stages.place import Place, mathematics, tokens_of


@dataclass(frozen=True)
class OfficialPlace(Place):
    """A place whose parameters are of official checkpoints: they have what stages on data and on features ask for."""

    config: Official  # type: ignore[assignment]

    def device(self) -> torch.device:
        """As of any stage; where torch sees several GPUs, one that no other stage of these results holds."""
        device = super().device()
        if device.type != "cuda" or (count := torch.cuda.device_count()) == 1:
            return device
        return torch.device("cuda", gpus.take(self.results, count))


def import_official(place: OfficialPlace, name: str) -> None:
    """Reads a checkpoint, TASK/CHECKPOINT, into layout.imported_files; one that is not what params say is refused."""
    checkpoint, task = place.config.checkpoint(name), name.split("/")[0]
    outputs = layout.imported_files(place.root, name)

    def check(found: Imported) -> None:
        _check_is_said(place, task, checkpoint, found)

    address = address_of(place.config.repository, checkpoint.source)
    with tracking.stage(
        place.results, stage="import", name=name, params=checkpoint.model_dump(mode="json"), tags=_tags(place, name)
    ) as tracked:
        for output in outputs:
            output.unlink(missing_ok=True)  # made again: a folder is written whole or not at all
        import_checkpoint(
            address,
            outputs[0].parent,
            layout="official-image" if task in place.config.images else "official-text",
            weights=checkpoint.weights,
            head_width=getattr(checkpoint, "head_width", None),
            check=check,
        )
        tracked.artifact(outputs[0])


def _check_is_said(
    place: OfficialPlace, task: str, checkpoint: OfficialCheckpoint | OfficialImageCheckpoint, found: Imported
) -> None:
    """Raises FormatError, naming the key of the params file, where the file is of another model or other data."""
    data, super_tokens = place.config.task(task).data, getattr(checkpoint, "super_tokens", False)
    causal = getattr(checkpoint, "model", "MDM") == "ARM"
    said: dict[str, Any] = {
        "model": "autoregressive" if causal else "masked",
        "num_subtokens": checkpoint.num_subtokens,
        "super_tokens": super_tokens,
        "vocab_size": SUPER_TOKEN_VALUES if super_tokens else data.vocab_size,
    }
    if isinstance(checkpoint, OfficialImageCheckpoint):
        said |= {"components": checkpoint.components, "pixels": place.config.image_task(task).data.size ** 2}
    else:
        said |= {"length": place.config.text.length}
    has = found.model_dump() | {
        "components": getattr(found.network, "components", 1),
        "pixels": found.length // found.channels,
    }
    for key, value in said.items():
        if has[key] != value:
            raise FormatError(f"{key}: the file has {has[key]}, the params of {task} say {value}")


def load(place: OfficialPlace, name: str, device: torch.device) -> tuple[Imported, nn.Module]:
    """An imported network, with the carry-over that params say.

    Raises UserError when it was imported from something else than params say.
    """
    checkpoint = place.config.checkpoint(name)
    folder = layout.of_checkpoint(place.root, "imported", name)
    found, network = imported_folder.load(folder, device)
    if found.source.weights != checkpoint.weights:
        raise UserError(
            f"{folder}: holds {found.source.weights} weights, params say {checkpoint.weights}; "
            f"import it again: mdm-prime official import {name}"
        )
    try:
        _check_is_said(place, name.split("/")[0], checkpoint, found)
    except FormatError as error:
        raise UserError(f"{folder}: {error}; import it again: mdm-prime official import {name}") from None
    return found.model_copy(update={"carry_over": checkpoint.carry_over}), network


def likelihoods(place: OfficialPlace, name: str, shard: int) -> None:
    """Both losses of a checkpoint on one part of the held-out sequences: a file of layout.likelihood_shards.

    Sequences are dealt to the shards from one random order, so that shards share none and their errors are independent.
    """
    task = name.split("/")[0]
    device, settings = place.device(), place.config.task(task)
    outputs = layout.likelihood_shards(place.root, place.config, name)
    if not 0 <= shard < len(outputs):
        raise UserError(f"shard: is {shard}; should be 0 to {len(outputs) - 1}")
    imported, network = load(place, name, device)
    meta, evaluation = place.meta(task), settings.evaluation
    stored = place.tokens(task, "heldout")
    order = np.random.default_rng(evaluation.seed).permutation(len(stored))[: evaluation.draws]
    chosen = np.sort(order[shard :: len(outputs)])
    draws = len(range(shard, evaluation.draws, len(outputs)))
    if len(chosen) < 2:
        raise UserError(
            f"{task}.evaluation.shards: {len(outputs)} shards of {len(stored)} held-out sequences; each needs at least "
            "2 for a standard error: lower shards, or give more data"
        )
    tokens = seen_by(place, task, imported, stored[chosen])
    subtokenizer, schedule = mathematics(imported)
    exact = imported.model == "autoregressive"
    params = evaluation.model_dump() | {"shard": shard}
    with (
        tracking.stage(
            place.results,
            stage="evaluate",
            name=f"{name}/{shard}",
            params=params,
            tags=_tags(place, name) | {"data_sha256": meta["sha256"]},
        ) as tracked,
        progress(f"evaluate {name}/{shard}", len(tokens) if exact else draws) as update,
    ):

        def report(done: int) -> None:
            update(done, "draws")

        if exact:
            found = likelihood.autoregressive_likelihood(
                network, tokens, subtokenizer.mask_id, batch_size=evaluation.batch_size, device=device, report=report
            )
        else:
            found = likelihood.masked_likelihood(
                network,
                tokens,
                subtokenizer,
                schedule,
                carry_over=imported.carry_over,
                num_samples=draws,
                batch_size=evaluation.batch_size,
                seed=_seed(evaluation.seed, shard),
                device=device,
                report=report,
            )
        values = {
            "nelbo": found.nelbo.mean,
            "nelbo_stderr": found.nelbo.stderr,
            "joint_loss": found.joint_loss.mean,
            "joint_loss_stderr": found.joint_loss.stderr,
        }
        tracked.metric(0, values)
        head = describe(place, name) | {"shard": shard, "shards": len(outputs), "exact": exact}
        files.write_json(outputs[shard], head | {"num_samples": found.num_samples} | values)
        tracked.artifact(outputs[shard])


def seen_by(
    place: OfficialPlace, task: str, imported: Imported, stored: NDArray[np.unsignedinteger]
) -> NDArray[np.unsignedinteger]:
    """Tokens (N, imported.length) that a network sees of stored ones: framed if params say so, or super-tokens."""
    if task == "text" and place.config.text.framed:
        separator = separator_id(load_tokenizer(layout.data_dir(place.root, task) / "tokenizer.json"))
        return np.pad(stored, ((0, 0), (1, 1)), constant_values=separator)
    return tokens_of(imported, stored)


def describe(place: OfficialPlace, name: str) -> dict[str, Any]:
    """The head of a checkpoint's result files."""
    task = name.split("/")[0]
    found = imported_folder.describe(layout.of_checkpoint(place.root, "imported", name))
    checkpoint, data = place.config.checkpoint(name), place.config.task(task).data
    return {
        "task": task,
        "checkpoint": name.split("/")[1],
        "num_subtokens": found.num_subtokens,
        "carry_over": checkpoint.carry_over,
        "carry_over_of_file": found.carry_over,
        "super_tokens": found.super_tokens,
        "components": getattr(found.network, "components", 1),
        "length": found.length,
        "dimensions": data.length if isinstance(data, ImageDataSection) else found.length,
        "source": found.source.model_dump(),
    }


def _seed(seed: int, shard: int) -> int:
    """A seed of its own for each shard, in what torch takes."""
    return int(np.random.SeedSequence([seed, shard]).generate_state(1, np.uint64)[0] >> 1)


def _tags(place: OfficialPlace, name: str) -> dict[str, str]:
    return {"task": name.split("/")[0], "variant": name.split("/")[1], "scale": place.config.scale}
