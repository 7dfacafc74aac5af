"""What does a training step cost, and what is saved by asking for logits only where a sub-token is masked?

    python benchmarks/training_step.py [--params params/default.yaml] [--runs text/l1/seed0 text/l4/seed0] [--steps 20]
        [--objective nelbo]

`everywhere` computes vocabulary logits at every position and throws away what the loss does not need.
"""

from __future__ import annotations

import argparse
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mdm_prime.core.masking import stratified_times
from mdm_prime.core.noise import BatchNoise
from mdm_prime.experiment import config
from mdm_prime.experiment.runs import Run
from mdm_prime.stages.train import loss_of
from mdm_prime.training.loop import autocast


class Everywhere(nn.Module):
    """A network asked for logits at every position, of which the wanted ones are then taken."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor, t: Tensor, where: Tensor) -> Tensor:
        return self.network(y, t, torch.ones_like(where))[where.flatten()]


def seconds_a_step(run: Run, network: nn.Module, device: torch.device, steps: int) -> float:
    """Median over steps of loss, gradient and optimiser together, on random tokens."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss = loss_of(run)
    generator = torch.Generator(device).manual_seed(0)
    size = run.training.micro_batch_size or run.training.batch_size
    x = torch.randint(run.vocab_size, (size, run.length), generator=generator, device=device)
    times = []
    for _ in range(steps + 3):
        start = time.perf_counter()
        t = stratified_times(size, run.training.t_min, generator)
        with autocast(run.training.precision, device):
            value = loss(network, x, t, BatchNoise(generator, size)).mean()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(torch.tensor(times[3:]).median())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="params/default.yaml")
    parser.add_argument("--runs", nargs="+", default=["text/l1/seed0", "text/l2/seed0", "text/l4/seed0"])
    parser.add_argument("--objective", help="instead of each run's own: what does the valid bound cost?")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {options.threads} thread(s)"
    table = Table("run", "tokens/s", "tokens/s everywhere", "ratio", title=f"training step on {name}")
    settings = config.load(options.params)
    for run in map(settings.run, options.runs):
        if options.objective:
            training = run.training.model_copy(update={"objective": options.objective})
            run = run.model_copy(update={"training": training})  # noqa: PLW2901
        tokens = (run.training.micro_batch_size or run.training.batch_size) * run.length
        rates = []
        for wrap in (lambda network: network, Everywhere):
            torch.manual_seed(0)
            network = wrap(run.network.build(run.shape).to(device))
            rates.append(tokens / seconds_a_step(run, network, device, options.steps))
        table.add_row(run.name, f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", f"{rates[0] / rates[1]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
