"""The stage `sample` for images: by every sampler, with parts given, and on the way from all masked to clean."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdm_prime import files, tracking
from mdm_prime.core.objectives import Denoiser
from mdm_prime.experiment import layout
from mdm_prime.experiment.sections import ImageSampler
from mdm_prime.experiment.tasks import Run
from mdm_prime.official.imported import Imported
from mdm_prime.progress import progress
from mdm_prime.samplers import euler
from mdm_prime.samplers import exact as sampling
from mdm_prime.stages.image_views import partial_view, pixels
from mdm_prime.stages.place import (
    Place,
    describe,
    image_data,
    mathematics,
    tags,
    tokens_of,
    trained_network,
)
from mdm_prime.stages.sample import summary

Record = Callable[[float, Tensor], None]

COMPLETIONS = 3  # of each image in the imputation figure
PATH_FRAMES = 9  # in the denoising strip, the finished image included


def sample_images(place: Place, name: str) -> None:
    """Draws what params ask for and writes layout.image_sample_files."""
    run, device = place.config.run(name), place.device()
    task = place.config.image_task(run.task)
    settings, samplers = task.sampling, task.samplers[run.variant]
    meta, tokens = place.meta(run.task), place.tokens(run.task, "validation")
    network = trained_network(place, run, device)
    shown = min(settings.shown, len(tokens))
    originals = torch.from_numpy(tokens_of(run, tokens[:shown]).astype(np.int64)).to(device)
    outputs = layout.image_sample_files(place.root, name)
    params = settings.model_dump() | {"samplers": [sampler.model_dump(mode="json") for sampler in samplers]}
    with (
        tracking.stage(place.results, stage="sample", name=name, params=params, tags=tags(run, place, meta)) as tracked,
        progress(f"sample {name}", settings.num_samples * len(samplers)) as update,
    ):
        images, described = [], []
        for number, sampler in enumerate(samplers):
            base = number * settings.num_samples

            def report(done: int, base: int = base, sampler: ImageSampler = sampler) -> None:
                update(base + done, f"images ({sampler.name})")

            x, nfe = draw(
                network, run, sampler, settings.num_samples, settings.batch_size, settings.seed, device, report
            )
            images.append(pixels(run, x).numpy())
            described.append({"name": sampler.name, **sampler.model_dump(), **summary("nfe", nfe)})
        last = samplers[-1]
        arrays = {
            outputs[2]: imputations(network, run, last, originals, settings.seed),
            outputs[3]: denoising_path(network, run, last, shown, settings.seed, device),
        }
        with files.replacing(outputs[0]) as temporary:
            np.save(temporary, np.stack(images))
        for path, content in arrays.items():
            with files.replacing(path) as temporary:
                np.savez(temporary, allow_pickle=False, **content)
        head = describe(run, network, 0)
        del head["parameters"], head["train_tokens"], head["base"]
        counts = {"num_samples": settings.num_samples, "length": run.data.length}
        files.write_json(outputs[1], head | counts | {"samplers": described})
        tracked.metric(0, {f"nfe {row['name']}": row["nfe_mean"] for row in described})
        tracked.artifact(outputs[1])


def draw(
    network: Denoiser,
    run: Run,
    sampler: ImageSampler,
    num: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    report: Callable[[int], None],
) -> tuple[Tensor, Tensor]:
    """Tokens (N, L) and network evaluations (N,) of samples from nothing, on the CPU."""
    batches = []
    for start in range(0, num, batch_size):
        indices = range(start, min(start + batch_size, num))

        def record(t: float, y: Tensor, indices: range = indices) -> None:
            report(indices.start + round((1 - t) * len(indices)))

        batches.append(complete(network, run, sampler, all_masked(run, len(indices), device), indices, seed, record))
    x, nfe = (torch.cat([part.cpu() for part in parts]) for parts in zip(*batches, strict=True))
    return x, nfe


def all_masked(run: Run | Imported, num: int, device: torch.device) -> Tensor:
    """(num, L, ell) int64, every sub-token masked."""
    subtokenizer, _ = mathematics(run)
    return torch.full((num, run.length, run.num_subtokens), subtokenizer.mask_id, device=device)


def complete(
    network: Denoiser,
    run: Run | Imported,
    sampler: ImageSampler,
    y: Tensor,
    indices: range,
    seed: int,
    record: Record | None = None,
) -> sampling.Samples:
    """Reveals what is masked in y (B, L, ell) by one sampler; sample i has the random numbers of indices[i]."""
    subtokenizer, schedule = mathematics(run)
    fixed = y != subtokenizer.mask_id
    if sampler.kind == "euler":
        curves = {key: getattr(sampler, key) for key in ("temperature", "corrector", "time_steps")}
        given = {key: curve.model_dump() for key, curve in curves.items() if curve is not None}
        options: dict[str, Any] = {key: partial(getattr(euler, key), **numbers) for key, numbers in given.items()}
        options |= {"num_steps": sampler.num_steps, "draws": sampler.draws, "carry_over": run.carry_over}
        return euler.euler_sample(
            network,
            y,
            fixed,
            seed,
            indices,
            schedule,
            subtokenizer,
            record=record,
            **options,
        )
    times, draws = (
        uniforms.to(y.device) for uniforms in sampling.sample_uniforms(seed, indices, run.length, run.num_subtokens)
    )
    if sampler.num_steps is None:
        events = sampling.first_hitting_events(times, schedule, fixed)
    else:
        events = sampling.ancestral_events(times, schedule, sampler.num_steps, fixed)
    return sampling.run_events(network, y, events, draws, subtokenizer, carry_over=run.carry_over, record=record)


def imputations(network: Denoiser, run: Run, sampler: ImageSampler, x: Tensor, seed: int) -> dict[str, Any]:
    """Images x (n, L) int64 with a part given and the rest drawn: the arrays of imputation.npz."""
    subtokenizer, _ = mathematics(run)
    y, data = subtokenizer.encode(x), image_data(run)
    shape = (len(x), data.channels, data.size, data.size)
    kinds, shown, masked, completed = [], [], [], []
    for kind, given in parts_given(run, x.device):
        start = y.masked_fill(~given, subtokenizer.mask_id)
        view, share = partial_view(run, start)
        draws = [
            complete(network, run, sampler, start, range(draw * len(x), (draw + 1) * len(x)), seed).x
            for draw in range(COMPLETIONS)
        ]
        kinds.append(kind)
        shown.append(view.cpu().numpy())
        masked.append(share.cpu().numpy())
        completed.append(np.stack([pixels(run, x).cpu().numpy().reshape(shape) for x in draws]))
    return {
        "kinds": np.array(kinds),
        "original": pixels(run, x).cpu().numpy().reshape(shape),
        "shown": np.stack(shown),
        "masked": np.stack(masked),
        "completed": np.stack(completed),
    }


def parts_given(run: Run, device: torch.device) -> list[tuple[str, Tensor]]:
    """What imputation starts from: (L, ell) bool masks of given sub-tokens, coarse ones first, with their names."""
    ell, height = run.num_subtokens, image_data(run).size
    first = [
        (f"first {count} of {ell} sub-tokens given", (torch.arange(ell) < count).expand(run.length, ell))
        for count in sorted({1, ell // 2} & set(range(1, ell)))
    ]
    row = torch.arange(run.length) // height % height
    half = (row < height // 2)[:, None].expand(run.length, ell)
    return [(kind, given.to(device)) for kind, given in [*first, ("upper half given", half)]]


def denoising_path(
    network: Denoiser, run: Run, sampler: ImageSampler, num: int, seed: int, device: torch.device
) -> dict[str, Any]:
    """The first samples on their way from all masked to clean: the arrays of path.npz."""
    mask_id = mathematics(run)[0].mask_id
    targets = iter(np.linspace(1, 0, PATH_FRAMES))  # even in the share that is masked
    target = next(targets)
    times, views = [], []

    def record(t: float, y: Tensor) -> None:
        nonlocal target
        share = float((y == mask_id).float().mean())
        if share <= target:
            times.append(t)
            views.append(partial_view(run, y))
            target = next((lower for lower in targets if lower < share), -1.0)

    complete(network, run, sampler, all_masked(run, num, device), range(num), seed, record)
    return {
        "times": np.array(times),
        "shown": np.stack([view.cpu().numpy() for view, _ in views]),
        "masked": np.stack([share.cpu().numpy() for _, share in views]),
    }
