import os
import pickle
import weakref

import numpy as np
import pytest
from small_images import LENGTH, SIZE, assert_holds, assert_one_line, batch_of, batches, make_images, write_batches

from mdm_prime import data
from mdm_prime.data import image_files, pickles

images = pytest.fixture(make_images)


@pytest.mark.parametrize(("protocol", "subfolders"), [(2, False), (4, True)])
def test_batches_of_imagenet(tmp_path, images, monkeypatch, protocol, subfolders):
    monkeypatch.setattr(image_files, "ROWS", 3)
    write_batches(tmp_path / "source", images, protocol, subfolders)
    data.prepare("pictures", batches(tmp_path / "source"), tmp_path / "output")
    assert_holds(tmp_path / "output", images)


def test_one_batch_is_in_memory_at_a_time(tmp_path, images, monkeypatch):
    write_batches(tmp_path / "source", images)
    alive = []

    def load_dictionary(path, original=pickles.load_dictionary):
        assert not any(reference() is not None for reference in alive)
        batch = original(path)
        batch["data"] = batch["data"].copy()  # an array that owns its memory
        alive.append(weakref.ref(batch["data"]))
        return batch

    monkeypatch.setattr(pickles, "load_dictionary", load_dictionary)
    data.prepare("pictures", batches(tmp_path / "source"), tmp_path / "output")
    assert len(alive) == 11


def changed(**changes):
    """train_data_batch_3 with other entries; those that are None are left out."""

    def write(folder):
        rng = np.random.default_rng(0)
        batch = batch_of(rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8), [0, 1]) | changes
        batch = {key: value for key, value in batch.items() if value is not None}
        (folder / "train_data_batch_3").write_bytes(pickle.dumps(batch))

    return write


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def truncate(folder):
    path = folder / "train_data_batch_3"
    path.write_bytes(path.read_bytes()[:-40])


BATCH_ERRORS = {
    "a gap": (lambda folder: (folder / "train_data_batch_3").unlink(), r"lacks train_data_batch_3; wanted:"),
    "the last two": (
        lambda folder: [(folder / f"train_data_batch_{i}").unlink() for i in (9, 10)],
        r"folder: .* lacks train_data_batch_9, train_data_batch_10; wanted: train_data_batch_1 to train_data_batch_10",
    ),
    "no test images": (lambda folder: (folder / "val_data").unlink(), r"lacks val_data; wanted:"),
    "truncated": (truncate, r"train_data_batch_3: no whole pickle"),
    "no data": (changed(data=None), r"train_data_batch_3: has no 'data', only 'labels', 'mean'"),
    "no labels": (changed(labels=None), r"train_data_batch_3: has no 'labels'"),
    "another size": (
        changed(data=np.zeros((2, 192), np.uint8)),
        r"'data' is uint8 \(2, 192\); allowed: uint8 \(N, 48\)",
    ),
    "another type": (changed(data=np.zeros((2, LENGTH))), r"'data' is float64 \(2, 48\); allowed: uint8"),
    "no rows": (changed(data=np.zeros(2 * LENGTH, np.uint8)), r"'data' is uint8 \(96,\); allowed"),
    "no array": (changed(data=[1, 2]), r"'data' is list; allowed"),
    "fewer labels": (changed(labels=[1]), r"'labels' are 1; allowed: a list of 2"),
    "labels of text": (changed(labels=["1", "2"]), r"a label is '1'; allowed: integers of 1 to 1000"),
    "label 0": (changed(labels=[1, 0]), r"a label is 0; allowed: integers of 1 to 1000"),
    "label 1001": (changed(labels=[1001, 1]), r"a label is 1001; allowed"),
    "malicious": (
        lambda folder: (folder / "train_data_batch_3").write_bytes(pickle.dumps(Malicious(folder / "made"))),
        r"train_data_batch_3: not read, because it asks for \w+\.system; allowed",
    ),
}


@pytest.mark.parametrize("case", BATCH_ERRORS)
def test_errors_of_batches_are_one_line(tmp_path, images, case):
    damage, message = BATCH_ERRORS[case]
    write_batches(tmp_path / "source", images)
    damage(tmp_path / "source")
    assert_one_line(batches(tmp_path / "source"), tmp_path / "output", message)
    assert not (tmp_path / "source" / "made").exists()


def test_labels_may_be_an_array(tmp_path, images):
    write_batches(tmp_path / "source", images)
    changed(labels=np.array([2, 1]))(tmp_path / "source")
    data.prepare("pictures", batches(tmp_path / "source"), tmp_path / "output")
    assert list(np.load(tmp_path / "output" / "train_labels.npy")[2:4]) == [1, 0]
