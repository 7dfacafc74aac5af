import json

import numpy as np
import pytest
from PIL import Image

from mdm_prime import data
from mdm_prime.data import toy
from mdm_prime.data.toy import ToyData
from mdm_prime.errors import UserError
from mdm_prime.results.data_set import DataSet


def config_of(image, **changes):
    values = {"vocab_size": 16, "contrast": 2.0, "train_sequences": 300, "heldout_sequences": 50, "seed": 0}
    return ToyData(kind="toy", image=str(image), **(values | changes))


@pytest.fixture
def drawing(tmp_path):
    """A dark square left of the middle, on white paper, 80 wide and 40 high."""
    gray = np.full((40, 80), 255, np.uint8)
    gray[10:20, 25:35] = 0
    path = tmp_path / "drawing.png"
    Image.fromarray(gray).save(path)
    return path


def test_density_is_the_central_square_of_the_image_rows_first(drawing):
    p = toy.density(str(drawing), 8, 1.0)
    expected = np.zeros((8, 8))
    expected[2:4, 1:3] = 1 / 4  # cells of 5 x 5 pixels, columns from pixel 20 on
    np.testing.assert_allclose(p, expected, atol=1e-12)


def test_what_stands_out_has_the_probability_bright_or_dark(drawing, tmp_path):
    inverted = tmp_path / "inverted.png"
    Image.fromarray(255 - np.asarray(Image.open(drawing))).save(inverted)
    np.testing.assert_allclose(toy.density(str(inverted), 8, 1.0), toy.density(str(drawing), 8, 1.0), atol=1e-12)


def test_contrast_is_a_power():
    p, squared = toy.density("flower.jpg", 16, 1.0), toy.density("flower.jpg", 16, 2.0)
    np.testing.assert_allclose(squared, p**2 / (p**2).sum(), rtol=1e-12)


@pytest.mark.parametrize("image", toy.PHOTOGRAPHS)
def test_photographs_are_far_from_uniform(image):
    p = toy.density(image, 128, 2.0)
    assert p.sum() == pytest.approx(1.0)
    assert 0.25 < np.log(128) - toy.entropy_per_token(p) < 1.0


def test_entropy_of_even_cells(drawing):
    assert toy.entropy_per_token(toy.density(str(drawing), 8, 1.0)) == pytest.approx(np.log(4) / 2, abs=1e-12)


def test_samples_have_the_density():
    p = toy.density("flower.jpg", 8, 2.0)
    num = 100_000
    x = toy.sample(p, num, np.random.default_rng(1))
    counts = np.zeros_like(p)
    np.add.at(counts, (x[:, 0], x[:, 1]), 1)
    expected = num * p
    often = expected > 5
    chi_square = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert chi_square < often.sum() + 5 * np.sqrt(2 * often.sum())
    assert (counts[p == 0] == 0).all()


def test_prepare_writes_all_files_and_the_same_bytes_again(tmp_path, drawing):
    config = config_of(drawing)
    for name in ("first", "second"):
        data.prepare("toy", config, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted(ToyData.outputs)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    train = np.load(tmp_path / "first" / "train.npy")
    assert (train.shape, train.dtype) == ((300, 2), np.uint8)
    density = np.load(tmp_path / "first" / "density.npy")
    assert (density.shape, density.dtype) == ((16, 16), np.float64)
    assert (density[train[:, 0], train[:, 1]] > 0).all()
    meta = json.loads((tmp_path / "first" / "meta.json").read_text())
    assert tuple(meta) == tuple(DataSet.model_fields)
    assert meta["entropy_per_token"] == toy.entropy_per_token(density)
    assert str(tmp_path) not in json.dumps(meta)


def test_an_image_of_any_mode_will_do(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 20, 4), dtype=np.uint8)).save(tmp_path / "rgba.png")
    assert toy.density(str(tmp_path / "rgba.png"), 4, 1.0).shape == (4, 4)


@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_a_corrupt_image_is_one_line(tmp_path, drawing, damage):
    content = {"text": b"no image", "cut": drawing.read_bytes()[:60], "empty": b""}[damage]
    path = tmp_path / "corrupt.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"toy\.data\.image: .*corrupt\.png cannot be read") as error:
        data.prepare("toy", config_of(path), tmp_path / "output")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "output").iterdir())


def test_an_image_of_one_tone_is_refused(tmp_path):
    Image.new("L", (10, 10), 128).save(tmp_path / "gray.png")
    with pytest.raises(ValueError, match="single tone"):
        toy.density(str(tmp_path / "gray.png"), 4, 1.0)
