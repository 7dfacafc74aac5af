"""What one run takes, found out in a process of its own, of which as many run side by side as stages would."""

from __future__ import annotations

import time
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from mdm_prime.cost.machines import UTILISATION, Machine, this_machine
from mdm_prime.cost.timing import seconds_a_call
from mdm_prime.cost.tracing import Traced, trace
from mdm_prime.cost.work import EVALUATE, SAMPLE, TRAIN, Work, work
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.models import Compute
from mdm_prime.experiment.tasks import Task
from mdm_prime.stages import memory

LONGEST = 0.5  # seconds of a call by its number of operations: a longer one is not computed to be timed

_TRACED: dict[Any, Traced] = {}
_STARTED = dict[str, float]()  # seconds that this process took until it could do a stage's work


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
        starting: seconds that a process of each stage takes before it computes.
    """

    traced: Traced
    work: list[Work]
    seconds: list[float]
    machine: Machine
    starting: dict[str, float]


def start(compute: Compute, threads: int) -> None:
    """Prepares this process, which has just begun, to price."""
    _STARTED[EVALUATE] = _STARTED[SAMPLE] = time.process_time()
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter]).step()  # loads what only a training needs
    _STARTED[TRAIN] = time.process_time()
    torch.set_num_threads(threads)
    if device_of(compute).type == "cpu":
        memory.keep_freed()


def device_of(compute: Compute) -> torch.device:
    """Where a stage computes; on a machine without a GPU the CPU, whatever the params want."""
    return torch.device("cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu")


def price(compute: Compute, job: Job) -> Priced:
    """All that a run takes, whatever is done of it."""
    device = device_of(compute)
    traced = _traced(job, compute, on_gpu=compute.device == "cuda" or device.type == "cuda")
    machine = _machine(device)
    parts = work(job.task, job.run, traced, job.heldout)
    seconds = [_seconds(job, part, machine, device) for part in parts]
    return Priced(traced, parts, seconds, machine, _STARTED)


def _traced(job: Job, compute: Compute, *, on_gpu: bool) -> Traced:
    """What `trace` counts, once for runs that differ in their data or for how long they are trained."""
    run = job.run
    precision = run.training.precision
    bfloat16 = precision == "bfloat16" or (precision == "auto" and on_gpu)
    training = run.training.model_copy(update={"steps": 1, "warmup_steps": 0})
    key = (run.network, run.shape, run.model, run.carry_over, training, bfloat16, job.task.devices)
    if key not in _TRACED:
        _TRACED[key] = trace(
            run, bfloat16=bfloat16, devices=job.task.devices, device="cpu" if compute.device == "cpu" else "cuda"
        )
    return _TRACED[key]


@cache
def _machine(device: torch.device) -> Machine:
    return this_machine(device, torch.bfloat16 if device.type == "cuda" else torch.float32)


def _seconds(job: Job, part: Work, machine: Machine, device: torch.device) -> float:
    by_count = part.flops / (machine.rate * UTILISATION)
    if by_count / part.calls > LONGEST:
        return by_count
    return part.calls * seconds_a_call(job.task, job.run, part, device)
