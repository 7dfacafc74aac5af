"""The stage `evaluate`: the bound and the published loss of a trained run on held-out data."""

from __future__ import annotations

import math

from mdm_prime import files, tracking
from mdm_prime.errors import UserError
from mdm_prime.evaluation import likelihood
from mdm_prime.experiment import layout
from mdm_prime.experiment.sections.image_data import ImageDataSection
from mdm_prime.experiment.tasks import Run
from mdm_prime.progress import progress
from mdm_prime.stages.place import Place, describe, mathematics, tags, tokens_of, trained_network


def evaluate(place: Place, name: str) -> None:
    """Both losses of a trained run on the held-out sequences: likelihood.json."""
    run, device = place.config.run(name), place.device()
    settings = place.config.task(run.task).evaluation
    tokens, meta = tokens_of(run, place.tokens(run.task, "heldout")), place.meta(run.task)
    if len(tokens) < 2:
        raise UserError(f"{run.task}.data: only {len(tokens)} held-out sequence; a standard error needs at least 2")
    subtokenizer, schedule = mathematics(run)
    network = trained_network(place, run, device)
    described = files.read_json(layout.network_dir(place.root, name) / "run.json")
    total = len(tokens) if run.model == "autoregressive" else settings.num_samples
    with (
        tracking.stage(
            place.results, stage="evaluate", name=name, params=settings.model_dump(), tags=tags(run, place, meta)
        ) as tracked,
        progress(f"evaluate {name}", total) as update,
    ):
        batch_size = settings.batch_size

        def report(done: int) -> None:
            update(done, "draws")

        if run.model == "autoregressive":
            found = likelihood.autoregressive_likelihood(
                network, tokens, subtokenizer.mask_id, batch_size=batch_size, device=device, report=report
            )
        else:
            found = likelihood.masked_likelihood(
                network,
                tokens,
                subtokenizer,
                schedule,
                carry_over=run.carry_over,
                num_samples=settings.num_samples,
                batch_size=batch_size,
                seed=settings.seed,
                device=device,
                report=report,
            )
        values = {
            "nelbo": found.nelbo.mean,
            "nelbo_stderr": found.nelbo.stderr,
            "joint_loss": found.joint_loss.mean,
            "joint_loss_stderr": found.joint_loss.stderr,
        }
        tracked.metric(0, values | in_usual_units(run, found))
        output = layout.likelihood_file(place.root, name)
        head = describe(run, network, described["train_tokens"])
        exact = run.model == "autoregressive"
        files.write_json(output, head | {"num_samples": found.num_samples, "exact": exact} | values)
        tracked.artifact(output)


def in_usual_units(run: Run, found: likelihood.Likelihood) -> dict[str, float]:
    """Bits per dimension of an image, perplexities of anything else, each under its true name."""
    if isinstance(run.data, ImageDataSection):
        bits = run.length / run.data.length / math.log(2)
        return {"bpd_bound": found.nelbo.mean * bits, "bpd_published": found.joint_loss.mean * bits}
    return {"ppl_bound": math.exp(found.nelbo.mean), "published_loss_ppl": math.exp(found.joint_loss.mean)}
