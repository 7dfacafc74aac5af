"""What one run takes, found out in a process of its own, of which as many run side by side as stages would."""

from __future__ import annotations

import time
from functools import cache
from typing import NamedTuple

import torch

from mdm_prime.cost.machines import UTILISATION, Machine, this_machine
from mdm_prime.cost.timing import seconds_a_call
from mdm_prime.cost.tracing import Traced, trace
from mdm_prime.cost.work import Work, work
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.models import Compute
from mdm_prime.experiment.tasks import Task
from mdm_prime.stages import memory

LONGEST = 0.5  # seconds of a call by its number of operations: a longer one is not computed to be timed

_STARTED = [0.0]  # seconds that this process took until it could compute


class Job(NamedTuple):
    """A run to be priced; heldout: see cost.work.work."""

    task: Task
    run: Run
    heldout: int | None


class Priced(NamedTuple):
    """What a run takes.

    Attributes:
        traced: its network's.
        work: of its stages.
        seconds: of each work on this machine, in one process.
        machine: this machine, as one process has it.
        starting: seconds that a process takes before it computes.
    """

    traced: Traced
    work: list[Work]
    seconds: list[float]
    machine: Machine
    starting: float


def start(compute: Compute, threads: int) -> None:
    """Prepares this process, which has just begun, to price."""
    _STARTED[0] = time.process_time()
    torch.set_num_threads(threads)
    if device_of(compute).type == "cpu":
        memory.keep_freed()


def device_of(compute: Compute) -> torch.device:
    """Where a stage computes; on a machine without a GPU the CPU, whatever the params want."""
    return torch.device("cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu")


def price(compute: Compute, job: Job) -> Priced:
    """All that a run takes, whatever is done of it."""
    device = device_of(compute)
    on_gpu = compute.device == "cuda" or device.type == "cuda"
    precision = job.run.training.precision
    traced = trace(job.run, bfloat16=precision == "bfloat16" or (precision == "auto" and on_gpu))
    machine = _machine(device)
    parts = work(job.task, job.run, traced, job.heldout)
    seconds = [_seconds(job, part, machine, device) for part in parts]
    return Priced(traced, parts, seconds, machine, _STARTED[0])


@cache
def _machine(device: torch.device) -> Machine:
    return this_machine(device, torch.bfloat16 if device.type == "cuda" else torch.float32)


def _seconds(job: Job, part: Work, machine: Machine, device: torch.device) -> float:
    by_count = part.flops / (machine.rate * UTILISATION)
    if by_count / part.calls > LONGEST:
        return by_count
    return part.calls * seconds_a_call(job.task, job.run, part, device)
