"""The stages `sample` and `quality` of official checkpoints on images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mdm_prime import files, tracking
from mdm_prime.errors import UserError
from mdm_prime.evaluation.fidelity import distance_name, features_name
from mdm_prime.experiment import layout
from mdm_prime.progress import progress
from mdm_prime.stages.features import load_extractor, scoring
from mdm_prime.stages.official import OfficialPlace, describe, load
from mdm_prime.stages.sample import as_stored, draw

Images = NDArray[np.unsignedinteger]


def sample(place: OfficialPlace, name: str, sampler: int, shard: int) -> None:
    """Draws a part of the images of one of a checkpoint's samplers: a file of layout.sample_shards.

    Sample i has random numbers of its own, so that the images do not depend on the parts.
    """
    task, device = name.split("/")[0], place.device()
    settings = place.config.image_task(task)
    samplers = settings.checkpoints[_known(place, name)].samplers
    outputs = layout.sample_shards(place.root, place.config, name, sampler)
    for key, value, count in (("sampler", sampler, len(samplers)), ("shard", shard, len(outputs))):
        if not 0 <= value < count:
            raise UserError(f"{key}: is {value}; should be 0 to {count - 1}")
    imported, network = load(place, name, device)
    sampling = settings.sampling
    edges = np.linspace(0, sampling.num_samples, len(outputs) + 1).astype(int)
    first, last = int(edges[shard]), int(edges[shard + 1])
    params = sampling.model_dump() | {"sampler": samplers[sampler].model_dump(mode="json"), "shard": shard}
    with (
        tracking.stage(
            place.results,
            stage="sample",
            name=f"{name}/{sampler}/{shard}",
            params=params,
            tags={"task": task, "variant": name.split("/")[1], "scale": place.config.scale},
        ) as tracked,
        progress(f"sample {name}/{sampler}/{shard}", last - first) as update,
    ):

        def report(done: int) -> None:
            update(done - first, "images")

        nothing = torch.zeros(0, dtype=torch.long, device=device)
        indices = range(first, last)
        x, nfe = draw(
            network, imported, samplers[sampler], indices, sampling.batch_size, sampling.seed, nothing, report
        )
        with files.replacing(outputs[shard]) as temporary:
            np.savez(temporary, images=as_stored(imported, x), nfe=nfe.numpy())
        tracked.metric(0, {"nfe": float(nfe.double().mean())})


def quality(place: OfficialPlace, name: str) -> None:
    """Scores the images of every sampler of a checkpoint: layout.official_quality_file."""
    task, device = name.split("/")[0], place.device()
    settings, meta = place.config.image_task(task), place.meta(task)
    samplers = settings.checkpoints[_known(place, name)].samplers
    extractor = load_extractor(place, task, device)
    with (
        tracking.stage(
            place.results,
            stage="quality",
            name=name,
            params=settings.fidelity.model_dump(),
            tags={"task": task, "variant": name.split("/")[1], "data_sha256": meta["sha256"]},
        ) as tracked,
        scoring(place, task, extractor) as score,
        progress(f"quality {name}", len(samplers)) as update,
    ):
        rows = []
        for number, sampler in enumerate(samplers):
            images, nfe = _drawn(place, name, number)
            chosen = {"sampler": sampler.name, **{key: sampler.description[key] for key in ("num_steps", "draws")}}
            rows.append({**chosen, "nfe": nfe, **score(images)})
            update(len(rows), sampler.name)
        distance = distance_name(task, settings.fidelity)
        head = describe(place, name) | {"dataset": settings.data.dataset, "distance_name": distance}
        output = layout.official_quality_file(place.root, name)
        files.write_json(output, head | {"features": features_name(task, settings.fidelity), "rows": rows})
        tracked.artifact(output)


def _known(place: OfficialPlace, name: str) -> str:
    place.config.checkpoint(name)  # raises UserError for an unknown one
    return name.split("/")[1]


def _drawn(place: OfficialPlace, name: str, sampler: int) -> tuple[Images, float]:
    """(N, L) pixels of a sampler, all shards, and the mean of network evaluations.

    Raises UserError when one is missing, damaged or of other settings.
    """
    settings = place.config.image_task(name.split("/")[0])
    images, nfe = [], []
    for number, path in enumerate(layout.sample_shards(place.root, place.config, name, sampler)):
        again = f"draw them again: mdm-prime official sample {name}/{sampler}/{number}"
        try:
            with path.open("rb") as file:
                saved = dict(np.load(file, allow_pickle=False))
            images.append(saved["images"])
            nfe.append(saved["nfe"])
        except Exception as error:  # a damaged archive raises errors of several kinds
            raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())}); {again}") from None
        if images[-1].dtype != np.uint8 or images[-1].shape != (len(nfe[-1]), settings.data.length):
            raise UserError(f"{path}: has shape {images[-1].shape}, wanted (N, {settings.data.length}); {again}")
    found = np.concatenate(images)
    if len(found) != settings.sampling.num_samples:
        folder = layout.of_checkpoint(place.root, "samples", name)
        raise UserError(f"{folder}: has {len(found)} images, wanted {settings.sampling.num_samples}; draw them again")
    return found, float(np.concatenate(nfe).mean())
