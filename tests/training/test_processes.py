"""However many processes share a batch, and in how many passes: the same training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mdm_prime.training.processes import ALONE, Processes, joined
from training.several import KINDS


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """History and weights by kind and number of processes."""
    folder = tmp_path_factory.mktemp("several")
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, here / "several.py", folder],
        env={"PYTHONPATH": f"{here.parent}:{here.parents[1] / 'src'}", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 3, 4])  # the batch has 8 examples: 3 processes have 2, 3 and 3 of them
def test_loss_curves_and_weights_are_those_of_one_process(found, kind, count):
    history, weights = found[f"{kind}{count}"]
    expected_history, expected = found[f"{kind}1"]
    assert [row[:2] for row in history] == [row[:2] for row in expected_history]
    for row, of_one in zip(history, expected_history, strict=True):
        assert row[2:] == pytest.approx(of_one[2:], rel=1e-6)
    for name, values in weights.items():
        # Muon's matrices go through bfloat16, where a last bit may turn over
        assert values == pytest.approx(expected[name], rel=1e-9, abs=1e-3 if kind == "muon" else 1e-12), name


def test_rows_are_shared_out():
    for count in (1, 2, 3, 8):
        shares = [Processes(rank, count).rows(8) for rank in range(count)]
        assert [row for rows in shares for row in rows] == list(range(8))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_sent():
    with joined(torch.device("cpu")) as processes:
        assert processes == ALONE
    module, value = torch.nn.Linear(1, 1), torch.ones(())
    assert processes.share(module) is module
    assert processes.sum(value) is value
    assert processes.any(True)
    assert not processes.any(False)
