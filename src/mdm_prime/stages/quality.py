"""The stage `quality`: a run's images, sampler by sampler, against real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdm_prime import files, tracking
from mdm_prime.errors import UserError
from mdm_prime.evaluation.fidelity import distance_name, features_name
from mdm_prime.experiment import layout
from mdm_prime.experiment.runs import Run
from mdm_prime.progress import progress
from mdm_prime.results.quality import OfSampler, QualityFile
from mdm_prime.results.samples import SamplesFile
from mdm_prime.stages.features import load_extractor, scoring
from mdm_prime.stages.networks import tags
from mdm_prime.stages.workspace import Workspace


def quality(workspace: Workspace, name: str) -> str:
    """Scores the samples of a run: quality.json. Returns the distances in one line."""
    run, device = workspace.config.run(name), workspace.device()
    settings = workspace.config.image_task(run.task)
    described = SamplesFile.read(layout.sample_files(workspace.root, name)[1], workspace.hint("sample", name))
    samples = _samples(workspace, run, len(described.samplers))
    extractor = load_extractor(workspace, run.task, device)
    distance = distance_name(run.task, settings.fidelity)
    rows = []
    with (
        tracking.stage(
            workspace.results,
            stage="quality",
            name=name,
            params=settings.fidelity.model_dump(),
            tags=tags(workspace, run),
        ) as tracked,
        scoring(workspace, run.task, extractor) as score,
        progress(f"quality {name}", len(described.samplers)) as update,
    ):
        for number, (sampler, pixels) in enumerate(zip(described.samplers, samples, strict=True)):
            scores = score(pixels)
            rows.append(
                OfSampler(
                    **dict(scores),
                    sampler=sampler.name,
                    distribution=sampler.distribution,
                    nfe=sampler.nfe_mean,
                )
            )
            group = f"{sampler.name}-{sampler.distribution}"
            values = {distance if key == "distance" else key: value for key, value in scores}
            tracked.metric(number, {f"{group}/{key}": value for key, value in values.items()})
            update(len(rows), f"{sampler.name}: {distance} {scores.distance:.4g}")
        output = layout.quality_file(workspace.root, name)
        QualityFile(
            **described.of_model(),
            dataset=settings.data.dataset,
            features=features_name(run.task, settings.fidelity),
            distance_name=distance,
            rows=rows,
        ).write(output)
        tracked.artifact(output)
    said = ", ".join(f"{row.distance:.4g} ({row.sampler})" for row in rows)
    return f"{name}: {distance} {said}"


def _samples(workspace: Workspace, run: Run, num_samplers: int) -> NDArray[np.unsignedinteger]:
    """(S, N, L) memory-mapped pixels. Raises UserError when they are missing, of another shape or out of range."""
    path, _ = layout.sample_files(workspace.root, run.name)
    again = f"draw them again: {workspace.hint('sample', run.name)}"
    samples = files.load_array(path, workspace.hint("sample", run.name))
    if samples.ndim != 3 or (samples.shape[0], samples.shape[2]) != (num_samplers, run.data.length):
        raise UserError(f"{path}: has shape {samples.shape}, wanted ({num_samplers}, N, {run.data.length}); {again}")
    if samples.dtype != np.uint8 or samples.max(initial=0) >= run.data.vocab_size:
        raise UserError(f"{path}: should be uint8 values below {run.data.vocab_size}; {again}")
    return samples
