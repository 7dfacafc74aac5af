"""The stage `evaluate`: the bound and the published loss of a run's network on held-out data."""

from __future__ import annotations

import math

from mdm_prime import files, tracking
from mdm_prime.errors import UserError
from mdm_prime.evaluation import likelihood
from mdm_prime.experiment import layout
from mdm_prime.experiment.tasks import Run
from mdm_prime.progress import progress
from mdm_prime.stages import shards
from mdm_prime.stages.networks import load, tags, tokens_of
from mdm_prime.stages.workspace import Workspace


def evaluate(workspace: Workspace, name: str) -> None:
    """Both losses of a run on the held-out split: layout.likelihood_file."""
    run, device = workspace.config.run(name), workspace.device()
    settings = workspace.config.task(run.task).evaluation
    tokens = tokens_of(run, workspace.tokens(run.task, "heldout"))
    if (few := likelihood.different(tokens)) < likelihood.FEWEST:
        raise UserError(
            f"tasks.{run.task}.data: {few} different held-out sequences; a standard error needs at least "
            f"{likelihood.FEWEST}"
        )
    loaded = load(workspace, run, device)
    exact = run.model == "autoregressive"
    output = layout.likelihood_file(workspace.root, name)
    folder = output.with_name(f".{output.stem}-shards")
    with (
        tracking.stage(
            workspace.results, stage="evaluate", name=name, params=settings.model_dump(), tags=tags(workspace, run)
        ) as tracked,
        progress(f"evaluate {name}", len(tokens) if exact else settings.num_samples) as update,
    ):

        def report(done: int) -> None:
            update(done, "draws")

        parts = shards.ranges(len(tokens) if exact else settings.num_samples, settings.shard_size)
        identity = shards.identity(loaded, evaluation=settings.model_dump(mode="json"))
        kept = shards.resume(folder, identity, len(parts)) if settings.shard_size else None
        if exact:
            found = likelihood.autoregressive_likelihood(
                loaded.network,
                tokens,
                loaded.subtokenizer.mask_id,
                batch_size=settings.batch_size,
                device=device,
                report=report,
                kept=kept,
                shard_size=settings.shard_size,
            )
        else:
            found = likelihood.masked_likelihood(
                loaded.network,
                tokens,
                loaded.subtokenizer,
                loaded.schedule,
                carry_over=run.carry_over,
                num_samples=settings.num_samples,
                batch_size=settings.batch_size,
                seed=settings.seed,
                device=device,
                report=report,
                kept=kept,
                shard_size=settings.shard_size,
            )
        if math.isnan(found.nelbo.stderr):
            raise UserError(
                f"tasks.{run.task}.evaluation.num_samples: is {settings.num_samples}, which drew fewer than "
                f"{likelihood.FEWEST} different sequences; raise it"
            )
        values = found.values()
        tracked.metric(0, values | in_usual_units(run, found))
        files.write_json(output, loaded.facts | {"num_samples": found.num_samples, "exact": exact} | values)
        tracked.artifact(output)
    shards.Shards(folder, 0).remove()


def in_usual_units(run: Run, found: likelihood.Likelihood) -> dict[str, float]:
    """Bits per dimension of an image, perplexities of anything else, each under its true name."""
    if run.on_images:
        bits = run.length / run.data.length / math.log(2)
        return {"bpd_bound": found.nelbo.mean * bits, "bpd_published": found.joint_loss.mean * bits}
    return {"ppl_bound": math.exp(found.nelbo.mean), "published_loss_ppl": math.exp(found.joint_loss.mean)}
