"""Own images as they are: a folder of files, without labels, a part of them held out."""

import json

import numpy as np
import pytest
from PIL import Image
from small_images import assert_one_line

from mdm_prime import data
from mdm_prime.data.images.folder import ImageFolderData


def write_images(folder, num=20, size=16, mode="RGB"):
    """Different images; returns their pixels (L,), channels first, as bytes."""
    folder.mkdir()
    rng, found = np.random.default_rng(0), []
    for number in range(num):
        shape = (size, size, 3) if mode == "RGB" else (size, size)
        pixels = rng.integers(0, 256, shape).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        found.append(np.moveaxis(pixels, -1, 0).tobytes() if mode == "RGB" else pixels.tobytes())
    return found


def section(folder, **changes):
    values = {"dataset": "mine", "size": 16, "seed": 0} | changes
    return ImageFolderData(kind="image_folder", folder=str(folder), **values)


def prepared(section, output):
    data.prepare("mine", section, output)
    return {name: np.load(output / f"{name}.npy") for name in ("train", "heldout")}


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_every_image_is_on_one_side(tmp_path, mode, channels):
    pixels = write_images(tmp_path / "images", mode=mode)
    found = prepared(section(tmp_path / "images", channels=channels, heldout_fraction=0.25), tmp_path / "output")
    assert [len(x) for x in found.values()] == [15, 5]
    assert sorted(row.tobytes() for x in found.values() for row in x) == sorted(pixels)
    for name in ("train", "heldout"):
        assert not np.load(tmp_path / "output" / f"{name}_labels.npy").any()
    meta = json.loads((tmp_path / "output" / "meta.json").read_text())
    assert meta["task"] == "mine"
    assert meta["corpus"]["classes"] == 1
    assert meta["corpus"]["source"] == "20 images of images"


def test_the_split_follows_from_content_and_seed(tmp_path):
    write_images(tmp_path / "images")
    first = prepared(section(tmp_path / "images"), tmp_path / "first")
    for path in sorted((tmp_path / "images").iterdir()):
        path.rename(path.with_name(f"x{path.name}"))
    (tmp_path / "images" / ".hidden").write_text("no image")
    renamed = prepared(section(tmp_path / "images"), tmp_path / "renamed")
    other = prepared(section(tmp_path / "images", seed=1), tmp_path / "other")
    assert all((renamed[name] == first[name]).all() for name in first)
    assert (other["heldout"] != first["heldout"]).any()


def test_equal_images_are_on_the_same_side(tmp_path):
    write_images(tmp_path / "images", num=6)
    for path in sorted((tmp_path / "images").iterdir()):
        (tmp_path / "images" / f"copy-{path.name}").write_bytes(path.read_bytes())
    found = prepared(section(tmp_path / "images", heldout_fraction=0.5), tmp_path / "output")
    train, heldout = ({row.tobytes() for row in x} for x in found.values())
    assert not train & heldout
    assert len(train) == len(heldout) == 3


def of_two_sizes(folder):
    Image.new("RGB", (8, 16)).save(folder / "05.png")


@pytest.mark.parametrize(
    ("damage", "changes", "message"),
    [
        (of_two_sizes, {}, r"tasks\.pictures\.data\.folder: .*05\.png cannot be read \(the image is 8x16 pixels"),
        (lambda folder: None, {"size": 32}, r"00\.png .*the image is 16x16 pixels; allowed: size 32"),
        (lambda folder: (folder / "a.txt").write_text("text"), {}, r"a\.txt cannot be read \(cannot identify"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], {}, "has 0 different images; give at least 2"),
    ],
)
def test_errors_are_one_line(tmp_path, damage, changes, message):
    write_images(tmp_path / "images")
    damage(tmp_path / "images")
    assert_one_line(section(tmp_path / "images", **changes), tmp_path / "output", message)
