"""What is counted without numbers, against known counts, torch's own counter and the memory of real processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mdm_prime.core import visible_digits
from mdm_prime.core.keyed import set_keys
from mdm_prime.core.masking import stratified_times
from mdm_prime.core.noise import BatchNoise
from mdm_prime.cost import tracing
from mdm_prime.cost.tracing import asked, trace
from mdm_prime.experiment import config
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.model_kinds import ModelSection
from mdm_prime.models.genmd4.model import GenMD4Model
from mdm_prime.models.masked.model import MaskedModel
from mdm_prime.models.partition.model import PartitionModel
from mdm_prime.networks.partition import PartitionNetwork
from mdm_prime.stages.train import loss_of
from project_copy import PROJECT


def run_of(scale: str, name: str, **training: object) -> Run:
    run = config.load(PROJECT / f"params/{scale}.yaml").run(name)
    return run.model_copy(update={"training": run.training.model_copy(update=training)})


def test_parameters_of_the_papers_network_for_images() -> None:
    assert trace(run_of("paper", "cifar10/l1/seed0", micro_batch_size=1), bfloat16=True).parameters == 113_989_536


def test_the_papers_text_network_without_embeddings_has_92_million_parameters() -> None:
    run = run_of("paper", "text/l4/seed0", micro_batch_size=1)
    found = trace(run, bfloat16=True)
    vocabulary = run.data.vocab_size * 769  # the head, with its bias
    embedding = (run.shape.base + 1) * 768 // 4
    assert round(found.parameters / 1e6) == 131
    assert round((found.parameters - vocabulary - embedding) / 1e6) == 92


@pytest.mark.parametrize(
    "name",
    ["text/l1/seed0", "text/l4/seed0", "text/l2-plain/seed0", "text/arm/seed0", "toy/l2/seed0", "digits/mixture/seed0"],
)
def test_operations_are_those_that_torch_counts_in_real_steps(name: str) -> None:
    run = run_of("default", name)
    assert trace(run, bfloat16=False).training == pytest.approx(counted(run), rel=0.02)


@pytest.mark.parametrize("objective", ["joint_loss", "complement"])
def test_positions_that_show_a_digit_are_counted_with_the_tokens_that_have_it(
    objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("default", "text/l4/seed0", objective=objective)
    run = run.model_copy(update={"data": run.data.model_copy(update={"vocab_size": 4096})})
    monkeypatch.setattr(visible_digits, "WORTH", {"cpu": 2**40})
    whole = trace(run, bfloat16=False).training
    monkeypatch.setattr(visible_digits, "WORTH", {"cpu": 2**12})
    found = trace(run, bfloat16=False).training
    assert found == pytest.approx(counted(run), rel=0.03)
    assert found < 0.6 * whole


@pytest.mark.parametrize("partitioned", [False, True])
def test_both_halves_of_a_mask_are_counted(partitioned: bool) -> None:
    run = run_of("default", "text/l1/seed0", objective="complement")
    if partitioned:
        sizes = {"width": 72, "encoder_blocks": 1, "decoder_blocks": 1, "heads": 3, "conditioning_width": 32}
        network = PartitionNetwork(kind="partition", dropout=0.0, **sizes)
        run = run.model_copy(update={"network": network, "model": PartitionModel(kind="partition")})
    assert trace(run, bfloat16=False).training == pytest.approx(counted(run), rel=0.02)


def counted(run: Run) -> float:
    """Operations of a sequence in a step."""
    torch.manual_seed(0)
    network, size = run.network.build(run.shape), run.training.batch_size
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(run.vocab_size, (size, run.length), generator=generator)
    with FlopCounterMode(display=False) as counter:
        for _ in range(4):
            set_keys(network, torch.arange(size))
            t = stratified_times(size, run.training.t_min, generator)
            loss_of(run)(network, x, t, BatchNoise(generator, size)).sum().backward()
    return counter.get_total_flops() / 4 / size


@pytest.mark.parametrize("model", [MaskedModel(kind="masked", masks=2), GenMD4Model(kind="genmd4")])
def test_a_step_of_two_masks_takes_two_passes(model: ModelSection) -> None:
    run = run_of("default", "text/l1/seed0", objective="nelbo")
    one, two = trace(run, bfloat16=False), trace(run.model_copy(update={"model": model}), bfloat16=False)
    assert two.training == pytest.approx(2 * one.training, rel=0.02)


def test_logits_are_asked_for_where_a_sub_token_is_masked() -> None:
    """With t even in (t_min, 1] and masks of probability t a position has one with probability 1 - (1 - t)^ell."""
    assert asked(run_of("default", "text/l1/seed0"), 16, "cpu") == pytest.approx(0.6)  # t_min is 0.2
    assert asked(run_of("default", "text/l4/seed0"), 16, "cpu") == pytest.approx(1 - 0.8**4 / 5, rel=1e-5)
    assert asked(run_of("default", "text/l2-plain/seed0"), 16, "cpu") == 1
    assert asked(run_of("default", "text/arm/seed0"), 16, "cpu") == 1
    assert asked(run_of("default", "text/l1/seed0", objective="complement"), 16, "cpu") == pytest.approx(1.0)


def test_weights_are_counted_once() -> None:
    """Twenty bytes a parameter in training, where there is little beside them."""
    run = run_of("default", "text/l1/seed0", batch_size=1, micro_batch_size=1)
    wide = {"width": 768, "heads": 12}
    run = run.model_copy(update={"network": run.network.model_copy(update=wide)})
    found = trace(run, bfloat16=False)
    assert found.memory == pytest.approx(20 * found.parameters, rel=0.1)


@pytest.mark.parametrize(("size", "times"), [(2, 3), (8, 4)])
@pytest.mark.parametrize("objective", ["joint_loss", "nelbo"])
def test_logits_of_a_chunk_are_counted_again_for_the_gradient(objective: str, size: int, times: int) -> None:
    run = run_of("paper", "text/l4/seed0", objective=objective, batch_size=size, micro_batch_size=size)
    small = {"width": 64, "heads": 4, "blocks": 1}
    run = run.model_copy(update={"network": run.network.model_copy(update=small)})
    found, share = trace(run, bfloat16=False), asked(run, size, "cpu")
    assert 0.2 < share < 0.4
    logits = share * run.length * 2 * 64 * run.vocab_size
    assert found.training == pytest.approx(3 * found.body + times * logits, rel=0.04)


def test_memory_grows_evenly_where_the_loss_is_in_chunks() -> None:
    """What is told of many sequences from few is what is counted of the many."""
    small = {"width": 32, "blocks": 1, "heads": 2}
    run = run_of("gpu", "text/l2/seed0", batch_size=64, micro_batch_size=64)
    run = run.model_copy(update={"network": run.network.model_copy(update=small)})
    told = trace(run, bfloat16=True)
    with FakeTensorMode():
        counted = tracing._pass(run.network.build(run.shape), run, 64, bfloat16=True, kept=False)
    assert told.memory - 16 * told.parameters == pytest.approx(counted.peak, rel=0.01)


STEPS = """
import re, sys, torch
from pathlib import Path
from mdm_prime.cost.timing import seconds_a_step
from mdm_prime.experiment import config

torch.set_num_threads(1)
params, name, size = sys.argv[1:]
run = config.load(params).run(name)
training = {"batch_size": 2 * int(size), "micro_batch_size": int(size)}

def steps(run):
    seconds_a_step(run, run.network.build(run.shape), torch.device("cpu"), 0, run.network.blocks_at)

def memory(key):  # VmHWM is the most; getrusage would begin with that of the process that started this one
    return 1024 * int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

def changed(**values):
    return run.model_copy(update={"training": run.training.model_copy(update=values)})

steps(changed(batch_size=2, micro_batch_size=1))  # what is loaded for the first time is not the step's
before = memory("VmRSS")
steps(changed(**training))
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory a process has")
@pytest.mark.parametrize(("name", "size"), [("text/l4/seed0", 200), ("photos/l2/seed0", 200)])
def test_memory_is_what_real_steps_take(name: str, size: int) -> None:
    """Some 200 MB, on one thread; the C library gives back what is freed, which it keeps by default."""
    command = [sys.executable, "-c", STEPS, str(PROJECT / "params/default.yaml"), name, str(size)]
    settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    told = trace(run_of("default", name, batch_size=2 * size, micro_batch_size=size), bfloat16=False).memory
    assert told == pytest.approx(int(done.stdout), rel=0.08)
