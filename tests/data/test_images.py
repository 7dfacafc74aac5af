import json

import numpy as np
import pytest
from small_images import assert_one_line, batches, make_images, write_batches

from mdm_prime import data, files
from mdm_prime.data.images.digits import DigitsData
from mdm_prime.results.data_set import DataSet

images = pytest.fixture(make_images)


def digits(**changes):
    return DigitsData(kind="digits", **({"heldout_fraction": 0.25, "seed": 0} | changes))


def test_prepare_writes_all_files_and_the_same_bytes_again(tmp_path):
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        data.prepare("digits", digits(seed=seed), tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == sorted(DigitsData.outputs)
    for name in DigitsData.outputs:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes()
        assert content != (tmp_path / "other" / name).read_bytes()
    meta = json.loads((tmp_path / "first" / "meta.json").read_text())
    assert tuple(meta) == tuple(DataSet.model_fields)
    assert (meta["task"], meta["vocab_size"], meta["length"]) == ("digits", 17, 64)
    assert (meta["entropy_per_token"], meta["heldout_bytes"]) == (None, None)
    assert meta["corpus"] == {
        "name": "digits",
        "channels": 1,
        "size": 8,
        "classes": 10,
        "source": "scikit-learn's load_digits",
    }


def test_digits_are_all_there_once_in_the_same_shares(tmp_path):
    from sklearn.datasets import load_digits

    data.prepare("digits", digits(), tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    found, shares = [], []
    for name in ("train", "heldout"):
        pixels, labels = np.load(tmp_path / f"{name}.npy"), np.load(tmp_path / f"{name}_labels.npy")
        assert (pixels.dtype, labels.dtype) == (np.uint8, np.int64)
        assert meta[f"{name}_sequences"] == len(pixels) == len(labels)
        found.append(np.column_stack([pixels, labels]))
        shares.append(np.bincount(labels) / len(labels))
    assert len(found[1]) == 450
    np.testing.assert_allclose(*shares, atol=0.002)
    original = load_digits()
    expected = np.column_stack([original.data, original.target]).astype(np.int64)
    rows = np.concatenate(found)
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_a_heldout_fraction_without_every_digit_is_one_line(tmp_path):
    assert_one_line(
        digits(heldout_fraction=0.001), tmp_path, r"tasks\.pictures\.data\.heldout_fraction is 0\.001: .*classes"
    )


def test_the_hash_is_that_of_pixels_and_labels(tmp_path, images):
    def digest(name):
        write_batches(tmp_path / "source", images)
        data.prepare("pictures", batches(tmp_path / "source"), tmp_path / name)
        return json.loads((tmp_path / name / "meta.json").read_text())["sha256"]

    found = {digest("first"), digest("again")}
    assert len(found) == 1
    for split in images:
        images[split][0][0, 0, 0, 0] ^= 1
        found.add(digest(f"pixel of {split}"))
        images[split][1][[0, 1]] = images[split][1][[1, 0]]
        found.add(digest(f"labels of {split}"))
    assert len(found) == 5


def test_an_interrupted_run_leaves_no_meta_json(tmp_path, monkeypatch):
    data.prepare("digits", digits(), tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "save_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.prepare("digits", digits(), tmp_path)
    assert not (tmp_path / "meta.json").exists()
