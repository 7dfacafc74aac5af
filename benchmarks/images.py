"""What do images cost: a network evaluation, and each sampler's own work beside it?

    python benchmarks/images.py [--params params/paper.yaml] [--runs cifar10/l2/seed0] [--num-samples 8] [--num-steps 8]

`network` is the time of the evaluations alone, on sub-tokens of which half are masked; the rest of a sampler's time
goes to random numbers, draws and bookkeeping. Weights are random: they change no time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from mdm_prime.experiment import config
from mdm_prime.experiment.sections.samplers import SamplerSection
from mdm_prime.samplers.ancestral import AncestralSampler
from mdm_prime.samplers.euler import Curve, EulerSampler
from mdm_prime.samplers.exact import prior_sample
from mdm_prime.stages.networks import untrained
from mdm_prime.stages.sample import complete


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Of one call, after one that warms up."""
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def samplers(num_steps: int) -> dict[str, SamplerSection]:
    corrector = Curve(a=6.0, n=1.0, b=0.75)
    return {
        "ancestral": AncestralSampler(kind="ancestral", num_steps=num_steps),
        "euler, joint draws": EulerSampler(kind="euler", num_steps=num_steps, distribution="joint"),
        "euler, marginals": EulerSampler(kind="euler", num_steps=num_steps, distribution="marginals"),
        "euler, corrector": EulerSampler(
            kind="euler", num_steps=num_steps, distribution="marginals", corrector=corrector
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="params/default.yaml")
    parser.add_argument("--runs", nargs="+", default=["digits/l1/seed0", "digits/l3/seed0", "photos/l8/seed0"])
    parser.add_argument("--num-steps", type=int, default=8)
    parser.add_argument("--num-samples", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {options.threads} thread(s)"
    table = Table(
        "run", "parameters", "sampler", "network", "sampler in all", "ratio",
        title=f"seconds for {options.num_samples} images, {options.num_steps} network evaluations each, {name}",
    )  # fmt: skip
    settings = config.load(options.params)
    for run in map(settings.run, options.runs):
        torch.manual_seed(0)
        loaded = untrained(run, device)
        network = loaded.network
        nothing = torch.zeros(0, dtype=torch.long, device=device)
        start, _ = prior_sample(options.num_samples, run.length, loaded.subtokenizer, nothing)
        half = torch.rand(start.shape, device=device) < 0.5
        y = torch.where(half, start, torch.zeros_like(start))
        where, t = (y == loaded.subtokenizer.mask_id).any(-1), torch.full((len(y),), 0.5, device=device)
        with torch.no_grad():
            alone = seconds(lambda network=network, y=y, t=t, where=where: network(y, t, where), device)
        size = f"{sum(parameter.numel() for parameter in network.parameters()):,}"
        for kind, sampler in samplers(options.num_steps).items():
            whole = seconds(
                lambda loaded=loaded, run=run, sampler=sampler, start=start: complete(
                    loaded, run, sampler, start, range(len(start)), 0
                ),
                device,
            )
            network_alone = alone * options.num_steps
            table.add_row(run.name, size, kind, f"{network_alone:.2f}", f"{whole:.2f}", f"{whole / network_alone:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
