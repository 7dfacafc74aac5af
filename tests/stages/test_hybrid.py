"""Models made of other variants' networks, from their training to what is reported of them."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from mdm_prime.evaluation import hybrids
from mdm_prime.stages.networks import load

L1, ARM, COAR, NCE = (f"known_entropy/{name}/seed0" for name in ("l1", "arm", "coar", "nce"))
SAMPLER = {"kind": "energy", "num_steps": 4, "candidates": 3}


@pytest.fixture
def parts(workplace):
    """Both parts, trained."""
    task = workplace.values["tasks"]["known_entropy"]
    task |= {"models": ["l1", "arm", "coar", "nce"], "samplers": [{"kind": "ancestral", "num_steps": 4}]}
    task["variants"] = {
        "arm": {"model": "autoregressive"},
        "coar": {"model": {"kind": "energy_ar", "denoiser": "l1", "autoregressive": "arm"}, "samplers": [SAMPLER]},
        "nce": {"model": {"kind": "energy", "denoiser": "l1"}, "samplers": [SAMPLER]},
    }
    task["evaluation"]["exact"] = None
    for verb in (("data", "known_entropy"), ("train", L1), ("train", ARM)):
        assert workplace.run(*verb) == 0
    return workplace


def weights(workplace, run):
    return load_file(workplace.file(run, "weights.safetensors"))


def read(workplace, folder, run):
    return json.loads((workplace.root / run.replace("/", f"/{folder}/", 1)).with_suffix(".json").read_text())


def starts_from_the_denoiser(parts):
    """Its transformer, before training; and its energy is 0."""
    workspace = parts.workspace
    run = workspace.config.run(NCE)
    network, denoiser = run.build(), load(workspace, workspace.config.run(L1), torch.device("cpu")).network
    network.denoiser.load_state_dict(denoiser.state_dict())
    network.start_from_parts()
    same = [
        name for name, value in denoiser.named_parameters()
        if name in dict(network.trunk.named_parameters())
        and torch.equal(dict(network.trunk.named_parameters())[name], value)
    ]  # fmt: skip
    assert "blocks.0.attn_qkv.weight" in same
    assert torch.equal(network.trunk.embedding.tokens.embedding.weight, denoiser.embedding.embedding.weight)
    x, y = torch.zeros(3, 2, dtype=torch.long), torch.full((3, 2, 1), 5)
    assert network.energy(x, y, torch.ones(3)).tolist() == [0.0] * 3


def test_coar_is_its_two_parts_and_reports_its_autoregressive_model(parts, capsys, monkeypatch):
    estimates, draws = [], hybrids.weighted_draws
    monkeypatch.setattr(hybrids, "weighted_draws", lambda *a, **k: estimates.append(1) or draws(*a, **k))
    assert parts.run("train", COAR) == 0
    assert parts.run("hybrid", COAR) == 2
    assert parts.hint("evaluate", COAR) in capsys.readouterr().err
    for verb in ("evaluate", "hybrid", "sample"):
        assert parts.run(verb, COAR) == 0
    assert len(estimates) == 1  # of both stages
    assert parts.run("evaluate", ARM) == 0
    own = weights(parts, COAR)
    for key, run in {"denoiser": L1, "autoregressive": ARM}.items():
        for name, value in weights(parts, run).items():
            torch.testing.assert_close(own.pop(f"{key}.{name}"), value, rtol=0, atol=0)
    assert not own
    assert not parts.file(COAR, "history.csv").exists()
    assert json.loads(parts.file(COAR, "run.json").read_text())["steps"] == 0

    arm, coar = (json.loads(parts.file(run, "likelihood.json").read_text()) for run in (ARM, COAR))
    assert coar["nelbo"] == coar["exact"]["left_to_right"]["nll"] == pytest.approx(arm["nelbo"])
    assert abs(coar["joint_loss"] - arm["nelbo"]) < 4 * coar["joint_loss_stderr"]
    found = read(parts, "hybrids", COAR)
    assert abs(found["difference"]["nats"]) < 4 * found["difference"]["stderr"]
    assert found["num_samples"] == 1000
    assert found["published"] == {"nats": coar["joint_loss"], "stderr": coar["joint_loss_stderr"]}
    assert found["autoregressive"]["nats"] == pytest.approx(coar["nelbo"])  # each sequence was drawn twice
    assert found["denoiser"]["nats"] > found["autoregressive"]["nats"]
    known = found["enumeration"]
    assert known["published"] == pytest.approx(known["one_step"], abs=1e-5)  # exactly the autoregressive model's
    assert known["greatest_log_partition"] == pytest.approx(0, abs=1e-5)
    drawn = json.loads(parts.file(COAR, "samples.json").read_text())["samplers"][0]
    assert drawn["name"] == "energy-4-of-3"
    assert drawn["idle_steps_mean"] is None
    assert 4 < drawn["nfe_mean"] <= 8  # at most two steps reveal something, of 1 + 3 evaluations
    is_refused(parts, capsys)


def is_refused(parts, capsys):
    """A run without energy, and parts that were made with other params."""
    capsys.readouterr()
    assert parts.run("hybrid", L1) == 2
    assert f"{L1}: is of model masked; should be of one with an energy" in capsys.readouterr().err
    parts.file(COAR, "weights.safetensors").unlink()
    parts.set("known_entropy", "training", steps=21)
    assert parts.run("train", COAR) == 2
    assert "networks/l1/seed0/weights.safetensors: made with other parameters" in capsys.readouterr().err
    assert not parts.file(COAR, "weights.safetensors").exists()


def test_the_energy_learns_and_its_denoiser_does_not(parts):
    parts.set("known_entropy", "training", steps=60, learning_rate=0.01)
    for verb in (("train", L1), ("train", NCE), ("evaluate", NCE), ("hybrid", NCE)):
        assert parts.run(*verb) == 0
    own = weights(parts, NCE)
    for name, value in weights(parts, L1).items():
        torch.testing.assert_close(own[f"denoiser.{name}"], value, rtol=0, atol=0)
    assert float(own["score.2.weight"].abs().max()) > 0
    rows = parts.file(NCE, "history.csv").read_text().splitlines()
    first, last = (float(rows[at].split(",")[2]) for at in (1, -1))
    assert last < first
    found = read(parts, "hybrids", NCE)
    assert found["autoregressive"] is found["difference"] is None
    assert found["parts"] == {"denoiser": "l1"}
    known = found["enumeration"]
    assert known["published"] < known["published_exact_partition"]  # one candidate: log Z too low
    alone, *others = (chain for chain in known["chains"] if chain["num_steps"] == 1)
    assert alone["candidates"] == 0
    assert all(chain["nats"] < alone["nats"] for chain in others)  # the sign of the resampling
    assert known["one_step"] == pytest.approx(others[-1]["nats"])
    starts_from_the_denoiser(parts)
    likelihood = json.loads(parts.file(NCE, "likelihood.json").read_text())
    assert abs(likelihood["nelbo"] - known["one_step"]) < 4 * likelihood["nelbo_stderr"]
