import json
import math
import shutil

import numpy as np
import pytest
import torch

from mdm_prime.core.objectives import autoregressive_loss
from mdm_prime.core.orders import ORDERS
from mdm_prime.evaluation.exact import exact_likelihood
from mdm_prime.stages.networks import load

MASKED = "known_entropy/l2/seed0"
WORDS = ("the", "mask", "token", "reveals", "a", "digit", "of", "every", "sequence", "when", "time", "runs", "back")


def train(workplace):
    workplace.set("known_entropy", "training", steps=20)
    assert workplace.run("data", "known_entropy") == 0
    assert workplace.run("train", MASKED) == 0


@pytest.fixture
def trained(workplace, once):
    return once(workplace, train)


@pytest.fixture
def text(workplace, tmp_path):
    """A small text of the user's own, an autoregressive and a masked model of it."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(8):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text(" ".join(rng.choice(WORDS, 400)) + ".")
    workplace.set("text", "data", files=[str(path) for path in paths], vocab_size=280, length=8)
    workplace.set("text", "training", steps=10)
    workplace.set("text", "sampling", prefix="the mask", num_samples=6, batch_size=4)
    workplace.values["tasks"]["text"]["samplers"] = [
        {"kind": "ancestral", "num_steps": 5, "temperature": 0.9, "top_p": 0.95},
        {"kind": "first_hitting"},
    ]
    assert workplace.run("data", "text") == 0
    return workplace


def read(workplace, run, name):
    return json.loads(workplace.file(run, name).read_text())


def test_likelihood_file(trained):
    assert trained.run("evaluate", MASKED) == 0
    found = read(trained, MASKED, "likelihood.json")
    assert found["num_samples"] == 1000
    entropy = json.loads((trained.root / "known_entropy/data/meta.json").read_text())["entropy_per_token"]
    assert list(found["exact"]) == list(ORDERS)  # the defaults of a known entropy
    assert all(value["nll"] > entropy - 4 * value["nll_stderr"] for value in found["exact"].values())
    assert abs(found["bound_tokens"] - found["nelbo"]) < 5 * (found["bound_tokens_stderr"] + found["nelbo_stderr"])
    assert found["bound_tokens"] != found["nelbo"]
    assert found["nelbo"] >= found["joint_loss"]
    assert 0 < found["nelbo_stderr"] < 0.1 * found["nelbo"]
    assert found["nelbo"] > entropy - 4 * found["nelbo_stderr"]
    assert found["train_tokens"] == 20 * 32 * 2
    first = trained.file(MASKED, "likelihood.json").read_bytes()
    assert trained.run("evaluate", MASKED) == 0
    assert trained.file(MASKED, "likelihood.json").read_bytes() == first


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
@pytest.mark.parametrize("section", ["training", "network", "data"])
def test_weights_of_other_parameters_are_refused(trained, capsys, verb, section):
    change = {"training": {"learning_rate": 0.004}, "network": {"width": 48}, "data": {"seed": 1}}[section]
    trained.set("known_entropy", section, **change)
    assert trained.run(verb, MASKED) == 2
    error = capsys.readouterr().err.strip()
    assert error.endswith(f"made with other parameters or data; make it again: {trained.hint('train', MASKED)}")
    assert len([line for line in error.splitlines() if line.startswith("mdm-prime:")]) == 1


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_weights_of_other_data_are_refused(trained, capsys, verb):
    path = trained.root / "known_entropy/data/meta.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"sha256": "0" * 64}))
    shutil.rmtree(trained.root / "made")  # or it would be no more than damaged
    assert trained.run(verb, MASKED) == 2
    assert "made with other parameters or data" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_without_weights_the_message_says_what_to_do(trained, capsys, verb):
    trained.file(MASKED, "weights.safetensors").unlink()
    assert trained.run(verb, MASKED) == 2
    assert "weights.safetensors: cannot be read" in capsys.readouterr().err


def test_few_heldout_sequences_are_refused(trained, capsys):
    path = trained.root / "known_entropy/data/heldout.npy"
    rows = np.unique(np.load(path), axis=0)
    np.save(path, rows[:8])
    shutil.rmtree(trained.root / "made")  # or it would be no more than damaged
    assert trained.run("evaluate", MASKED) == 0
    for few in (rows[:1], rows[:7], rows[:7].repeat(100, 0)):  # a sequence that is there again tells nothing new
        np.save(path, few)
        assert trained.run("evaluate", MASKED) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error == (
            f"mdm-prime: tasks.known_entropy.data: {len(np.unique(few, axis=0))} different held-out sequences; "
            "a standard error needs at least 8"
        )


def test_exact_likelihoods_stand_beside_the_bounds(trained):
    exact = {"orders": ["lowest_entropy", "random_tokens"], "num_sequences": 40, "batch_size": 7}
    trained.set("known_entropy", "evaluation", exact=exact)
    assert trained.run("evaluate", MASKED) == 0
    found = read(trained, MASKED, "likelihood.json")
    assert list(found["exact"]) == exact["orders"]
    run = trained.workspace.config.run(MASKED)
    loaded = load(trained.workspace, run, torch.device("cpu"))
    tokens = trained.workspace.tokens("known_entropy", "heldout")
    for name, value in found["exact"].items():
        expected = exact_likelihood(
            loaded.network, tokens, ORDERS[name], loaded.subtokenizer, loaded.schedule, carry_over=run.carry_over,
            num_sequences=40, batch_size=40, seed=0, device=torch.device("cpu"),
        )  # fmt: skip
        assert value["nll"] == pytest.approx(expected.nelbo.mean, rel=1e-5)
        assert (value["nll_stderr"], value["num_sequences"]) == (pytest.approx(expected.nelbo.stderr, rel=1e-4), 40)
    values = [found["nelbo"], found["bound_tokens"], *(value["nll"] for value in found["exact"].values())]
    assert len(set(values)) == 4


def test_too_few_sequences_for_an_exact_likelihood_are_refused(trained, capsys):
    exact = {"orders": ["left_to_right"], "num_sequences": 7, "batch_size": 7}
    trained.set("known_entropy", "evaluation", exact=exact)
    assert trained.run("evaluate", MASKED) == 2
    key = "tasks.known_entropy.evaluation.exact.num_sequences"
    assert f"{key}: is 7, which drew fewer than 8 different sequences; raise it" in capsys.readouterr().err
    assert not trained.file(MASKED, "likelihood.json").exists()


def test_few_draws_are_refused(trained, capsys):
    trained.set("known_entropy", "evaluation", num_samples=7)
    assert trained.run("evaluate", MASKED) == 2
    assert (
        "tasks.known_entropy.evaluation.num_samples: is 7, which drew fewer than 8 different" in capsys.readouterr().err
    )
    assert not trained.file(MASKED, "likelihood.json").exists()


def test_samples_do_not_depend_on_the_batch_size(trained):
    found = []
    for batch_size in (100, 7):
        trained.set("known_entropy", "sampling", batch_size=batch_size)
        assert trained.run("sample", MASKED) == 0
        found.append([trained.file(MASKED, name).read_bytes() for name in ("samples.npy", "samples.json")])
    assert found[0] == found[1]
    x, (row,) = np.load(trained.file(MASKED, "samples.npy")), read(trained, MASKED, "samples.json")["samplers"]
    assert x.shape == (1, 100, 2)
    assert x.dtype == np.uint8
    assert x.max() < 5
    assert row["nfe_mean"] + row["idle_steps_mean"] == pytest.approx(row["num_steps"])
    exact = 16 * (1 - 1 / 16) ** 4
    assert abs(row["idle_steps_mean"] - exact) < 4 * row["idle_steps_stderr"]
    assert row["texts"] is None


def test_first_hitting_has_no_idle_steps(trained):
    trained.values["tasks"]["known_entropy"]["samplers"] = [{"kind": "first_hitting"}]
    assert trained.run("sample", MASKED) == 0
    (description,) = read(trained, MASKED, "samples.json")["samplers"]
    assert (description["nfe_mean"], description["nfe_stderr"]) == (4.0, 0.0)
    assert description["idle_steps_mean"] is None
    assert description["idle_steps_stderr"] is None


def test_autoregressive_model_end_to_end(text):
    run = "text/arm/seed0"
    for verb in ("train", "evaluate", "sample"):
        assert text.run(verb, run) == 0
    found, description = read(text, run, "likelihood.json"), read(text, run, "samples.json")
    network = load(text.workspace, text.workspace.config.run(run), torch.device("cpu")).network
    tokens = torch.from_numpy(text.workspace.tokens("text", "heldout").astype(np.int64))
    with torch.no_grad():
        costs = autoregressive_loss(network, tokens, start_id=280) / 8
    assert found["nelbo"] == pytest.approx(float(costs.mean()), rel=1e-5)
    assert found["nelbo"] == found["joint_loss"]
    value = {"nll": found["nelbo"], "nll_stderr": found["nelbo_stderr"], "num_sequences": len(tokens)}
    assert (found["exact"], found["num_samples"]) == ({"left_to_right": value}, len(tokens))
    assert found["objective"] == "nll"
    assert found["bound_tokens"] is None  # it has no masks
    assert found["nelbo"] < math.log(280)
    for row in description["samplers"]:
        assert row["idle_steps_mean"] is None
        assert row["nfe_mean"] == 8 - description["prefix_tokens"]
        assert all(words.startswith("the mask") for words in row["texts"])
        assert len(row["texts"]) == 6
    assert description["samplers"][0]["texts"] != description["samplers"][1]["texts"]  # another temperature


@pytest.mark.parametrize("run", ["text/l2-plain/seed0", "text/l4/seed0"])
def test_masked_text_model_end_to_end(text, run):
    for verb in ("train", "evaluate", "sample"):
        assert text.run(verb, run) == 0
    found, description = read(text, run, "likelihood.json"), read(text, run, "samples.json")
    assert found["carry_over"] == description["carry_over"] == ("plain" not in run)
    assert found["base"] ** found["num_subtokens"] > 280  # invalid codes are possible
    assert np.load(text.file(run, "samples.npy")).max() < 280
    ancestral, first_hitting = description["samplers"]
    assert all(words.startswith("the mask") for row in description["samplers"] for words in row["texts"])
    assert ancestral["nfe_mean"] + ancestral["idle_steps_mean"] == pytest.approx(5)
    left = found["num_subtokens"] * (8 - description["prefix_tokens"])
    assert (first_hitting["nfe_mean"], first_hitting["nfe_stderr"]) == (left, 0)


def test_a_prefix_that_leaves_nothing_to_draw_is_refused(text, capsys):
    assert text.run("train", "text/l2/seed0") == 0
    text.set("text", "sampling", prefix="the mask token reveals a digit of every sequence when time runs back")
    assert text.run("sample", "text/l2/seed0") == 2
    assert "tasks.text.sampling.prefix: has 40 tokens; allowed: fewer than length 8" in capsys.readouterr().err
