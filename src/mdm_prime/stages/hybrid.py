"""The stage `hybrid`: what EDLM reports of a run with an energy, and what can be known exactly of it.

Estimates by draws are those of the stage `evaluate`.
"""

from __future__ import annotations

from typing import cast

from mdm_prime import tracking
from mdm_prime.data import known_entropy
from mdm_prime.errors import UserError
from mdm_prime.evaluation.chains import Enumerated
from mdm_prime.evaluation.frontier import enumeration
from mdm_prime.experiment import layout
from mdm_prime.experiment.runs import Run
from mdm_prime.models.energy.model import MOST_SEQUENCES
from mdm_prime.networks.modules.energies import WithEnergy
from mdm_prime.results.base import known
from mdm_prime.results.hybrid import Enumeration, HybridFile
from mdm_prime.results.likelihood import LikelihoodFile, Value
from mdm_prime.stages.networks import load, tags
from mdm_prime.stages.workspace import Workspace


def hybrid(workspace: Workspace, name: str) -> str:
    """Writes layout.hybrid_file; returns the estimate in one line. Raises UserError for a run without energy."""
    run = workspace.config.run(name)
    if not run.parts:
        raise UserError(f"{name}: is of model {run.model.kind}; should be of one with an energy: energy or energy_ar")
    source = layout.likelihood_file(workspace.root, name)
    likelihood = LikelihoodFile.read(source, workspace.hint("evaluate", name))
    drawn = known(likelihood.energy, source, "energy")
    with tracking.stage(workspace.results, stage="hybrid", name=name, params={}, tags=tags(workspace, run)) as tracked:
        output = layout.hybrid_file(workspace.root, name)
        found = HybridFile(
            **likelihood.of_model(),
            parts={key: other.variant for key, other in run.parts.items()},
            num_samples=drawn.num_samples,
            published=Value(nats=likelihood.joint_loss, stderr=likelihood.joint_loss_stderr),
            denoiser=drawn.denoiser,
            autoregressive=drawn.autoregressive,
            difference=drawn.difference,
            enumeration=_enumerated(workspace, run),
        )
        found.write(output)
        tracked.metric(0, {"published": found.published.nats, "denoiser": found.denoiser.nats})
        tracked.artifact(output)
    said = f"{name}: EDLM reports {found.published.nats:.4f} ± {found.published.stderr:.2g} nats per token"
    if found.autoregressive is not None:
        said += f", its autoregressive model has {found.autoregressive.nats:.4f}"
    return said


def _enumerated(workspace: Workspace, run: Run) -> Enumeration | None:
    """What is exact of a run on a source of few sequences; None for another one."""
    if run.data.kind != "known_entropy" or run.vocab_size**run.length > MOST_SEQUENCES:
        return None
    device = workspace.device()
    loaded = load(workspace, run, device)
    network = cast(WithEnergy, loaded.network)
    source = known_entropy.load_source(layout.data_dir(workspace.root, run.task), run.length)
    sections = [run.network, *(other.network for other in run.parts.values())]
    reads_time = any(getattr(section, "time_conditioning", True) for section in sections)
    model = Enumerated(network, loaded.subtokenizer, run.length, network.energy, device, reads_time)
    candidates = 0 if hasattr(network, "autoregressive") else 1  # from which EDLM estimates log Z
    return enumeration(model, source, loaded.schedule, candidates)
