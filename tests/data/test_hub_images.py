import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_images import SIZE, assert_holds, assert_one_line, make_images

from mdm_prime import data
from mdm_prime.data import image_files
from mdm_prime.data.images.hub import HubImagesData

images = pytest.fixture(make_images)


def hub(path, **changes):
    values = {"dataset": "small", "size": SIZE, "seed": 0} | changes
    return HubImagesData(kind="hub_images", path=str(path), **values)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path_factory):
    """Nothing may be asked of the network for files on this machine."""

    def refused(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def write_parquet(path, pixels, labels, image="img", label="label", **features):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {image: datasets.Image(), label: datasets.ClassLabel(names=["a", "b", "c"])} | features
    values = {image: [Image.fromarray(picture) for picture in pixels], label: [int(value) for value in labels]}
    datasets.Dataset.from_dict(values, features=datasets.Features(columns)).to_parquet(path)


@pytest.fixture
def parquet(tmp_path, images):
    """A folder as the hub has it: data/train-00000-of-00002.parquet and so on, training images in two files."""
    folder = tmp_path / "cifar"
    for part, rows in enumerate((slice(0, 5), slice(5, None))):
        write_parquet(folder / "data" / f"train-0000{part}-of-00002.parquet", *(x[rows] for x in images["train"]))
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", *images["test"])
    return folder


@pytest.mark.parametrize("rows", [2, 1000])
def test_a_folder_of_parquet_files(tmp_path, images, parquet, monkeypatch, rows):
    monkeypatch.setattr(image_files, "ROWS", rows)
    data.prepare("pictures", hub(parquet), tmp_path / "output")
    assert_holds(tmp_path / "output", images)
    corpus = json.loads((tmp_path / "output" / "meta.json").read_text())["corpus"]
    assert corpus == {"name": "small", "channels": 3, "size": 4, "classes": 3, "source": "cifar (train and test)"}


def test_files_are_streamed_not_copied(tmp_path, parquet, monkeypatch):
    data.prepare("pictures", hub(parquet), tmp_path / "output")
    assert not list(Path(datasets.config.HF_DATASETS_CACHE).rglob("*.arrow"))


def test_parts_of_one_parquet_file(tmp_path, images):
    both = [np.concatenate([images["train"][i], images["test"][i]]) for i in (0, 1)]
    write_parquet(tmp_path / "all.parquet", *both)
    config = hub(tmp_path / "all.parquet", train_split="train[:7]", test_split="train[7:]")
    data.prepare("pictures", config, tmp_path / "output")
    assert_holds(tmp_path / "output", images)


def test_a_folder_of_image_files(tmp_path, images):
    """split/class/*.png: the class is the label, in the order of the names."""
    for split, (pixels, labels) in images.items():
        order = np.argsort(labels, kind="stable")
        for i in order:
            path = tmp_path / "folder" / split / "abc"[labels[i]] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[i]).save(path)
        images[split] = pixels[order], labels[order]
    data.prepare("pictures", hub(tmp_path / "folder", image_column="image"), tmp_path / "output")
    assert_holds(tmp_path / "output", images)


def test_gray_images_become_rgb(tmp_path, images):
    for split, (pixels, labels) in images.items():
        write_parquet(tmp_path / "gray" / f"{split}.parquet", pixels[..., 0], labels)
        images[split] = np.repeat(pixels[..., :1], 3, axis=3), labels
    data.prepare("pictures", hub(tmp_path / "gray"), tmp_path / "output")
    assert_holds(tmp_path / "output", images)


def write_raw(folder, values, split="train"):
    """A parquet file that does not say what its columns are."""
    pd.DataFrame(values).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    for path in (folder / "data").glob(f"{split}-*-of-00002.parquet"):
        path.unlink()


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_bytes_of_images_in_a_plain_parquet_file(tmp_path, images, parquet):
    pixels, labels = images["train"]
    write_raw(parquet, {"img": [{"bytes": png(x), "path": "x.png"} for x in pixels], "label": labels})
    data.prepare("pictures", hub(parquet), tmp_path / "output")
    assert_holds(tmp_path / "output", images)


def corrupt_bytes(folder, images):
    """The fourth image of seven is cut."""
    path = folder / "data" / "train-00000-of-00002.parquet"
    table = pq.read_table(path)
    column = table.column("img").to_pylist()
    column[3]["bytes"] = column[3]["bytes"][:50]
    pq.write_table(
        table.set_column(0, table.schema.field("img"), pa.array(column, table.schema.field("img").type)), path
    )


def of_another_size(folder, images):
    pixels, labels = images["test"]
    parts = [Image.fromarray(x) for x in pixels]
    parts[2] = parts[2].resize((5, 4))
    write_raw(folder, {"img": [{"bytes": png(np.asarray(x)), "path": None} for x in parts], "label": labels}, "test")


def with_labels(labels, split="train"):
    def write(folder, images):
        values = [{"bytes": png(x), "path": None} for x in images[split][0][: len(labels)]]
        write_raw(folder, {"img": values, "label": labels}, split)

    return write


def with_a_new_class(folder, images):
    with_labels([0, 1, 2])(folder, images)
    with_labels([0, 3], "test")(folder, images)


def nothing(folder, images):
    pass


HUB_ERRORS = {
    "image column": (
        nothing,
        {"image_column": "image"},
        r"image_column: .*cifar has no column 'image'; allowed: img, label",
    ),
    "label column": (nothing, {"label_column": "fine"}, r"label_column: .*cifar has no column 'fine'"),
    "an image as label": (
        nothing,
        {"label_column": "img"},
        r"row 0 of .*cifar, split train: label is of type PngImageFile",
    ),
    "a label as image": (
        nothing,
        {"image_column": "label"},
        r"row 0 of .*\(int in the image column\)",
    ),
    "split": (nothing, {"test_split": "validation"}, r"split validation\) cannot be read at row 0: .*train"),
    "one split": (nothing, {"test_split": "train"}, r"test_split is 'train', the training split"),
    "size": (
        of_another_size,
        {},
        r"row 2 of .*cifar, split test: .*\(the image is 5x4 pixels; allowed: size 4\)",
    ),
    "other size": (nothing, {"size": 8}, r"row 0 of .*the image is 4x4 pixels; allowed: size 8\)"),
    "corrupt": (corrupt_bytes, {}, r"split train\) cannot be read at row 3: "),
    "negative": (with_labels([0, 1, -1]), {}, r"row 2 of .*: label is -1; allowed: an integer from 0"),
    "text": (with_labels(["0", "1"]), {}, r"row 0 of .*: label is of type str; allowed: an integer"),
    "fractions": (with_labels([0.0, 1.5]), {}, r"row 0 of .*: label is of type float; allowed: an integer"),
    "no label": (with_labels([None, None]), {}, r"row 0 of .*: label is of type NoneType"),
    "years": (
        with_labels([1999, 2000]),
        {},
        r"a label of .* is 2000, with 2 training images; allowed: labels that number",
    ),
    "a new class": (with_a_new_class, {}, r"a test image of .* has the label 3; allowed: .* 0 to 2"),
    "damaged": (
        lambda folder, _: (folder / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1"),
        {},
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", HUB_ERRORS)
def test_errors_of_the_library_are_one_line(tmp_path, images, parquet, case):
    damage, changes, message = HUB_ERRORS[case]
    damage(parquet, images)
    assert_one_line(hub(parquet, **changes), tmp_path / "output", message)


def test_a_file_of_another_suffix_is_one_line(tmp_path):
    (tmp_path / "a.csv").write_text("img,label\n")
    assert_one_line(
        hub(tmp_path / "a.csv"), tmp_path / "output", r"unknown suffix '\.csv'; allowed: \.parquet, a folder"
    )


def test_a_set_without_images_is_one_line(tmp_path, images, parquet):
    write_parquet(parquet / "data" / "test-00000-of-00001.parquet", images["test"][0][:0], [])
    assert_one_line(hub(parquet), tmp_path / "output", r"has no test images|cannot be read")


def test_a_hub_name_without_a_network_is_one_line(tmp_path):
    """HF_HUB_OFFLINE is read when the library is imported."""
    code = (
        "import pathlib, socket\nfrom mdm_prime import data\nfrom mdm_prime.errors import UserError\n"
        "from mdm_prime.data.images.hub import HubImagesData\n"
        "def refused(*_):\n    raise AssertionError('the network was used')\nsocket.socket.connect = refused\n"
        "config = HubImagesData(kind='hub_images', dataset='x', path='nobody/no-such-set', size=32, seed=0)\n"
        f"try:\n    data.prepare('x', config, pathlib.Path({str(tmp_path)!r}))\n"
        "except UserError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path / "home"),
            "PATH": "",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert done.stdout.startswith("tasks.x.data: nobody/no-such-set (name None, split train) cannot be read at row 0:")
    assert "the network was used" not in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("single", [False, True])
def test_without_a_test_split_a_part_is_held_out(tmp_path, images, single):
    pixels, labels = images["train"]
    path = tmp_path / ("all.parquet" if single else "data/train-00000-of-00001.parquet")
    write_parquet(path, pixels, labels)
    section = hub(path if single else tmp_path / "data", heldout_fraction=0.3)
    data.prepare("pictures", section, tmp_path / "output")
    train, heldout = (np.load(tmp_path / "output" / f"{name}.npy") for name in ("train", "heldout"))
    assert (len(train), len(heldout)) == (5, 2)
    wanted = {x.transpose(2, 0, 1).tobytes(): label for x, label in zip(pixels, labels, strict=True)}
    found = np.concatenate([np.load(tmp_path / "output" / f"{name}_labels.npy") for name in ("train", "heldout")])
    assert {x.tobytes(): label for x, label in zip([*train, *heldout], found, strict=True)} == wanted
    assert "30% of it held out" in json.loads((tmp_path / "output" / "meta.json").read_text())["corpus"]["source"]
    assert_one_line(section.model_copy(update={"test_split": "test"}), tmp_path / "no", r"split test\) cannot be read")


def test_images_without_labels(tmp_path, images, parquet):
    data.prepare("pictures", hub(parquet, label_column=None), tmp_path / "output")
    assert not np.load(tmp_path / "output" / "train_labels.npy").any()
    assert json.loads((tmp_path / "output" / "meta.json").read_text())["corpus"]["classes"] == 1
    assert_one_line(hub(parquet, label_column="fine"), tmp_path / "no", "null for images without labels")
