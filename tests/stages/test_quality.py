"""The stages `features` and `quality` on hand-made images and samples."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

import small_results

RUN = "digits/l3/seed0"
SCORES = [
    "distance",
    "inception_score",
    "inception_score_stderr",
    "kid",
    "kid_stderr",
    "precision",
    "recall",
    "memorised",
    "nearest",
    "num_samples",
]
SAMPLERS = [
    small_results.drawn(1.0, kind="euler", num_steps=1, distribution="marginals"),
    small_results.drawn(192.0, kind="first_hitting"),
]
DESCRIBED = small_results.samples(*SAMPLERS)


def blobs(seed, count):
    """(count, 64) pixels in 0..16 and labels: a bright square in one of three corners, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 5, (count, 8, 8))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 12
    return images.reshape(count, 64).astype(np.uint8), labels


def write_data(workplace, task="digits", vocab_size=17, classes=3, sha256="a" * 64, splits=None):
    folder = workplace.root / task / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split, (pixels, labels) in (splits or {"train": blobs(0, 120), "heldout": blobs(1, 60)}).items():
        np.save(folder / f"{split}.npy", pixels)
        np.save(folder / f"{split}_labels.npy", labels.astype(np.int64))
    corpus = {"name": task, "classes": classes}
    length = workplace.workspace.config.task(task).data.length
    meta = small_results.data_set(task=task, vocab_size=vocab_size, length=length, sha256=sha256, corpus=corpus)
    (folder / "meta.json").write_text(json.dumps(meta))


def write_samples(workplace, samples, run=RUN, **changes):
    folder = workplace.file(run, "samples.npy").parent
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "samples.npy", samples)
    (folder / "samples.json").write_text(json.dumps(DESCRIBED | changes))


def change(workplace, section, **values):
    workplace.set("digits", section, **values)


def read(workplace, name):
    return json.loads((workplace.root / name).read_text())


def with_images(workplace):
    """Images, and samples: of the one sampler copies of training images, of the other noise."""
    del workplace.values["tasks"]["photos"]
    change(workplace, "classifier", width=8, num_features=8, steps=60, batch_size=30, learning_rate=5e-3)
    change(workplace, "fidelity", inception_weights=None, kid_subset_size=50, neighbours=3)
    write_data(workplace)
    noise = np.random.default_rng(2).integers(0, 17, (60, 64), dtype=np.uint8)
    write_samples(workplace, np.stack([blobs(0, 120)[0][:60], noise]))


def with_features(workplace):
    with_images(workplace)
    assert workplace.run("features", "digits") == 0


@pytest.fixture
def images(workplace):
    with_images(workplace)
    return workplace


@pytest.fixture
def measured(workplace, once):
    return once(workplace, with_features)


def fails(workplace, capsys, *verb):
    """The one line of a user's error."""
    capsys.readouterr()
    assert workplace.run(*verb) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mdm-prime:")]
    return line


def test_features_of_a_classifier(measured):
    found = read(measured, "digits/features/baselines.json")
    assert list(found) == ["task", "dataset", "features", "distance_name", "classifier_accuracy", "rows"]
    assert found["task"] == "digits"
    assert (found["features"], found["distance_name"]) == ("digits classifier", "fd_digits")
    assert found["classifier_accuracy"] > 0.9
    real, independent = found["rows"]
    assert list(real) == list(independent) == [*SCORES, "baseline"]
    assert (real["baseline"], independent["baseline"]) == ("real test images", "independent pixels")
    assert real["distance"] < independent["distance"]
    assert real["inception_score"] > independent["inception_score"]
    assert real["precision"] > independent["precision"]
    assert 0 < real["nearest"] < independent["nearest"] < 1
    assert real["memorised"] == 0
    assert real["num_samples"] == independent["num_samples"] == 60
    with safe_open(measured.root / "digits/features/classifier.safetensors", "pt") as file:
        assert json.loads(file.metadata()["json"])["digest"].endswith("a" * 64)


def test_quality_of_samples(measured):
    assert measured.run("quality", RUN) == 0
    found = json.loads(measured.file(RUN, "quality.json").read_text())
    head = list(small_results.FACTS)
    assert list(found) == [*head, "dataset", "features", "distance_name", "rows"]
    assert {key: found[key] for key in head} == {key: DESCRIBED[key] for key in head}
    assert (found["features"], found["distance_name"]) == ("digits classifier", "fd_digits")
    copies, noise = found["rows"]
    assert list(copies) == [*SCORES, "sampler", "distribution", "nfe"]
    assert [(row["sampler"], row["nfe"]) for row in (copies, noise)] == [
        ("euler-1", 1.0),
        ("first_hitting", 192.0),
    ]
    assert (copies["memorised"], copies["nearest"], copies["precision"]) == (1, 0, 1)
    assert noise["memorised"] == 0
    assert noise["nearest"] > 0.1
    assert noise["distance"] > 10 * copies["distance"]


def test_real_images_score_the_same_in_both_stages(measured):
    """What is compared with what, and at which brightness, is the same for samples and for baselines."""
    real = blobs(1, 60)[0]
    write_samples(measured, real[None], samplers=SAMPLERS[:1])
    assert measured.run("quality", RUN) == 0
    (row,) = json.loads(measured.file(RUN, "quality.json").read_text())["rows"]
    baseline = read(measured, "digits/features/baselines.json")["rows"][0]
    assert {key: row[key] for key in SCORES} == {key: baseline[key] for key in SCORES}


def test_the_same_bytes_again(measured):
    paths = [
        *(measured.root / "digits/features" / name for name in ("classifier.safetensors", "baselines.json")),
        measured.file(RUN, "quality.json"),
    ]
    assert measured.run("quality", RUN) == 0
    first = [path.read_bytes() for path in paths]
    torch.manual_seed(1)  # what else has drawn random numbers does not matter
    for verb in (("features", "digits"), ("quality", RUN)):
        assert measured.run(*verb) == 0
    assert [path.read_bytes() for path in paths] == first


def test_metrics_bear_the_name_of_their_distance(measured):
    assert measured.run("quality", RUN) == 0
    (journal,) = (measured.results / "tracking").glob("quality-*.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    values = [event["values"] for event in events if event["event"] == "metrics"]
    assert [next(iter(row)) for row in values] == ["euler-1-marginals/fd_digits", "first_hitting-joint/fd_digits"]


@pytest.mark.parametrize(
    "shape", [(2, 60, 63), (1, 60, 64), (60, 64)], ids=["other length", "a sampler too few", "no samplers"]
)
def test_samples_of_another_shape_are_one_line(measured, capsys, shape):
    write_samples(measured, np.zeros(shape, np.uint8))
    line = fails(measured, capsys, "quality", RUN)
    assert f"has shape {shape}, wanted (2, N, 64); draw them again: {measured.hint('sample', RUN)}" in line


@pytest.mark.parametrize("samples", [np.full((2, 60, 64), 17, np.uint8), np.zeros((2, 60, 64), np.int64)])
def test_samples_that_are_no_pixels_are_one_line(measured, capsys, samples):
    write_samples(measured, samples)
    assert "should be uint8 values below 17" in fails(measured, capsys, "quality", RUN)


def test_too_few_samples_are_one_line(measured, capsys):
    write_samples(measured, np.zeros((2, 40, 64), np.uint8))
    line = fails(measured, capsys, "quality", RUN)
    assert "fidelity.kid_subset_size: too large for 40 images" in line
    assert not measured.file(RUN, "quality.json").exists()


@pytest.mark.parametrize("name", ["samples.npy", "samples.json"])
def test_missing_samples_are_one_line(measured, capsys, name):
    measured.file(RUN, name).unlink()
    assert f"{name}: cannot be read" in fails(measured, capsys, "quality", RUN)


def test_a_missing_classifier_is_one_line(images, capsys):
    assert "classifier.safetensors: cannot be read" in fails(images, capsys, "quality", RUN)


@pytest.mark.parametrize("other", ["data", "parameters"])
def test_a_classifier_of_other_data_or_parameters_is_refused(measured, capsys, other):
    if other == "data":
        write_data(measured, sha256="b" * 64)
    else:
        change(measured, "classifier", learning_rate=1e-3)
    line = fails(measured, capsys, "quality", RUN)
    assert line.endswith(f"trained with other parameters or data; make it again: {measured.hint('features', 'digits')}")


def test_images_without_labels_are_told_apart_by_how_they_are_turned(images):
    squares = {split: blobs(seed, 360)[0][::3] for seed, split in enumerate(("train", "heldout"))}  # in one corner
    write_data(images, classes=1, splits={split: (pixels, np.zeros(120)) for split, pixels in squares.items()})
    noise = np.random.default_rng(2).integers(0, 17, (60, 64), dtype=np.uint8)
    write_samples(images, np.stack([squares["train"][:60], noise]))
    assert images.run("features", "digits") == 0
    assert images.run("quality", RUN) == 0
    found = read(images, "digits/features/baselines.json")
    assert found["classifier_accuracy"] > 0.6  # by chance 0.25
    assert found["distance_name"] == "fd_digits"
    likeness, noise = read(images, "digits/quality/l3/seed0.json")["rows"]
    assert likeness["distance"] < noise["distance"]


@pytest.mark.parametrize("labels", [None, np.zeros(5, np.int64), np.full(120, 3), np.full(120, -1)])
def test_labels_that_fit_nothing_are_one_line(images, capsys, labels):
    path = images.root / "digits/data/train_labels.npy"
    if labels is None:
        path.unlink()
    else:
        np.save(path, labels)
    line = fails(images, capsys, "features", "digits")
    assert "train_labels.npy: " in line
    assert line.endswith(f"make it with: {images.hint('data', 'digits')}")


def test_a_task_without_images_is_one_line(images, capsys):
    assert "'text' is not in scale 'tiny'; allowed: digits" in fails(images, capsys, "features", "text")


class FakeInception(torch.nn.Module):
    """Stands in for Inception, whose weights are not at hand: a fixed linear map of the pixels."""

    def __init__(self, weights):
        super().__init__()
        self.map = torch.nn.Parameter(torch.randn(64, 12, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        features = images.flatten(1).float() @ self.map / 1000
        return features, features[:, :4]


def test_with_inception_the_distance_is_fid_and_there_is_no_classifier(images, monkeypatch, tmp_path):
    monkeypatch.setattr("mdm_prime.stages.features.InceptionFeatures", FakeInception)
    weights = tmp_path / "inception.pth"
    weights.touch()
    change(images, "fidelity", inception_weights=str(weights))
    assert images.run("features", "digits") == 0
    assert images.run("quality", RUN) == 0
    for path in (images.root / "digits/features/baselines.json", images.file(RUN, "quality.json")):
        found = json.loads(path.read_text())
        assert (found["features"], found["distance_name"]) == ("inception", "fid")
    assert read(images, "digits/features/baselines.json")["classifier_accuracy"] is None
    assert not (images.root / "digits/features/classifier.safetensors").exists()


@pytest.mark.parametrize("verb", [("features", "digits"), ("quality", RUN)])
def test_missing_inception_weights_are_one_line(images, capsys, tmp_path, verb):
    change(images, "fidelity", inception_weights=str(tmp_path / "inception.pth"))
    line = fails(images, capsys, *verb)
    assert f"tasks.digits.fidelity.inception_weights: no such file: {tmp_path / 'inception.pth'}" in line


def test_images_of_three_channels_and_256_values(images):
    """Super-tokens are decoded before: their samples are pixels like any others."""
    rng = np.random.default_rng(0)
    photos = {"kind": "photos", "size": 8, "train_images": 60, "test_images": 30, "seed": 0}
    images.values["tasks"]["photos"] = images.values["tasks"]["digits"] | {
        "data": photos,
        "network": images.values["tasks"]["digits"]["network"] | {"width": 24, "head_width": 12},
        "models": ["super"],
        "variants": {"super": {"super_tokens": True}},
        "samplers": [{"kind": "first_hitting"}],
        "fidelity": {"inception_weights": None, "kid_subset_size": 20, "neighbours": 3, "batch_size": 16, "seed": 0},
    }
    splits = {
        name: (rng.integers(0, 256, (count, 192), dtype=np.uint8), np.arange(count) % 2)
        for name, count in (("train", 60), ("heldout", 30))
    }
    write_data(images, "photos", vocab_size=256, classes=2, splits=splits)
    run = "photos/super/seed0"
    changes = {"task": "photos", "variant": "super", "num_subtokens": 1, "super_tokens": True}
    write_samples(images, splits["train"][0][None, :30], run, samplers=SAMPLERS[:1], **changes)
    assert images.run("features", "photos") == 0
    assert images.run("quality", run) == 0
    found = json.loads(images.file(run, "quality.json").read_text())
    assert (found["super_tokens"], found["distance_name"]) == (True, "fd_photos")
    assert found["rows"][0]["memorised"] == 1
