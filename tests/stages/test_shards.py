"""Finished parts outlive a kill and are used by the same computation only."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.evaluation import exact, likelihood
from mdm_prime.stages import sample as stage
from mdm_prime.stages import shards as shards_module
from mdm_prime.stages.shards import ranges, remove_unused, resume, weights_hash
from mdm_prime.training import checkpoint

RUN = "known_entropy/l2/seed0"


def test_finished_parts_are_kept(tmp_path):
    shards = resume(tmp_path / "parts", {"seed": 0}, 3)
    assert list(shards.missing()) == [0, 1, 2]
    shards.save(2, x=np.array([5, 6]))
    shards.save(0, x=np.array([1]))
    del shards
    again = resume(tmp_path / "parts", {"seed": 0}, 3)
    assert list(again.missing()) == [1]
    again.save(1, x=np.array([2, 3, 4]))
    assert again.joined()["x"].tolist() == [1, 2, 3, 4, 5, 6]
    again.remove()
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize(("identity", "count"), [({"seed": 1}, 3), ({"seed": 0}, 2)])
def test_parts_of_something_else_are_removed(tmp_path, identity, count):
    resume(tmp_path / "parts", {"seed": 0}, 3).save(0, x=np.zeros(1))
    assert list(resume(tmp_path / "parts", identity, count).missing()) == list(range(count))


def test_processes_share_the_parts_of_one_computation(tmp_path, monkeypatch):
    """Each takes what no other has; what a process that died had taken is taken by those that go on."""
    monkeypatch.setattr(shards_module, "POLL", 0.0)
    first, second = (resume(tmp_path / "parts", {"seed": 0}, 4) for _ in range(2))
    ours, theirs = first.claimed(), second.claimed()
    assert (next(ours), next(theirs)) == (0, 1)
    first.save(0, x=np.zeros(1))
    assert next(ours) == 2
    first.save(2, x=np.zeros(1))
    theirs.close()
    for index in ours:
        first.save(index, x=np.zeros(1))
    assert list(second.claimed()) == []
    assert second.joined()["x"].tolist() == [0.0] * 4
    first.remove()
    assert second.joined()["x"].tolist() == [0.0] * 4, "the last one removes them"
    second.remove()
    assert not (tmp_path / "parts").exists()


def test_parts_in_use_are_not_removed_by_another_computation(tmp_path):
    first = resume(tmp_path / "parts", {"seed": 0}, 1)
    with pytest.raises(UserError, match="another process computes this with other parameters"):
        resume(tmp_path / "parts", {"seed": 1}, 1)
    del first
    assert list(resume(tmp_path / "parts", {"seed": 1}, 1).missing()) == [0]


def test_parts_of_samplers_that_are_gone_are_removed_but_not_those_in_use(tmp_path):
    """A run was killed, and its params have fewer samplers now."""
    killed, used = (resume(tmp_path / "parts" / name, {"seed": 0}, 1) for name in "01")
    killed.save(0, x=np.zeros(1))
    del killed
    remove_unused(tmp_path / "parts")
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["1"]
    assert list(used.missing()) == [0]
    del used
    remove_unused(tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_a_damaged_part_is_one_line_and_made_again(tmp_path):
    shards = resume(tmp_path / "parts", {}, 1)
    (tmp_path / "parts" / "0.npz").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"0\.npz: was damaged") as error:
        shards.joined()
    assert "\n" not in str(error.value)
    assert list(shards.missing()) == [0]


def test_ranges_cover_everything_once():
    assert ranges(10, 4) == [range(4), range(4, 8), range(8, 10)]
    assert ranges(10, None) == [range(10)]


def test_the_hash_of_weights_knows_values_and_names():
    torch.manual_seed(0)
    network = nn.Linear(2, 2)
    before = weights_hash(network)
    assert before == weights_hash(network)
    with torch.no_grad():
        network.bias[1] += 1e-6
    assert before != weights_hash(network)


def train(workplace):
    workplace.set("known_entropy", "sampling", num_samples=70, batch_size=10)
    workplace.values["tasks"]["known_entropy"]["samplers"] = [
        {"kind": "ancestral", "num_steps": 4},
        {"kind": "euler", "num_steps": 2},
    ]
    assert workplace.run("data", "known_entropy") == 0
    assert workplace.run("train", RUN) == 0


@pytest.fixture
def trained(workplace, once):
    return once(workplace, train)


def samples(workplace):
    return [workplace.file(RUN, name).read_bytes() for name in ("samples.npy", "samples.json")]


def test_neither_shards_nor_kills_change_a_bit(trained, monkeypatch):
    assert trained.run("sample", RUN) == 0
    whole = samples(trained)
    drawn = []

    def killed_after_six(network, run, sampler, indices, *rest, original=stage.draw):
        if len(drawn) == 6:
            raise KeyboardInterrupt
        drawn.append((sampler.kind, indices))
        return original(network, run, sampler, indices, *rest)

    monkeypatch.setattr(stage, "draw", killed_after_six)
    trained.set("known_entropy", "sampling", shard_size=20)
    for name in ("samples.npy", "samples.json"):
        trained.file(RUN, name).unlink()
    assert trained.run("sample", RUN) != 0
    kept = trained.file(RUN, "samples.npy").parent.parent / ".seed0-shards"
    assert kept.is_dir()
    first, drawn[:] = list(drawn), []
    assert trained.run("sample", RUN) == 0
    assert [kind for kind, _ in first] == ["ancestral"] * 4 + ["euler"] * 2
    assert drawn == [("euler", range(40, 60)), ("euler", range(60, 70))]
    assert samples(trained) == whole
    assert not kept.exists()


def test_two_processes_draw_the_same_as_one(trained):
    assert trained.run("sample", RUN) == 0
    whole = samples(trained)
    trained.set("known_entropy", "sampling", shard_size=10)
    for name in ("samples.npy", "samples.json"):
        trained.file(RUN, name).unlink()
    command = [sys.executable, "-m", "mdm_prime.cli.main", *trained.arguments("sample", RUN)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert samples(trained) == whole
    assert not list(trained.file(RUN, "samples.npy").parent.parent.glob(".*"))


def likelihoods(workplace):
    return workplace.file(RUN, "likelihood.json").read_bytes()


def counted_losses(monkeypatch, last=None):
    """The sizes of the batches that are evaluated; a Ctrl-C comes in place of the one after `last`."""
    seen = []

    def losses(denoiser, x, *rest, original=likelihood.sequence_losses, **options):
        if len(seen) == last:
            raise KeyboardInterrupt
        seen.append(len(x))
        return original(denoiser, x, *rest, **options)

    monkeypatch.setattr(likelihood, "sequence_losses", losses)
    return seen


@pytest.fixture
def half_evaluated(trained, monkeypatch):
    """Three of five parts are finished; and what the whole evaluation gave before."""
    values = {"orders": ["random"], "num_sequences": 30, "batch_size": 10}
    trained.set("known_entropy", "evaluation", num_samples=90, batch_size=10, exact=values)
    assert trained.run("evaluate", RUN) == 0
    whole = likelihoods(trained)
    trained.set("known_entropy", "evaluation", shard_size=20)
    trained.file(RUN, "likelihood.json").unlink()
    with monkeypatch.context() as patch:
        assert counted_losses(patch, last=7) == []
        assert trained.run("evaluate", RUN) == 130
    assert not trained.file(RUN, "likelihood.json").exists()
    return trained, whole


def test_neither_shards_nor_kills_change_a_bit_of_a_likelihood(half_evaluated, monkeypatch):
    workplace, whole = half_evaluated
    folder = workplace.file(RUN, "likelihood.json").parent / ".seed0-shards"
    assert sorted(path.name for path in (folder / "bound").glob("*.npz")) == ["0.npz", "1.npz", "2.npz"]
    seen = counted_losses(monkeypatch)
    assert workplace.run("evaluate", RUN) == 0
    assert seen == [10] * (3 + 9)  # what was left of the bound, and the one of whole tokens
    assert likelihoods(workplace) == whole
    assert not folder.exists()


def test_a_kill_among_exact_values_leaves_what_is_finished(half_evaluated, monkeypatch):
    workplace, whole = half_evaluated
    seen = []

    def log_probs(denoiser, x, *rest, original=exact.sequence_log_prob, **options):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(x))
        return original(denoiser, x, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(exact, "sequence_log_prob", log_probs)
        assert workplace.run("evaluate", RUN) == 130
    seen[:] = [0]
    losses = counted_losses(monkeypatch)
    monkeypatch.setattr(exact, "sequence_log_prob", log_probs)
    assert workplace.run("evaluate", RUN) == 0
    assert (losses, seen) == ([], [0, 10])
    assert likelihoods(workplace) == whole


@pytest.mark.parametrize("other", ["weights", "seed", "shard_size", "data"])
def test_parts_of_another_likelihood_are_not_used(half_evaluated, monkeypatch, other):
    workplace, whole = half_evaluated
    if other == "weights":
        path = workplace.file(RUN, "weights.safetensors")
        weights, metadata = checkpoint.load(path)
        checkpoint.save(path, {name: value + 0.01 for name, value in weights.items()}, metadata)
    elif other == "data":
        other_data(workplace)
    else:
        workplace.set("known_entropy", "evaluation", **{other: {"seed": 1, "shard_size": 30}[other]})
    shutil.rmtree(workplace.root / "made")  # or other weights would be no more than damaged ones
    seen = counted_losses(monkeypatch)
    assert workplace.run("evaluate", RUN) == 0
    assert seen == [10] * (9 + 9)
    assert (likelihoods(workplace) == whole) == (other == "shard_size")


def other_data(workplace):
    """The same run of other held-out sequences, with the same weights, as a checkpoint imported again has them."""
    folder = workplace.root / "known_entropy/data"
    np.save(folder / "heldout.npy", np.load(folder / "heldout.npy")[::-1])
    meta = files.read_json(folder / "meta.json")
    files.write_json(folder / "meta.json", meta | {"sha256": "0" * 64})
    described_file, weights_file = workplace.file(RUN, "run.json"), workplace.file(RUN, "weights.safetensors")
    digest = f"{workplace.workspace.config.run(RUN).digest} {'0' * 64}"
    files.write_json(described_file, files.read_json(described_file) | {"digest": digest})
    weights, metadata = checkpoint.load(weights_file)
    checkpoint.save(weights_file, weights, metadata | {"digest": digest})


def test_parts_are_left_to_nobody_when_shards_are_given_up(half_evaluated):
    workplace, whole = half_evaluated
    workplace.set("known_entropy", "evaluation", shard_size=None)
    assert workplace.run("evaluate", RUN) == 0
    assert likelihoods(workplace) == whole
    assert not list(workplace.file(RUN, "likelihood.json").parent.glob(".*"))


def test_other_weights_draw_everything_again(trained, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage.np, "stack", killed)  # everything is drawn, nothing written
        assert trained.run("sample", RUN) != 0
    drawn = []

    def counted(network, run, sampler, *rest, original=stage.draw):
        drawn.append(sampler.kind)
        return original(network, run, sampler, *rest)

    monkeypatch.setattr(stage, "draw", counted)
    trained.set("known_entropy", "training", learning_rate=0.05)
    assert trained.run("train", RUN) == 0
    assert trained.run("sample", RUN) == 0
    assert drawn == ["ancestral", "euler"]


@pytest.mark.parametrize("section", ["sampling", "evaluation"])
def test_shards_hold_whole_batches(trained, capsys, section):
    trained.set("known_entropy", section, shard_size=15, batch_size=10)
    assert trained.run("sample", RUN) == 2
    assert f"{section}.shard_size: is 15; should be a multiple of batch_size 10" in capsys.readouterr().err
