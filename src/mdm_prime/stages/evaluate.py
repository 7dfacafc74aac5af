"""The stage `evaluate`: bounds, the published loss and exact likelihoods of a run's network on held-out data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mdm_prime import tracking
from mdm_prime.core.orders import ORDERS
from mdm_prime.errors import UserError
from mdm_prime.evaluation import likelihood
from mdm_prime.evaluation.likelihood import Estimate, Likelihood
from mdm_prime.evaluation.measurement import (
    AUTOREGRESSIVE,
    BOUND,
    BOUND_TOKENS,
    DENOISER,
    DIFFERENCE,
    PUBLISHED,
    Evaluated,
    Measurement,
)
from mdm_prime.experiment import layout
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.model_kinds import EVALUATION
from mdm_prime.experiment.sections.models import Evaluation
from mdm_prime.progress import progress
from mdm_prime.results.base import MOST_NATS
from mdm_prime.results.likelihood import LikelihoodFile, OfEnergy, OfSequences, Value
from mdm_prime.results.models import Facts
from mdm_prime.stages import launch, shards
from mdm_prime.stages.networks import Loaded, load, tags
from mdm_prime.stages.recoding import tokens_of
from mdm_prime.stages.workspace import Workspace


def evaluate(workspace: Workspace, name: str) -> str:
    """Every likelihood of a run on the held-out split: layout.likelihood_file. Returns them in one line."""
    run = workspace.config.run(name)
    task, output = workspace.config.task(run.task), layout.likelihood_file(workspace.root, name)
    settings = task.evaluation
    tokens = tokens_of(run, workspace.tokens(run.task, "heldout"))
    if (few := likelihood.different(tokens)) < likelihood.FEWEST:
        raise UserError(
            f"tasks.{run.task}.data: {few} different held-out sequences; a standard error needs at least "
            f"{likelihood.FEWEST}"
        )
    with tracking.stage(
        workspace.results, stage="evaluate", name=name, params=settings.model_dump(), tags=tags(workspace, run)
    ) as tracked:
        if task.devices > 1:
            launch.on_devices(workspace, "evaluate", name)
        loaded, found = share(workspace, name)
        estimates = estimates_of(run, found)
        for key, estimate in estimates.items():
            if math.isnan(estimate.stderr):
                setting, number = "num_samples", settings.num_samples
                if settings.exact and key.startswith("exact"):
                    setting, number = "exact.num_sequences", settings.exact.num_sequences
                raise UserError(
                    f"tasks.{run.task}.evaluation.{setting}: is {number}, which drew fewer than {likelihood.FEWEST} "
                    "different sequences; raise it"
                )
            if not estimate.mean < MOST_NATS:
                raise UserError(
                    f"{name}: {key} is {estimate.mean:.4g} nats per token, beyond any perplexity; train it with "
                    f"other params, such as a lower tasks.{run.task}.training.learning_rate"
                )
        usual = in_usual_units(run, estimates)
        values = saved(run, loaded.facts, found, estimates)
        numbers = {key: value for key, value in values if isinstance(value, float)}
        tracked.metric(0, numbers | {key: estimate.mean for key, estimate in usual.items()})
        values.write(output)
        tracked.artifact(output)
    shards.Shards(_parts_folder(workspace, name), 0).remove()
    said = ", ".join(f"{key} {estimate.mean:.4g} ± {estimate.stderr:.2g}" for key, estimate in usual.items())
    return f"{name}: {said}"


def share(workspace: Workspace, name: str) -> tuple[Loaded, dict[str, Likelihood]]:
    """A run's network and likelihoods, by the names of `measurements`; other processes may compute parts of them."""
    run, device = workspace.config.run(name), workspace.device()
    task = workspace.config.task(run.task)
    settings, loaded = task.evaluation, load(workspace, run, device)
    tokens = tokens_of(run, workspace.tokens(run.task, "heldout"))
    plan = measurements(run, loaded, settings, tokens, device)
    identity = shards.identity(loaded, evaluation=settings.model_dump(mode="json"))
    found: dict[str, Likelihood] = {}
    with progress(f"evaluate {name}", sum(part.total for part in plan.values())) as update:
        before = 0
        for what, part in plan.items():

            def report(done: int, before: int = before, what: str = what) -> None:
                update(before + done, f"draws ({what})")

            size = part.shard_size or shards.fair_size(part.total, part.batch_size, task.devices)
            count = len(shards.ranges(part.total, size))
            kept = shards.resume(_parts_folder(workspace, name) / what, identity, count) if size else None
            found[what] = part.measured(report=report, kept=kept, shard_size=size)
            before += part.total
    return loaded, found


def _parts_folder(workspace: Workspace, name: str) -> Path:
    output = layout.likelihood_file(workspace.root, name)
    return output.with_name(f".{output.stem}-shards")


def measurements(
    run: Run, loaded: Loaded, settings: Evaluation, tokens: NDArray[np.unsignedinteger], device: torch.device
) -> dict[str, Measurement]:
    """What is to be measured of a run on held-out tokens (N, L), by names for people; exact ones by their orders."""
    given = Evaluated(run, loaded.network, tokens, loaded.subtokenizer, loaded.schedule, settings, device)
    plan: dict[str, Measurement] = run.model.part(EVALUATION).measurements(given)
    return plan


def estimates_of(run: Run, found: Mapping[str, Likelihood]) -> dict[str, Estimate]:
    """By name, in nats per token."""
    bound = found[BOUND]
    estimates = {"bound": bound.nelbo, "published": found.get(PUBLISHED, bound).joint_loss}
    if run.num_subtokens == 1 and run.model.exact_order is None:
        estimates["bound_tokens"] = bound.nelbo  # the same masks
    elif BOUND_TOKENS in found:
        estimates["bound_tokens"] = found[BOUND_TOKENS].nelbo
    return estimates | {f"exact_{name}": value.nelbo for name, value in exact_of(run, found).items()}


def exact_of(run: Run, found: Mapping[str, Likelihood]) -> dict[str, Likelihood]:
    """The exact values by their orders; the bound of an autoregressive model is one."""
    alone = {run.model.exact_order: found[BOUND]} if run.model.exact_order else {}
    return alone | {name: value for name, value in found.items() if name in ORDERS}


def saved(run: Run, facts: Facts, found: Mapping[str, Likelihood], estimates: Mapping[str, Estimate]) -> LikelihoodFile:
    """The result file; nats per token."""
    bound, whole, published = found[BOUND], estimates.get("bound_tokens"), estimates["published"]
    return LikelihoodFile(
        **facts.of_network(),
        num_samples=bound.num_samples,
        nelbo=bound.nelbo.mean,
        nelbo_stderr=bound.nelbo.stderr,
        joint_loss=published.mean,
        joint_loss_stderr=published.stderr,
        bound_tokens=whole.mean if whole else None,
        bound_tokens_stderr=whole.stderr if whole else None,
        exact={
            name: OfSequences(nll=value.nelbo.mean, nll_stderr=value.nelbo.stderr, num_sequences=value.num_samples)
            for name, value in exact_of(run, found).items()
        },
        energy=_of_energy(found[PUBLISHED]) if run.parts else None,
    )


def _of_energy(found: Likelihood) -> OfEnergy:
    """What a model with an energy has beside its published loss."""
    values: dict[str, Any] = dict.fromkeys((DENOISER, AUTOREGRESSIVE, DIFFERENCE))
    values |= {name: Value(nats=value.mean, stderr=value.stderr) for name, value in found.beside.items()}
    return OfEnergy(num_samples=found.num_samples, **values)


def in_usual_units(run: Run, estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Bits per dimension of an image, perplexities of anything else, each under its name in the tables."""
    if run.on_images:
        bits = run.length / run.data.length / math.log(2)
        return {f"bpd_{name}": Estimate(nats.mean * bits, nats.stderr * bits) for name, nats in estimates.items()}
    return {
        "published_loss_ppl" if name == "published" else f"ppl_{name}": _perplexity(nats)
        for name, nats in estimates.items()
    }


def _perplexity(nats: Estimate) -> Estimate:
    """The exponential of a mean in nats per token, with the standard error that follows for small ones."""
    return Estimate(math.exp(nats.mean), math.exp(nats.mean) * nats.stderr)
