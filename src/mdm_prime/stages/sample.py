"""The stage `sample`: token sequences from a trained run, with every network evaluation counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mdm_prime import files, tracking
from mdm_prime.core.objectives import Denoiser
from mdm_prime.data.tokenizer import decode, encode, load_tokenizer
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.sections import Sampling
from mdm_prime.experiment.tasks import Run
from mdm_prime.progress import progress
from mdm_prime.samplers import exact as sampling
from mdm_prime.stages.place import Place, mathematics, tags, trained_network

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def sample(place: Place, name: str) -> None:
    """Draws the samples that params ask for: samples.npy and samples.json."""
    run, device = place.config.run(name), place.device()
    settings = place.config.token_task(run.task).sampling
    network = trained_network(place, run, device)
    tokenizer = _tokenizer(place, run)
    prefix = torch.tensor(encode(tokenizer, settings.prefix) if tokenizer else [], dtype=torch.long, device=device)
    if len(prefix) >= run.data.length:
        raise UserError(
            f"{run.task}.sampling.prefix has {len(prefix)} tokens; allowed: fewer than the length {run.data.length}"
        )
    with (
        tracking.stage(
            place.results,
            stage="sample",
            name=name,
            params=settings.model_dump(),
            tags=tags(run, place, place.meta(run.task)),
        ) as tracked,
        progress(f"sample {name}", settings.num_samples) as update,
    ):
        x, nfe, idle = draw(network, run, settings, prefix, report=lambda done: update(done, "samples"))
        array, description = layout.sample_files(place.root, name)
        with files.replacing(array) as temporary:
            np.save(temporary, x.numpy().astype(place.tokens(run.task, "validation").dtype))
        counted = summary("nfe", nfe) | summary("idle_steps", idle)
        texts = decode(tokenizer, x.numpy()) if tokenizer else None
        head: dict[str, Any] = {
            "task": run.task,
            "variant": run.variant,
            "seed": run.seed,
            "model": run.model,
            "num_subtokens": run.num_subtokens,
            "carry_over": run.carry_over,
        }
        chosen = settings.model_dump(exclude={"batch_size", "seed"})
        files.write_json(
            description,
            head | chosen | {"length": run.data.length, "prefix_tokens": len(prefix)} | counted | {"texts": texts},
        )
        tracked.metric(0, {key: value for key, value in counted.items() if value is not None})
        tracked.artifact(description)
        if texts:
            tracked.document("samples.txt", "\n\n".join(texts))


def draw(
    network: Denoiser, run: Run, settings: Sampling, prefix: Tensor, *, report: Callable[[int], None]
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Tokens (N, L), network evaluations (N,) and, for an ancestral sampler, idle steps (N,), all on the CPU."""
    subtokenizer, schedule = mathematics(run)
    batches: list[sampling.Samples] = []
    idle: list[Tensor] = []
    for start in range(0, settings.num_samples, settings.batch_size):
        indices = range(start, min(start + settings.batch_size, settings.num_samples))
        times, draws = (
            uniforms.to(prefix.device)
            for uniforms in sampling.sample_uniforms(settings.seed, indices, run.data.length, run.num_subtokens)
        )
        if run.model == "autoregressive":
            samples = sampling.autoregressive_sample(
                network,
                draws.squeeze(-1),
                prefix,
                subtokenizer.mask_id,
                temperature=settings.temperature,
                top_p=settings.top_p,
            )
        else:
            y, fixed = sampling.prior_sample(len(indices), run.data.length, subtokenizer, prefix)
            if settings.sampler == "ancestral":
                events = sampling.ancestral_events(times, schedule, settings.num_steps, fixed)
            else:
                events = sampling.first_hitting_events(times, schedule, fixed)
            samples = sampling.run_events(
                network,
                y,
                events,
                draws,
                subtokenizer,
                carry_over=run.carry_over,
                temperature=settings.temperature,
                top_p=settings.top_p,
            )
            if settings.sampler == "ancestral":
                idle.append(settings.num_steps - samples.nfe.cpu())
        batches.append(sampling.Samples(samples.x.cpu(), samples.nfe.cpu()))
        report(indices.stop)
    x, nfe = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return x, nfe, torch.cat(idle) if idle else None


def _tokenizer(place: Place, run: Run) -> Tokenizer | None:
    if run.data.kind != "text":
        return None
    return load_tokenizer(layout.data_dir(place.root, run.task) / "tokenizer.json")


def summary(name: str, values: Tensor | None) -> dict[str, float | None]:
    """Mean and standard error over samples; null where there is nothing to count."""
    if values is None:
        return {f"{name}_mean": None, f"{name}_stderr": None}
    exact = values.double()
    spread = float(exact.std()) if len(exact) > 1 else 0.0
    return {f"{name}_mean": float(exact.mean()), f"{name}_stderr": spread / len(exact) ** 0.5}
