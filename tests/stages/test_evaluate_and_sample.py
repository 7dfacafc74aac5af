import json
import math

import numpy as np
import pytest
import torch
from mdm_prime.stages.place import Place, trained_network

from mdm_prime.core.objectives import autoregressive_loss
from mdm_prime.experiment import config

MASKED = "known_entropy/l2/seed0"
WORDS = ("the", "mask", "token", "reveals", "a", "digit", "of", "every", "sequence", "when", "time", "runs", "back")


@pytest.fixture
def trained(workplace):
    workplace.set("known_entropy", "training", steps=20)
    assert workplace.run("data", "known_entropy") == 0
    assert workplace.run("train", MASKED) == 0
    return workplace


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
    workplace.values["text"]["samplers"] = [
        {"kind": "ancestral", "num_steps": 5, "temperature": 0.9, "top_p": 0.95},
        {"kind": "first_hitting"},
    ]
    assert workplace.run("data", "text") == 0
    return workplace


def read(workplace, run, name):
    return json.loads(workplace.file(run, name).read_text())


def network_of(workplace, run):
    place = Place(config.load(workplace.params), workplace.results)
    return place, trained_network(place, place.config.run(run), torch.device("cpu"))


def test_likelihood_file(trained):
    assert trained.run("evaluate", MASKED) == 0
    found = read(trained, MASKED, "likelihood.json")
    assert found["num_samples"] == 1000
    assert found["exact"] is False
    assert found["nelbo"] >= found["joint_loss"]
    assert 0 < found["nelbo_stderr"] < 0.1 * found["nelbo"]
    entropy = json.loads((trained.root / "known_entropy/data/meta.json").read_text())["entropy_per_token"]
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
    assert error.endswith(f"trained with other parameters or data; train it again: mdm-prime train {MASKED}")
    assert len([line for line in error.splitlines() if line.startswith("mdm-prime:")]) == 1


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_weights_of_other_data_are_refused(trained, capsys, verb):
    path = trained.root / "known_entropy/data/meta.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"sha256": "0" * 64}))
    assert trained.run(verb, MASKED) == 2
    assert "trained with other parameters or data" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_without_weights_the_message_says_what_to_do(trained, capsys, verb):
    trained.file(MASKED, "weights.safetensors").unlink()
    assert trained.run(verb, MASKED) == 2
    assert "weights.safetensors: cannot be read" in capsys.readouterr().err


def test_one_heldout_sequence_is_too_few(trained, capsys):
    path = trained.root / "known_entropy/data/heldout.npy"
    np.save(path, np.load(path)[:1])
    assert trained.run("evaluate", MASKED) == 2
    assert "at least 2" in capsys.readouterr().err


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
    trained.values["known_entropy"]["samplers"] = [{"kind": "first_hitting"}]
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
    place, network = network_of(text, run)
    tokens = torch.from_numpy(place.tokens("text", "heldout").astype(np.int64))
    with torch.no_grad():
        costs = autoregressive_loss(network, tokens, start_id=280) / 8
    assert found["nelbo"] == pytest.approx(float(costs.mean()), rel=1e-5)
    assert found["nelbo"] == found["joint_loss"]
    assert (found["exact"], found["num_samples"], found["objective"]) == (True, len(tokens), "nll")
    assert found["nelbo"] < math.log(280)
    for row in description["samplers"]:
        assert row["idle_steps_mean"] is None
        assert row["nfe_mean"] == 8 - description["prefix_tokens"]
        assert all(words.startswith("the mask") for words in row["texts"])
        assert len(row["texts"]) == 6
    assert description["samplers"][0]["texts"] != description["samplers"][1]["texts"]  # another temperature


@pytest.mark.parametrize("run", ["text/l2-plain/seed0", "text/l4/seed1"])
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
    assert "text.sampling.prefix has" in capsys.readouterr().err
