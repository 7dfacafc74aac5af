"""Images from trained runs: files, pictures of partially masked images, parts given."""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from mdm_prime.core.super_tokens import to_super_tokens
from mdm_prime.errors import UserError
from mdm_prime.experiment import config
from mdm_prime.stages import sample as sample_stage
from mdm_prime.stages import sample_images as stage
from mdm_prime.stages.image_views import partial_view, pixels
from mdm_prime.stages.networks import subtokenizer_of
from mdm_prime.stages.recoding import tokens_of

FILES = ("samples.npy", "samples.json", "imputation.npz", "path.npz")


@pytest.fixture(scope="module")
def loaded():
    return config.load(Path(__file__).parents[2] / "params" / "smoke.yaml")


def train(workplace):
    """Digits with three sub-tokens, trained for a moment."""
    task = workplace.values["tasks"]["digits"]
    task["models"] = ["l3"]
    task["training"] |= {"steps": 3, "log_every": 1, "checkpoint_every": 3, "warmup_steps": 1}
    task["sampling"] |= {"num_samples": 5, "batch_size": 5}
    assert workplace.run("data", "digits") == 0
    assert workplace.run("train", "digits/l3/seed0") == 0


@pytest.fixture
def trained(workplace, once):
    return once(workplace, train)


def test_samples_of_every_sampler(trained):
    assert trained.run("sample", "digits/l3/seed0") == 0
    folder = trained.file("digits/l3/seed0", "samples.npy").parent
    samples = np.load(folder / "samples.npy")
    assert samples.dtype == np.uint8
    assert samples.shape == (3, 5, 64)
    assert samples.max() < 17
    saved = json.loads((folder / "samples.json").read_text())
    assert [row["name"] for row in saved["samplers"]] == ["euler-1", "first_hitting", "euler-8"]
    assert [row["nfe_mean"] for row in saved["samplers"]] == [1, 64 * 3, 8]
    assert saved["objective"] == "cross_entropy"
    path = np.load(folder / "path.npz")
    assert path["times"][0] == 1
    assert path["times"][-1] == 0
    assert path["shown"].shape == path["masked"].shape == (len(path["times"]), 2, 1, 8, 8)
    assert (path["masked"][0] == 1).all()
    assert (path["masked"][-1] == 0).all()
    assert (np.diff(path["masked"].mean((1, 2, 3, 4))) < 0).all()
    assert (path["shown"][-1].reshape(2, 64) == samples[-1, :2]).all()  # the same images as in the samples
    imputation = np.load(folder / "imputation.npz")
    assert list(imputation["kinds"]) == ["first 1 of 3 sub-tokens given", "upper half given"]
    original, completed = imputation["original"], imputation["completed"]
    assert completed.shape == (2, stage.COMPLETIONS, 2, 1, 8, 8)
    assert (completed[0] // 9 == original // 9).all()  # base 3: the first digit is what is left of nine values
    assert (completed[1, :, :, :, :4] == original[:, :, :4]).all()
    assert (imputation["masked"][1, :, :, :4] == 0).all()
    assert (imputation["masked"][1, :, :, 4:] == 1).all()


def test_the_batch_size_changes_no_sample(trained):
    trained.run("sample", "digits/l3/seed0")
    folder = trained.file("digits/l3/seed0", "samples.npy").parent
    before = {name: (folder / name).read_bytes() for name in FILES}
    trained.values["tasks"]["digits"]["sampling"]["batch_size"] = 2
    assert trained.run("sample", "digits/l3/seed0") == 0
    for name in ("samples.npy", "imputation.npz", "path.npz"):
        assert (folder / name).read_bytes() == before[name], name


def test_progress_within_a_batch(trained, monkeypatch):
    done = []

    @contextmanager
    def bar(description, total):
        yield lambda number, text: done.append((number, text))
        assert done[-1][0] == total == 15

    monkeypatch.setattr(sample_stage, "progress", bar)
    trained.values["tasks"]["digits"]["sampling"]["batch_size"] = 3
    assert trained.run("sample", "digits/l3/seed0") == 0
    assert [number for number, _ in done] == sorted(number for number, _ in done)
    assert {number for number, text in done if "euler-8" in text} == {10, 11, 12, 13, 14, 15}


@pytest.mark.parametrize("objective", ["nelbo", "joint_loss"])
def test_the_other_objectives_train_on_images(trained, objective):
    trained.values["tasks"]["digits"]["training"] |= {"objective": objective, "t_min": 0.001}
    assert trained.run("train", "digits/l3/seed0") == 0
    assert json.loads(trained.file("digits/l3/seed0", "run.json").read_text())["objective"] == objective


def test_a_likelihood_in_bits_per_dimension(trained):
    trained.values["tasks"]["digits"]["evaluation"] = {"num_samples": 50, "batch_size": 10, "seed": 0}
    assert trained.run("evaluate", "digits/l3/seed0") == 0
    saved = json.loads(trained.file("digits/l3/seed0", "likelihood.json").read_text())
    assert saved["base"] == 3
    assert saved["super_tokens"] is False
    assert saved["components"] == 1
    assert 0 < saved["joint_loss"] < saved["nelbo"] < 3 * np.log(3) + 1


def test_samples_of_other_parameters_are_refused(trained, capsys):
    trained.values["tasks"]["digits"]["training"]["learning_rate"] = 0.5
    assert trained.run("sample", "digits/l3/seed0") == 2
    assert trained.hint("train", "digits/l3/seed0") in capsys.readouterr().err


@pytest.mark.parametrize("name", ["digits/l3/seed0", "photos/super/seed0"])
def test_a_partial_view_is_the_mean_of_what_is_possible(loaded, name):
    run = loaded.run(name)
    subtokenizer = subtokenizer_of(run)
    rng = np.random.default_rng(0)
    images = rng.integers(0, run.data.vocab_size, (2, run.data.length)).astype(np.uint8)
    x = torch.from_numpy(tokens_of(run, images).astype(np.int64))
    assert (pixels(run, x).numpy() == images).all()
    y = subtokenizer.encode(x)
    shape = (2, run.data.channels, run.data.size, run.data.size)
    view, share = partial_view(run, y)
    assert (view.reshape(2, -1).numpy() == images).all()
    assert (share == 0).all()
    view, share = partial_view(run, torch.full_like(y, subtokenizer.mask_id))
    assert view.shape == share.shape == shape
    torch.testing.assert_close(view, torch.full(shape, (run.data.vocab_size - 1) / 2))
    assert (share == 1).all()


def test_a_partial_view_of_half_a_super_token_and_of_half_a_digit(loaded):
    super_run, digit_run = loaded.run("photos/super/seed0"), loaded.run("digits/l3/seed0")
    image = torch.tensor([200, 100, 50]).repeat_interleave(super_run.data.size**2)[None]
    y = to_super_tokens(image)[..., None].clone()
    y[:, y.shape[1] // 2 :] = 4096  # the second token of every pixel is hidden: blue, and the low bits of green
    view, share = partial_view(super_run, y)
    assert [float(part) for part in view[0, :, 0, 0]] == [200, (100 & 0xF0) + 7.5, 127.5]
    assert [float(part) for part in share[0, :, 0, 0]] == [0, 0.5, 1]
    y = torch.full((1, 64, 3), 3)
    y[..., 0] = 1  # 9 to 17 in base 3, of which 17 is no gray level
    view, share = partial_view(digit_run, y)
    assert torch.allclose(view, torch.tensor(12.5))
    assert torch.allclose(share, torch.tensor(2 / 3))


def test_an_unknown_task_has_no_images(loaded):
    with pytest.raises(UserError, match=r"no images; allowed: digits, photos"):
        loaded.image_task("text")
