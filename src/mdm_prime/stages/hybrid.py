"""The stage `hybrid`: what EDLM reports of a run with an energy, and what can be known exactly of it."""

from __future__ import annotations

from typing import cast

from mdm_prime import tracking
from mdm_prime.core.objectives import Denoiser
from mdm_prime.data import known_entropy
from mdm_prime.errors import UserError
from mdm_prime.evaluation.chains import Enumerated
from mdm_prime.evaluation.frontier import enumeration
from mdm_prime.evaluation.hybrids import reported
from mdm_prime.evaluation.likelihood import Estimate
from mdm_prime.experiment import layout
from mdm_prime.models.energy.model import MOST_SEQUENCES
from mdm_prime.networks.modules.energies import WithEnergy
from mdm_prime.progress import progress
from mdm_prime.results.hybrid import HybridFile, Value
from mdm_prime.stages.networks import load, tags
from mdm_prime.stages.workspace import Workspace

AUTOREGRESSIVE = "autoregressive"  # the part whose likelihood a model's estimate is compared with


def hybrid(workspace: Workspace, name: str) -> str:
    """Writes layout.hybrid_file; returns the estimate in one line. Raises UserError for a run without energy."""
    run, device = workspace.config.run(name), workspace.device()
    if not run.parts:
        raise UserError(f"{name}: is of model {run.model.kind}; should be of one with an energy: energy or energy_ar")
    settings, loaded = workspace.config.task(run.task).evaluation, load(workspace, run, device)
    network = cast(WithEnergy, loaded.network)
    part = getattr(network, AUTOREGRESSIVE, None)
    candidates = 0 if part is not None else 1  # from which EDLM estimates log Z
    with (
        tracking.stage(
            workspace.results, stage="hybrid", name=name, params=settings.model_dump(), tags=tags(workspace, run)
        ) as tracked,
        progress(f"hybrid {name}", settings.num_samples) as update,
    ):
        found = reported(
            network,
            network.energy,
            workspace.tokens(run.task, "heldout"),
            loaded.subtokenizer,
            loaded.schedule,
            num_samples=settings.num_samples,
            batch_size=settings.batch_size,
            seed=settings.seed,
            device=device,
            num_candidates=candidates,
            autoregressive=cast("Denoiser | None", part),
            report=lambda done: update(done, "draws"),
        )
        known = None
        if run.data.kind == "known_entropy" and run.vocab_size**run.length <= MOST_SEQUENCES:
            source = known_entropy.load_source(layout.data_dir(workspace.root, run.task), run.length)
            sections = [run.network, *(other.network for other in run.parts.values())]
            reads_time = any(getattr(section, "time_conditioning", True) for section in sections)
            model = Enumerated(network, loaded.subtokenizer, run.length, network.energy, device, reads_time)
            known = enumeration(model, source, loaded.schedule, candidates)
        output = layout.hybrid_file(workspace.root, name)
        HybridFile(
            **loaded.facts.of_model(),
            parts={key: other.variant for key, other in run.parts.items()},
            num_samples=settings.num_samples,
            published=_value(found.published),
            denoiser=_value(found.denoiser),
            autoregressive=found.autoregressive and _value(found.autoregressive),
            difference=found.difference and _value(found.difference),
            enumeration=known,
        ).write(output)
        tracked.metric(0, {"published": found.published.mean, "denoiser": found.denoiser.mean})
        tracked.artifact(output)
    said = f"{name}: EDLM reports {found.published.mean:.4f} ± {found.published.stderr:.2g} nats per token"
    if found.autoregressive is not None:
        said += f", its autoregressive model has {found.autoregressive.mean:.4f}"
    return said


def _value(estimate: Estimate) -> Value:
    return Value(nats=estimate.mean, stderr=estimate.stderr)
