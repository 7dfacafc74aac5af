import json

import numpy as np
import pytest
from PIL import Image
from small_images import SIZE, assert_one_line, load

from mdm_prime import data
from mdm_prime.data.images.photos import PhotosData


def photographs(folder=None, **changes):
    values = {"size": SIZE, "train_images": 12, "test_images": 5, "seed": 0} | changes
    return PhotosData(kind="photos", folder=folder and str(folder), **values)


@pytest.fixture
def two_photographs(tmp_path):
    """200x100 and 96x120 pixels; red is 255 in the third and seventh eighth, else 0; green tells which it is."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate([(100, 200), (120, 96)]):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        pixels[:, :, 0] = np.where(np.isin(np.arange(width) * 8 // width, (2, 6)), 255, 0)
        pixels[:, :, 1] = 100 * i
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_crops_of_the_splits_share_no_pixel_of_a_photograph(tmp_path, two_photographs):
    data.prepare("pictures", photographs(two_photographs, train_images=400, test_images=101), tmp_path / "output")
    found = load(tmp_path / "output")
    for split, red in (("train", 0), ("test", 255)):
        pixels, labels = found[split]
        assert (pixels[:, 0] == red).all()
        assert (pixels[:, 1] == 100 * labels[:, None, None]).all()
        assert len(np.unique(pixels.reshape(len(pixels), -1), axis=0)) == len(pixels)
        assert np.ptp(np.bincount(labels)) <= 1
    meta = json.loads((tmp_path / "output" / "meta.json").read_text())
    assert meta["corpus"]["source"] == "2 photographs of photographs"
    assert meta["corpus"]["classes"] == 2
    assert str(tmp_path) not in json.dumps(meta)


@pytest.mark.parametrize("across", [4, 8])
def test_photographs_are_reduced_to_so_many_crops_across(tmp_path, two_photographs, across):
    """Blue rises by 1 a pixel down: by 100 / 32 in a photograph reduced from a height of 100 to 8 crops of 4."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :, 2] = np.arange(100)[:, None]
    for path in two_photographs.iterdir():
        Image.fromarray(pixels).save(path)
    data.prepare("pictures", photographs(two_photographs, crops_across=across), tmp_path / "output")
    blue = load(tmp_path / "output")["train"][0][:, 2].astype(float)
    np.testing.assert_allclose((blue[:, -1] - blue[:, 0]) / (SIZE - 1), 100 / (across * SIZE), atol=0.5)


def test_gray_crops_are_those_in_colours_without_the_colours(tmp_path, two_photographs):
    """Within a gray level or two: a photograph is reduced after its colours are taken away."""
    crops = {}
    for channels in (1, 3):
        section = photographs(two_photographs, channels=channels)
        data.prepare("pictures", section, tmp_path / str(channels))
        crops[channels], _ = load(tmp_path / str(channels), channels)["train"]
    assert crops[1].shape == (12, 1, SIZE, SIZE)
    weights = np.array([0.299, 0.587, 0.114])[:, None, None]  # of ITU-R 601-2
    np.testing.assert_allclose(crops[1][:, 0], (crops[3] * weights).sum(1), atol=2)


def test_scikit_learns_photographs_in_gray(tmp_path):
    data.prepare("pictures", photographs(size=8, channels=1, train_images=100, test_images=20), tmp_path / "output")
    train = np.load(tmp_path / "output" / "train.npy")
    assert train.shape == (100, 64)
    assert json.loads((tmp_path / "output" / "meta.json").read_text())["corpus"]["channels"] == 1
    assert len(np.unique(train)) > 100  # of 256 levels


def test_a_small_photograph_is_not_enlarged(tmp_path):
    """Every crop of a 32x4 photograph: 5, 9 and 1 positions between and beside the two strips that are for tests."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (SIZE, 8 * SIZE, 3), dtype=np.uint8)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(values).save(folder / name)
    data.prepare("pictures", photographs(folder, train_images=30, test_images=4), tmp_path / "output")
    found = load(tmp_path / "output")
    places = {"train": [*range(5), *range(12, 21), 28], "test": [8, 24]}
    for label in (0, 1):
        for split, (pixels, labels) in found.items():
            wanted = {values[:, i : i + SIZE].transpose(2, 0, 1).tobytes() for i in places[split]}
            assert {image.tobytes() for image in pixels[labels == label]} == wanted

    more = photographs(folder, train_images=31, test_images=4)
    assert_one_line(more, tmp_path / "more", r"train_images is 31, 16 of them from a\.png, which has 15 different")


def test_more_training_crops_leave_the_test_crops_as_they_are(tmp_path, two_photographs):
    for number in (12, 20):
        data.prepare("pictures", photographs(two_photographs, train_images=number), tmp_path / str(number))
    assert (tmp_path / "12" / "heldout.npy").read_bytes() == (tmp_path / "20" / "heldout.npy").read_bytes()


def test_the_photographs_of_scikit_learn_need_no_folder(tmp_path):
    config = photographs(size=16, train_images=200, test_images=50)
    for name in ("first", "second"):
        data.prepare("pictures", config, tmp_path / name)
    assert (tmp_path / "first" / "train.npy").read_bytes() == (tmp_path / "second" / "train.npy").read_bytes()
    train = np.load(tmp_path / "first" / "train.npy")
    assert (train.shape, train.dtype) == ((200, 768), np.uint8)
    assert np.median(train.std(1)) > 20  # crops that show something


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_a_photograph_of_any_mode_of_8_bits_will_do(tmp_path, two_photographs, mode):
    Image.open(two_photographs / "1.png").convert(mode).save(two_photographs / "1.png")
    data.prepare("pictures", photographs(two_photographs), tmp_path / "output")


PHOTO_ERRORS = {
    "empty": (lambda folder: [path.unlink() for path in folder.iterdir()], {}, "holds no files"),
    "text": (lambda folder: (folder / "0.png").write_text("no image"), {}, r"0\.png cannot be read \(cannot identify"),
    "cut": (
        lambda folder: (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:2000]),
        {},
        r"0\.png cannot be read",
    ),
    "another file": (lambda folder: (folder / "notes.txt").write_text("x"), {}, r"notes\.txt cannot be read"),
    "narrow": (
        lambda folder: Image.new("RGB", (8 * SIZE - 1, 50)).save(folder / "0.png"),
        {},
        r"0\.png is 31x50 pixels; allowed: a width of 32 and a height of 4 or more",
    ),
    "low": (lambda folder: Image.new("RGB", (50, SIZE - 1)).save(folder / "0.png"), {}, r"0\.png is 50x3 pixels"),
    "16 bits": (
        lambda folder: Image.fromarray(np.full((50, 50), 60_000, np.uint16)).save(folder / "0.png"),
        {},
        r"0\.png cannot be read \(its mode is I;16",
    ),
    "fewer than photographs": (
        lambda folder: Image.new("RGB", (50, 50)).save(folder / "2.png"),
        {"test_images": 2},
        r"tasks\.pictures\.data\.test_images is 2; allowed: at least 3",
    ),
}


@pytest.mark.parametrize("case", PHOTO_ERRORS)
def test_errors_of_photographs_are_one_line(tmp_path, two_photographs, case):
    damage, changes, message = PHOTO_ERRORS[case]
    damage(two_photographs)
    assert_one_line(photographs(two_photographs, **changes), tmp_path / "output", message)


def test_hidden_files_are_no_photographs(tmp_path, two_photographs):
    (two_photographs / ".hidden").write_text("x")
    data.prepare("pictures", photographs(two_photographs), tmp_path / "output")
