import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mdm_prime import files
from mdm_prime.training import checkpoint
from mdm_prime.training.loop import Progress

RUN = "known_entropy/l2/seed0"
SOURCE = Path(checkpoint.__file__).parents[2]

WITHOUT_THE_PIPELINE = """
import sys
BLOCKED = {"datasets", "dvc", "matplotlib", "mlflow", "pandas", "scipy", "sklearn", "snakemake", "tabulate",
           "tokenizers", "torch_fidelity", "torchvision"}
sys.modules.update(dict.fromkeys(BLOCKED))  # as if they were not installed
from mdm_prime.cli import main as cli
arguments = sys.argv[1:]
for verb in ("train", "evaluate", "sample"):
    status = cli.main([*arguments, verb, "known_entropy/l2/seed0"])
    if status:
        sys.exit(status)
"""


def prepare(workplace):
    """Data, and a short training to come."""
    workplace.set("known_entropy", "network", dropout=0.1)
    workplace.set("known_entropy", "training", steps=60, checkpoint_every=7, log_every=10)
    assert workplace.run("data", "known_entropy") == 0


@pytest.fixture
def prepared(workplace, once):
    return once(workplace, prepare)


INTERRUPTED = """
import os, signal, sys
from mdm_prime.cli import main as cli
from mdm_prime.training import checkpoint
step, name, save = int(sys.argv[1]), sys.argv[2], checkpoint.save
def save_and_end(path, tensors, metadata):
    save(path, tensors, metadata)
    if metadata.get("step") == step:
        os.kill(os.getpid(), signal.Signals[name])
checkpoint.save = save_and_end
sys.exit(cli.main(sys.argv[3:]))
"""


def interrupted(workplace, step, name):
    """A training that gets a signal as soon as the state of a step is saved."""
    command = [sys.executable, "-c", INTERRUPTED, str(step), name, *workplace.arguments("train", RUN)]
    return subprocess.run(command, capture_output=True, text=True)


def outputs(workplace):
    made = {path.name: path.read_bytes() for path in workplace.file(RUN, "run.json").parent.iterdir()}
    return made | {"history.csv": workplace.file(RUN, "history.csv").read_bytes()}


@pytest.fixture
def uninterrupted(prepared, tmp_path):
    assert prepared.run("train", RUN) == 0
    found = outputs(prepared)
    for name in found:
        prepared.file(RUN, name).unlink()
    assert set(found) == {"weights.safetensors", "run.json", "history.csv"}
    return found


def test_killed_or_stopped_training_ends_with_the_bytes_of_an_uninterrupted_one(prepared, uninterrupted):
    state = prepared.file(RUN, "state.safetensors")
    assert interrupted(prepared, 14, "SIGKILL").returncode == -signal.SIGKILL
    assert checkpoint.load(state)[1]["step"] == 14

    done = interrupted(prepared, 28, "SIGTERM")
    assert done.returncode == 143, done.stderr
    assert checkpoint.load(state)[1]["step"] == 29  # the step that the signal came in is the last
    assert done.stderr.strip().splitlines()[-1] == ("mdm-prime: stopped after step 29 of 60; the same command goes on")
    assert "Traceback" not in done.stderr
    assert not prepared.file(RUN, "weights.safetensors").exists()

    # and the same command goes on
    assert prepared.run("train", RUN) == 0
    found = {name: value for name, value in outputs(prepared).items() if not name.startswith(".")}
    assert found == uninterrupted


def test_outputs(prepared):
    prepared.set("known_entropy", "training", steps=25)
    assert prepared.run("train", RUN) == 0
    folder = prepared.file(RUN, "run.json").parent
    described = files.read_json(folder / "run.json")
    weights, metadata = checkpoint.load(folder / "weights.safetensors")
    assert described["weights_sha256"] == files.sha256_of(folder / "weights.safetensors")
    assert described["data_sha256"] == files.read_json(prepared.root / "known_entropy/data/meta.json")["sha256"]
    assert described["parameters"] == sum(value.numel() for value in weights.values())
    assert (described["base"], described["num_subtokens"], described["objective"]) == (3, 2, "joint_loss")
    assert described["train_tokens"] == 25 * 32 * 2
    assert metadata["digest"] == described["digest"]
    with prepared.file(RUN, "history.csv").open() as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == Progress._fields
    assert [int(row[0]) for row in rows[1:]] == [10, 20, 25]
    assert all(value.isfinite().all() for value in weights.values())


def test_state_of_other_parameters_is_not_used(prepared):
    prepared.set("known_entropy", "training", steps=30)
    assert prepared.run("train", RUN) == 0
    expected = outputs(prepared)
    prepared.set("known_entropy", "training", steps=20)
    state = prepared.file(RUN, "state.safetensors")
    prepared.file(RUN, "weights.safetensors").unlink()
    checkpoint.save(state, {"x": torch.zeros(1)}, {"digest": "of other parameters", "step": 29})
    prepared.set("known_entropy", "training", steps=30)
    assert prepared.run("train", RUN) == 0
    assert outputs(prepared) == expected


def test_a_loss_that_is_not_finite_is_one_line_and_keeps_the_state(prepared, capsys):
    prepared.set(
        "known_entropy", "training", learning_rate=1e30, warmup_steps=0, checkpoint_every=1, steps=10, decay="constant"
    )
    assert prepared.run("train", RUN) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mdm-prime:")]
    state = prepared.file(RUN, "state.safetensors")
    assert len(error) == 1
    assert "not finite" in error[0]
    assert str(state) in error[0]
    tensors, metadata = checkpoint.load(state)
    assert metadata["step"] >= 1
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert not prepared.file(RUN, "weights.safetensors").exists()


@pytest.mark.parametrize("content", [b"garbage" * 100, b""])
def test_a_damaged_state_is_one_line(prepared, capsys, content):
    files.write_text(prepared.file(RUN, "state.safetensors"), "")
    prepared.file(RUN, "state.safetensors").write_bytes(content)
    assert prepared.run("train", RUN) == 2
    assert "state.safetensors: not a checkpoint" in capsys.readouterr().err


def test_a_network_larger_than_the_memory_is_refused_before_any_of_it_is_there(prepared, capsys):
    """65,536 wide, 1,024 blocks: 12 width^2 parameters each, but for the adaptive norms; 20 bytes each in training."""
    prepared.set("known_entropy", "network", width=2**16, blocks=2**10, heads=2**10)
    assert prepared.run("train", RUN) == 2
    message = capsys.readouterr().err
    assert f"tasks.known_entropy.network: {RUN} has 5" in message
    assert "GiB; the device cpu has" in message
    assert message.count("\n") == 1


def test_without_data_the_message_says_how_to_make_it(workplace, capsys):
    assert workplace.run("train", RUN) == 2
    assert capsys.readouterr().err.strip().endswith(f"make it with: {workplace.hint('data', 'known_entropy')}")


@pytest.mark.parametrize("change", [{"length": 3}, {"vocab_size": 6}])
def test_data_of_other_parameters_is_not_used(prepared, capsys, change):
    prepared.set("known_entropy", "data", **change)
    assert prepared.run("train", RUN) == 2
    error = capsys.readouterr().err.strip()
    assert "wanted" in error
    assert error.endswith(f"make it with: {prepared.hint('data', 'known_entropy')}")
    assert "\n" not in error


def test_training_needs_none_of_the_pipeline_libraries(prepared):
    prepared.set("known_entropy", "training", steps=5)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PIPELINE, *prepared.arguments()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    made = ("weights.safetensors", "likelihood.json", "samples.npy")
    assert all(prepared.file(RUN, name).is_file() for name in made)
