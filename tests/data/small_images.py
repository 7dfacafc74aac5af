"""Small sets of images, and what a test asks of the files made from them."""

import pickle

import numpy as np
import pytest

from mdm_prime import data
from mdm_prime.data.images.batches import ImageBatchesData
from mdm_prime.errors import UserError

SIZE = 4
LENGTH = 3 * SIZE * SIZE


def make_images():
    """Random images (N, H, W, C) and labels of three classes: 7 for training, 4 for testing."""
    rng = np.random.default_rng(0)
    sets = {"train": 7, "test": 4}
    return {
        name: (rng.integers(0, 256, (number, SIZE, SIZE, 3), dtype=np.uint8), np.arange(number) % 3)
        for name, number in sets.items()
    }


def load(folder, channels=3):
    """Pixels (N, C, H, W) and labels (N,) of both splits."""
    return {
        split: (
            np.load(folder / f"{name}.npy").reshape(-1, channels, SIZE, SIZE),
            np.load(folder / f"{name}_labels.npy"),
        )
        for split, name in {"train": "train", "test": "heldout"}.items()
    }


def assert_holds(folder, images):
    """The images, in their order, and nothing else."""
    for split, (pixels, labels) in load(folder).items():
        np.testing.assert_array_equal(pixels, images[split][0].transpose(0, 3, 1, 2), strict=True)
        np.testing.assert_array_equal(labels, images[split][1], strict=True)


def assert_one_line(config, folder, message):
    with pytest.raises(UserError, match=message) as error:
        data.prepare("pictures", config, folder)
    assert "\n" not in str(error.value)
    assert not (folder / "meta.json").exists()


def batches(folder, **changes):
    values = {"dataset": "small", "size": SIZE, "seed": 0} | changes
    return ImageBatchesData(kind="image_batches", folder=str(folder), **values)


def write_batches(folder, images, protocol=4, subfolders=False):
    """All eleven files; with fewer than ten training images some of them are empty. Labels from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = images["train"]
    parts = [(part, pixels[part], labels[part]) for part in np.array_split(np.arange(len(pixels)), 10)]
    contents = {f"train/train_data_batch_{i}": (x, y) for i, (_, x, y) in enumerate(parts, start=1)}
    for name, (x, y) in (contents | {"val/val_data": images["test"]}).items():
        path = folder / (name if subfolders else name.split("/")[1])
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(batch_of(x, y), protocol=protocol))


def batch_of(pixels, labels):
    flat = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), LENGTH)
    return {"data": flat, "labels": [int(label) + 1 for label in labels], "mean": np.zeros(LENGTH)}
