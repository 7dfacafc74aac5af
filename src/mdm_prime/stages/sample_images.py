"""The stage `sample_images`: images with parts given, and images on the way from all masked to clean."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdm_prime import files, tracking
from mdm_prime.core.objectives import Denoiser
from mdm_prime.experiment import layout
from mdm_prime.experiment.sections.samplers import SamplerSection
from mdm_prime.experiment.tasks import Run
from mdm_prime.samplers.exact import prior_sample
from mdm_prime.stages.image_views import partial_view, pixels
from mdm_prime.stages.place import Place, image_data, mathematics, tags, tokens_of, trained_network
from mdm_prime.stages.sample import complete

COMPLETIONS = 3  # of each image in the imputation figure
PATH_FRAMES = 9  # in the denoising strip, the finished image included


def sample_images(place: Place, name: str) -> None:
    """Completes held-out images and follows the first samples, both by the run's last sampler.

    Writes layout.imputation_file and layout.path_file.
    """
    run, device = place.config.run(name), place.device()
    task = place.config.image_task(run.task)
    settings, sampler = task.sampling, task.samplers_of(run.variant)[-1]
    meta, tokens = place.meta(run.task), place.tokens(run.task, "heldout")
    network = trained_network(place, run, device)
    shown = min(settings.shown, len(tokens))
    originals = torch.from_numpy(tokens_of(run, tokens[:shown]).astype(np.int64)).to(device)
    params = settings.model_dump() | {"sampler": sampler.model_dump(mode="json")}
    with tracking.stage(place.results, stage="sample_images", name=name, params=params, tags=tags(run, place, meta)):
        outputs = {
            layout.imputation_file(place.root, name): imputations(network, run, sampler, originals, settings.seed),
            layout.path_file(place.root, name): denoising_path(network, run, sampler, shown, settings.seed, device),
        }
        for path, content in outputs.items():
            with files.replacing(path) as temporary:
                np.savez(temporary, allow_pickle=False, **content)


def imputations(network: Denoiser, run: Run, sampler: SamplerSection, x: Tensor, seed: int) -> dict[str, Any]:
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
    network: Denoiser, run: Run, sampler: SamplerSection, num: int, seed: int, device: torch.device
) -> dict[str, Any]:
    """The first samples on their way from all masked to clean: the arrays of path.npz."""
    subtokenizer, _ = mathematics(run)
    targets = iter(np.linspace(1, 0, PATH_FRAMES))  # even in the share that is masked
    target = next(targets)
    times, views = [], []

    def record(t: float, y: Tensor) -> None:
        nonlocal target
        share = float((y == subtokenizer.mask_id).float().mean())
        if share <= target:
            times.append(t)
            views.append(partial_view(run, y))
            target = next((lower for lower in targets if lower < share), -1.0)

    masked, _ = prior_sample(num, run.length, subtokenizer, torch.zeros(0, dtype=torch.long, device=device))
    complete(network, run, sampler, masked, range(num), seed, record)
    return {
        "times": np.array(times),
        "shown": np.stack([view.cpu().numpy() for view, _ in views]),
        "masked": np.stack([share.cpu().numpy() for _, share in views]),
    }
