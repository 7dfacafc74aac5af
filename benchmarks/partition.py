"""What does a partition model save when it samples, and what does its training cost? Beside a masked one of equal size.

    python benchmarks/partition.py [--params params/default.yaml] [--run text/l1/seed0] [--lengths 64 256 1024]
        [--width 256 --blocks 12 --heads 4] [--tokens-a-step 1 8] [--num-samples 16] [--batch-size 16] [--rounds 5]

The partition network has as many blocks as the DiT, half of them in its encoder, and GroupSwap beside; its training
step takes both halves of each mask. Networks are untrained, since speed does not care. Samples are drawn by the same
function: it asks for logits where something is revealed, and runs no idle step. Models take turns, and of the rounds
the fastest counts; on a CPU, with one thread, the time is that of the process, which other work does not lengthen.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

from mdm_prime.core.keyed import set_keys
from mdm_prime.core.masking import stratified_times
from mdm_prime.core.noise import BatchNoise
from mdm_prime.experiment import config
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.samplers import SamplerSection
from mdm_prime.models.partition.model import PartitionModel
from mdm_prime.networks.dit import DiTNetwork
from mdm_prime.networks.partition import PartitionNetwork
from mdm_prime.samplers.ancestral import AncestralSampler
from mdm_prime.samplers.partition import PartitionSampler
from mdm_prime.stages import memory
from mdm_prime.stages.networks import untrained
from mdm_prime.stages.sample import draw
from mdm_prime.stages.train import loss_of
from mdm_prime.training.loop import autocast
from mdm_prime.training.optimizers import Optimizer


def of_length(run: Run, length: int) -> Run:
    """The same run on sequences of so many tokens."""
    return run.model_copy(update={"data": run.data.model_copy(update={"length": length})})


def partitioned(run: Run) -> Run:
    """A run's twin: a partition network of the same sizes, both halves of each mask in its training."""
    dit = run.network
    assert isinstance(dit, DiTNetwork), "a run with a DiT"
    network = PartitionNetwork(
        kind="partition",
        width=dit.width,
        encoder_blocks=-(-dit.blocks // 2),
        decoder_blocks=max(1, dit.blocks // 2),
        heads=dit.heads,
        conditioning_width=dit.conditioning_width,
        dropout=dit.dropout,
    )
    training = run.training.model_copy(update={"objective": "complement"})
    return run.model_copy(update={"model": PartitionModel(kind="partition"), "network": network, "training": training})


def with_complements(run: Run) -> Run:
    """The same network, trained on both halves of each mask."""
    return run.model_copy(update={"training": run.training.model_copy(update={"objective": "complement"})})


def step_of(run: Run, device: torch.device) -> Callable[[], None]:
    """A training step on random tokens, with what moves the weights."""
    torch.manual_seed(0)
    network, loss, size = run.build().to(device), loss_of(run), run.training.batch_size
    optimizer, generator = (
        Optimizer(network, run.training, run.network.blocks_at),
        torch.Generator(device).manual_seed(0),
    )
    keys = torch.arange(size, device=device)

    def step() -> None:
        x = torch.randint(run.vocab_size, (size, run.length), generator=generator, device=device)
        t = stratified_times(size, run.training.t_min, generator)
        set_keys(network, keys)
        with autocast(run.training.precision, device):
            mean = loss(network, x, t, BatchNoise(generator, size)).sum() / x.numel()
        mean.backward()
        optimizer.step(run.training.steps)

    return step


def fastest(actions: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """Seconds of each action in its fastest round; the first round is not counted."""
    best = dict.fromkeys(actions, math.inf)
    for number in range(rounds + 1):
        for name, action in actions.items():
            start = now(device)
            action()
            best[name] = min(best[name], now(device) - start) if number else math.inf
    return best


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def samplers(steps: int) -> list[SamplerSection]:
    return [
        AncestralSampler(kind="ancestral", num_steps=steps),
        PartitionSampler(kind="partition", num_steps=steps),
        PartitionSampler(kind="partition", num_steps=steps, spread="binomial"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="params/default.yaml")
    parser.add_argument("--run", default="text/l1/seed0")
    for key in ("width", "blocks", "heads"):
        parser.add_argument(f"--{key}", type=int, help="of both networks instead of the run's own")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--tokens-a-step", type=int, nargs="+", default=[1, 8], help="of samples, on average")
    parser.add_argument("--num-samples", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=16, help="of a training step, and of samples")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory.keep_freed()  # as every stage does
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {options.threads} thread(s)"
    run = config.load(options.params).run(options.run)
    sizes = {key: getattr(options, key) for key in ("width", "blocks", "heads") if getattr(options, key)}
    training = {"batch_size": options.batch_size, "micro_batch_size": None}
    run = run.model_copy(
        update={
            "network": run.network.model_copy(update=sizes),
            "training": run.training.model_copy(update=training),
        }
    )
    console = Console(width=140)
    table = Table("length", "model", "parameters", "ms", "ratio", title=f"training step of {run.name}, {name}")
    for length in options.lengths:
        plain = of_length(run, length)
        told = {"MDM": plain, "MDM, both halves": with_complements(plain), "PGM": partitioned(plain)}
        seconds = fastest({model: step_of(of, device) for model, of in told.items()}, options.rounds, device)
        for model, of in told.items():
            parameters = f"{sum(parameter.numel() for parameter in of.build().parameters()):,}"
            ratio = seconds[model] / seconds["MDM"]
            table.add_row(str(length), model, parameters, f"{seconds[model] * 1000:.1f}", f"{ratio:.2f}")
    console.print(table)
    table = Table("length", "sampler", "model", "NFE", "tokens/s", "ratio", title=f"samples of {run.name}, {name}")
    prefix = torch.empty(0, dtype=torch.long, device=device)
    for length in options.lengths:
        plain = of_length(run, length)
        networks = {model: (untrained(of, device), of) for model, of in (("MDM", plain), ("PGM", partitioned(plain)))}
        for sampler in [sampler for each in options.tokens_a_step for sampler in samplers(max(1, length // each))]:
            drawn = {
                model: partial(draw, loaded, of, sampler, range(options.num_samples), options.batch_size, 0, prefix)
                for model, (loaded, of) in networks.items()
            }
            evaluations = f"{drawn['MDM']().nfe.double().mean().item():.0f}"
            seconds = fastest(drawn, options.rounds, device)
            for model, of in seconds.items():
                rate, ratio = options.num_samples * length / of, seconds["MDM"] / of
                table.add_row(str(length), sampler.name, model, evaluations, f"{rate:,.0f}", f"{ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
