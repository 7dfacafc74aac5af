"""However many processes share a batch, and in how many passes: the same training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mdm_prime.core.masking import stratified_times
from mdm_prime.errors import UserError
from mdm_prime.training.loop import at, step_noise
from mdm_prime.training.processes import ALONE, Processes, joined
from training.several import KINDS

HERE = Path(__file__).parent
ENVIRONMENT = {"PYTHONPATH": f"{HERE.parent}:{HERE.parents[1] / 'src'}", "GLOO_SOCKET_IFNAME": "lo"}


def start(*words):
    command = [sys.executable, HERE / "several.py", *words]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """History and weights by kind and number of processes, and by those that keep parts."""
    folder = tmp_path_factory.mktemp("several")
    for started in ([start(folder)], [start(folder, rank) for rank in "01"]):
        for process in started:
            _, told = process.communicate(timeout=300)
            assert process.returncode == 0, told
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 3, 4])  # the batch has 8 examples: 3 processes have 2, 3 and 3 of them
def test_loss_curves_and_weights_are_those_of_one_process(found, kind, count):
    history, weights, _ = found[f"{kind}{count}"]
    expected_history, expected, _ = found[f"{kind}1"]
    assert [row[:2] for row in history] == [row[:2] for row in expected_history]
    for row, of_one in zip(history, expected_history, strict=True):
        assert row[2:] == pytest.approx(of_one[2:], rel=1e-6)
    for name, values in weights.items():
        # Muon's matrices go through bfloat16, where a last bit may turn over
        assert values == pytest.approx(expected[name], rel=1e-9, abs=1e-3 if kind == "muon" else 1e-12), name


def test_processes_that_keep_parts_of_the_weights_train_the_same(found):
    """Over a stop, too; and what they have saved goes on in one process that keeps them whole."""
    history, weights, _ = found["adamw1"]
    for name, share in (("parts0", 0.5), ("parts1", 0.5), ("alone", 1.0)):
        rows, values, own = found[name]
        assert own == pytest.approx(share, abs=0.1)
        for row, expected in zip(rows, history, strict=True):
            assert row == pytest.approx(expected, rel=1e-6)
        for parameter, numbers in values.items():
            assert numbers == pytest.approx(weights[parameter], rel=1e-9, abs=1e-12), parameter


def test_rows_are_shared_out():
    for count in (1, 2, 3, 8):
        shares = [Processes(rank, count).rows(8) for rank in range(count)]
        assert sorted(row for rows in shares for row in rows) == list(range(8))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_processes_than_the_params_say_may_not_be_able_to_share():
    """With parts of the weights an unequal number of passes would wait for ever."""
    assert [*Processes(1, 2).rows(5)] == [1, 3]
    for processes, said in ((Processes(0, 2, shard=True), "divisible by 2"), (Processes(5, 6), "at least 6")):
        with pytest.raises(UserError, match=f"training.batch_size: is 5; should be {said}, as many as processes"):
            processes.rows(5)


def test_times_are_shared_evenly_in_every_step():
    """So is the work, which grows with the masked positions, and nobody waits for the one with most of them."""
    for step in range(1, 21):
        noise, _ = step_noise(0, step, 64, range(64), torch.device("cpu"))
        t = stratified_times(64, 0.001, noise.generator)
        for rank in range(8):
            own = at(Processes(rank, 8).rows(64), t)
            assert own.mean().item() == pytest.approx(t.mean().item(), abs=1 / 8 / 2 + 1 / 64)


def test_alone_nothing_is_sent():
    with joined(torch.device("cpu")) as processes:
        assert processes == ALONE
    module, value = torch.nn.Linear(1, 1), torch.ones(())
    assert processes.share(module) is module
    assert processes.sum(value) is value
    assert processes.any(True)
    assert not processes.any(False)
