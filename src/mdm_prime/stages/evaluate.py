"""The stage `evaluate`: the bound and the published loss of a run's network on held-out data."""

from __future__ import annotations

import math

from mdm_prime import files, tracking
from mdm_prime.errors import UserError
from mdm_prime.evaluation import likelihood
from mdm_prime.experiment import layout
from mdm_prime.experiment.runs import Run
from mdm_prime.progress import progress
from mdm_prime.stages import shards
from mdm_prime.stages.networks import load, tags, tokens_of
from mdm_prime.stages.workspace import Workspace


def evaluate(workspace: Workspace, name: str) -> str:
    """Both losses of a run on the held-out split: layout.likelihood_file. Returns them in one line."""
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
        usual = in_usual_units(run, found)
        tracked.metric(0, values | {key: estimate.mean for key, estimate in usual.items()})
        files.write_json(output, loaded.facts | {"num_samples": found.num_samples, "exact": exact} | values)
        tracked.artifact(output)
    shards.Shards(folder, 0).remove()
    said = ", ".join(f"{key} {estimate.mean:.4g} ± {estimate.stderr:.2g}" for key, estimate in usual.items())
    return f"{name}: {said}"


def in_usual_units(run: Run, found: likelihood.Likelihood) -> dict[str, likelihood.Estimate]:
    """Bits per dimension of an image, perplexities of anything else, each under its true name."""
    if run.on_images:
        bits = run.length / run.data.length / math.log(2)
        return {
            "bpd_bound": likelihood.Estimate(found.nelbo.mean * bits, found.nelbo.stderr * bits),
            "bpd_published": likelihood.Estimate(found.joint_loss.mean * bits, found.joint_loss.stderr * bits),
        }
    return {"ppl_bound": _perplexity(found.nelbo), "published_loss_ppl": _perplexity(found.joint_loss)}


def _perplexity(nats: likelihood.Estimate) -> likelihood.Estimate:
    """The exponential of a mean in nats per token, with the standard error that follows for small ones."""
    return likelihood.Estimate(math.exp(nats.mean), math.exp(nats.mean) * nats.stderr)
