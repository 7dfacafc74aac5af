"""What does a training step cost, and what is saved by asking for logits only where a sub-token is masked?

    python benchmarks/training_step.py [--params params/default.yaml] [--runs text/l1/seed0 text/l4/seed0] [--seconds 5]
        [--objective nelbo] [--batch-size 8]

A step is the training loop's own, on random tokens. `everywhere` computes vocabulary logits at every position and
throws away what the loss does not need. `share` is that of the step's operations in the rate at which this device
multiplies large matrices; memory is torch's own count, which there is on a GPU only, and beside it what
`mdm-prime plan` tells.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from torch import Tensor, nn

from mdm_prime.cost.machines import matrix_rate
from mdm_prime.cost.timing import seconds_a_step
from mdm_prime.cost.tracing import trace
from mdm_prime.experiment import config
from mdm_prime.experiment.runs import Run
from mdm_prime.stages import memory


class Everywhere(nn.Module):
    """A network asked for logits at every position, of which the wanted ones are then taken."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor, t: Tensor, where: Tensor) -> Tensor:
        logits: Tensor = self.network(y, t, torch.ones_like(where))
        return logits if where.all() else logits[where.flatten()]


class Step(NamedTuple):
    """Seconds, operations and bytes of a step; memory is None where torch does not count it."""

    seconds: float
    flops: float
    memory: int | None
    told_memory: int


def with_training(run: Run, **values: Any) -> Run:
    """The run with other values in its section `training`."""
    return run.model_copy(update={"training": run.training.model_copy(update=values)})


def precision_of(run: Run, device: torch.device) -> torch.dtype:
    """What a run computes in on a device; see training.loop.autocast."""
    low = run.training.precision == "bfloat16" or (run.training.precision == "auto" and device.type == "cuda")
    return torch.bfloat16 if low else torch.float32


def measure(
    run: Run, device: torch.device, seconds: float, wrap: Callable[[nn.Module], nn.Module] | None = None
) -> Step:
    """A step of a run, measured for so many seconds once it is warm, with its network or one around it."""
    torch.manual_seed(0)
    network, blocks_at = run.build().to(device), run.network.blocks_at
    if wrap is not None:
        network, blocks_at = wrap(network), blocks_at and f"network.{blocks_at}"
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    found = seconds_a_step(run, network, device, seconds, blocks_at)
    held = torch.cuda.max_memory_allocated() if on_gpu else None
    traced = trace(run, bfloat16=precision_of(run, device) == torch.bfloat16, device=device.type)
    return Step(found, run.training.batch_size * traced.training, held, traced.memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="params/default.yaml")
    parser.add_argument("--runs", nargs="+", default=["text/l1/seed0", "text/l2/seed0", "text/l4/seed0"])
    parser.add_argument("--objective", help="instead of each run's own: what does the valid bound cost?")
    parser.add_argument("--batch-size", type=int, help="instead of each run's own, in one pass")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory.keep_freed()  # as every stage does
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {options.threads} thread(s)"
    columns = ("run", "tokens/s", "share", "memory", "told", "tokens/s everywhere", "ratio")
    table = Table(*columns, title=f"training step on {name}")
    settings = config.load(options.params)
    for run in map(settings.run, options.runs):
        if options.objective:
            run = with_training(run, objective=options.objective)  # noqa: PLW2901
        if options.batch_size:
            run = with_training(run, batch_size=options.batch_size, micro_batch_size=None)  # noqa: PLW2901
        tokens = run.training.batch_size * run.length
        step, plain = (measure(run, device, options.seconds, wrap) for wrap in (None, Everywhere))
        share = step.flops / step.seconds / matrix_rate(device, precision_of(run, device))
        table.add_row(
            run.name,
            f"{tokens / step.seconds:,.0f}",
            f"{share:.0%}",
            "-" if step.memory is None else decimal(step.memory),
            decimal(step.told_memory),
            f"{tokens / plain.seconds:,.0f}",
            f"{plain.seconds / step.seconds:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
