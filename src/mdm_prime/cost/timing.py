"""How long the stages of a run take on this machine: a moment of each, really computed, on random tokens.

A small network spends its time on calls and not on arithmetic, so that no number of operations tells its time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mdm_prime.cost.machines import wait
from mdm_prime.cost.work import EVALUATE, TRAIN, Work
from mdm_prime.data.arrays import token_dtype
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.tasks import Task
from mdm_prime.stages.evaluate import measurements
from mdm_prime.stages.networks import untrained
from mdm_prime.stages.sample import draw
from mdm_prime.stages.train import loss_of, preparation_of
from mdm_prime.training import loop

WITHIN = {TRAIN: 1.0}  # seconds of a measurement, once it is warm
WITHIN_OTHERS = 0.3
WARM, FEWEST = 2, 3  # calls that are not counted, and that are at least


class _EnoughError(Exception):
    """The time is up."""


def seconds_a_call(task: Task, run: Run, work: Work, device: torch.device) -> float:
    """Mean time of a call of the network in this work, and of all that is done beside it."""
    torch.manual_seed(0)
    within = WITHIN.get(work.stage, WITHIN_OTHERS)
    if work.stage == TRAIN:
        network = run.network.build(run.shape).to(device)
        with tempfile.TemporaryDirectory() as folder:
            return _timed(network, lambda: _train(run, network, Path(folder), device), device, within)
    loaded = untrained(run, device)
    if work.stage == EVALUATE:
        tokens = _random_tokens(run, run.vocab_size, run.length, task.evaluation.batch_size)
        plan = measurements(run, loaded, task.evaluation, tokens, device)
        return _timed(loaded.network, lambda: plan[work.name].measured(), device, within)
    sampler, settings = task.samplers_of(run.variant)[int(work.name)], task.sampling
    indices = range(min(settings.batch_size, settings.num_samples))
    prefix = torch.zeros(0, dtype=torch.long, device=device)
    return _timed(
        loaded.network,
        lambda: draw(loaded, run, sampler, indices, settings.batch_size, settings.seed, prefix),
        device,
        within,
    )


def _train(run: Run, network: nn.Module, folder: Path, device: torch.device) -> None:
    loop.train(
        network,
        _random_tokens(run, run.data.vocab_size, run.data.length, run.training.batch_size),
        loss_of(run),
        run.training.model_copy(update={"compile": False}),
        seed=0,
        digest="",
        state_file=folder / "state.safetensors",
        device=device,
        blocks_at=run.network.blocks_at,
        prepare=preparation_of(run),
    )


def _random_tokens(run: Run, vocab_size: int, length: int, batch_size: int) -> NDArray[np.unsignedinteger]:
    rng = np.random.default_rng(0)
    return rng.integers(vocab_size, size=(4 * batch_size, length)).astype(token_dtype(vocab_size))


def _timed(network: nn.Module, action: Callable[[], object], device: torch.device, within: float) -> float:
    """Mean seconds from one call of the network to the next while `action` runs, for `within` seconds at most."""
    times = list[float]()

    def note(*unused: object) -> None:
        wait(device)
        times.append(time.perf_counter())
        if len(times) > WARM + FEWEST and times[-1] - times[WARM] > within:
            raise _EnoughError

    network.register_forward_pre_hook(note)
    with suppress(_EnoughError):
        action()
        wait(device)
        times.append(time.perf_counter())
    first = min(WARM, len(times) - 2)
    return (times[-1] - times[first]) / (len(times) - 1 - first)
