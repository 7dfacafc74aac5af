import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mdm_prime.errors import UserError
from mdm_prime.evaluation import fidelity
from mdm_prime.evaluation.fidelity import ClassifierFeatures, InceptionFeatures, Scores, compare, to_bytes
from mdm_prime.experiment.sections.images import Fidelity

SETTINGS = Fidelity(inception_weights=None, kid_subset_size=60, neighbours=3, batch_size=50, seed=0)


class Linear(nn.Module):
    """Fixed random features of pixels, and logits that depend on them."""

    def __init__(self, channels=1, size=6, num_features=8, num_classes=4):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        draw = torch.randn(channels * size * size, num_features, generator=generator)
        self.project = nn.Parameter(draw / 20)
        self.weight = nn.Parameter(torch.randn(num_features, num_classes, generator=generator))

    def features(self, images):
        assert images.dtype == torch.uint8
        return torch.tanh((images.flatten(1) / 255 - 0.5) @ self.project * 10)

    def head(self, features):
        return features @ self.weight


@pytest.fixture
def extractor():
    return ClassifierFeatures(Linear())


def images_like(seed, count=200, shift=0, channels=1, size=6):
    """Smooth gray images: a random level, and a little noise."""
    rng = np.random.default_rng(seed)
    level = rng.integers(40, 160, (count, channels, 1, 1))
    noise = rng.integers(0, 40, (count, channels, size, size))
    return np.clip(level + noise + shift, 0, 255).astype(np.uint8)


def noisy(images, amount, seed=0):
    noise = np.random.default_rng(seed).normal(0, amount, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("vocab_size", [2, 3, 17, 255])
def test_to_bytes_uses_the_whole_range_evenly(vocab_size):
    levels = to_bytes(np.arange(vocab_size, dtype=np.uint8), vocab_size)
    assert levels.dtype == np.uint8
    assert (levels[0], levels[-1]) == (0, 255)
    assert np.abs(levels - np.arange(vocab_size) * 255 / (vocab_size - 1)).max() <= 0.5


def test_bytes_stay_as_they_are_without_a_copy():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert to_bytes(pixels, 256) is pixels


def test_a_value_outside_the_vocabulary_is_no_pixel():
    with pytest.raises(IndexError):
        to_bytes(np.array([17], dtype=np.uint8), 17)


def test_a_set_compared_with_itself(extractor):
    images = images_like(0)
    found = compare(images, images, extractor, SETTINGS)
    assert found.distance == pytest.approx(0, abs=1e-6)
    assert (found.precision, found.recall) == (1, 1)
    assert abs(found.kid) < 4 * found.kid_stderr


def test_the_distance_is_the_frechet_distance_of_two_gaussians(extractor):
    """Against the formula with scipy's matrix square root."""
    linalg = pytest.importorskip("scipy.linalg")
    one, other = images_like(0), images_like(1, shift=30)
    with torch.no_grad():
        a, b = (extractor(torch.from_numpy(images))[0].double().numpy() for images in (one, other))
    product = np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)
    spread = np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * linalg.sqrtm(product).real)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + spread
    assert compare(one, other, extractor, SETTINGS).distance == pytest.approx(expected, rel=1e-4)


def test_the_distance_grows_with_noise(extractor):
    reference = images_like(0)
    scores = [compare(noisy(images_like(1), amount), reference, extractor, SETTINGS) for amount in (0, 20, 80)]
    assert scores[0].distance < scores[1].distance < scores[2].distance
    assert scores[0].precision > scores[1].precision > scores[2].precision
    assert scores[2].kid > scores[0].kid + 2 * (scores[0].kid_stderr + scores[2].kid_stderr)


def test_precision_and_recall_are_not_exchanged(extractor):
    """Images of a part of the reference: all are real, but not all that is real is among them."""
    reference = images_like(0, count=300)
    part = reference[np.argsort(reference.mean((1, 2, 3)))[:100]]
    found = compare(part, reference, extractor, SETTINGS)
    assert found.precision == 1
    assert found.recall < 0.7
    back = compare(reference, part, extractor, SETTINGS)
    assert (back.precision, back.recall) == (found.recall, found.precision)


def test_the_order_of_the_reference_does_not_matter(extractor):
    images, reference = images_like(0), images_like(1)
    one = compare(images, reference, extractor, SETTINGS)
    other = compare(images, np.random.default_rng(0).permutation(reference), extractor, SETTINGS)
    assert other.distance == pytest.approx(one.distance, abs=1e-5)
    assert other[1:3] == one[1:3]
    assert other.kid == pytest.approx(one.kid, abs=4 * one.kid_stderr)  # other subsets
    assert other[5:] == one[5:]


def test_the_seed_decides(extractor):
    images, reference = images_like(0), images_like(1)
    one = compare(images, reference, extractor, SETTINGS)
    assert compare(images, reference, extractor, SETTINGS) == one
    other = compare(images, reference, extractor, SETTINGS.model_copy(update={"seed": 1}))
    assert other.kid != one.kid
    assert other.distance == one.distance


def test_the_batch_size_changes_nothing_that_counts(extractor):
    images, reference = images_like(0), images_like(1)
    one = compare(images, reference, extractor, SETTINGS)
    other = compare(images, reference, extractor, SETTINGS.model_copy(update={"batch_size": 7}))
    assert other == pytest.approx(one, abs=1e-5)


def test_more_neighbours_reach_further(extractor):
    images, reference = images_like(0), images_like(1)
    few, many = (
        compare(images, reference, extractor, SETTINGS.model_copy(update={"neighbours": neighbours}))
        for neighbours in (1, 10)
    )
    assert few.precision < many.precision
    assert few.recall < many.recall
    assert few[:5] == many[:5]


def test_features_of_the_reference_are_kept_between_calls(extractor, tmp_path):
    images, reference = images_like(0), images_like(1)
    plain = compare(images, reference, extractor, SETTINGS)
    assert compare(images, reference, extractor, SETTINGS, cache=tmp_path) == plain
    assert any(tmp_path.iterdir())
    nonsense = np.zeros_like(reference)  # not looked at again
    assert compare(images, nonsense, extractor, SETTINGS, cache=tmp_path) == plain
    assert compare(images, nonsense, extractor, SETTINGS) != plain


def test_inception_score_of_certain_and_of_unsure_logits():
    class Certain(Linear):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def features(self, images):
            self.classes = images[:, 0, 0, 0].long()
            return super().features(images)

        def head(self, features):
            return self.scale * torch.eye(4)[self.classes]

    images = images_like(0, count=400)
    images[:, 0, 0, 0] = np.arange(400) % 4
    certain, unsure = (compare(images, images, ClassifierFeatures(Certain(scale)), SETTINGS) for scale in (50.0, 0.0))
    assert 3.8 < certain.inception_score <= 4
    assert 0 < certain.inception_score_stderr < 0.1
    assert unsure[1:3] == (pytest.approx(1), pytest.approx(0))


def test_standard_error_of_kid(extractor):
    """It is about the spread over independent sets of images."""
    settings = SETTINGS.model_copy(update={"kid_subset_size": 80})
    found = [
        compare(images_like(2 * seed, 150, shift=15), images_like(2 * seed + 1, 400), extractor, settings)
        for seed in range(30)
    ]
    spread = np.std([scores.kid for scores in found], ddof=1)
    assert 0.6 * spread < np.mean([scores.kid_stderr for scores in found]) < 1.6 * spread


@pytest.mark.parametrize(
    ("count", "changes", "words"),
    [
        (59, {}, "fidelity.kid_subset_size: too large for 59 images"),
        (60, {"kid_subset_size": 10, "neighbours": 60}, "fidelity.neighbours: too large for 60 images"),
        (9, {"kid_subset_size": 5}, "only 9 images to compare; should be at least 10"),
    ],
)
def test_too_few_images_are_one_line(extractor, count, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        compare(images_like(0, count), images_like(1), extractor, SETTINGS.model_copy(update=changes))
    assert "\n" not in str(caught.value)


def test_subsets_of_all_images_have_no_spread(extractor):
    images = images_like(0, 60)
    with pytest.raises(UserError, match=r"fidelity.kid_subset_size: is 60, all images"):
        compare(images, images, extractor, SETTINGS)


def test_features_that_are_not_finite_are_one_line(extractor):
    nn.init.constant_(extractor.network.project, torch.nan)
    with pytest.raises(UserError, match="no distance"):
        compare(images_like(0), images_like(1), extractor, SETTINGS)
    nn.init.constant_(extractor.network.project, 1.0)
    assert isinstance(compare(images_like(0), images_like(1), extractor, SETTINGS), Scores)  # nothing left behind


def test_nothing_is_printed_or_warned_of(extractor):
    out, err = io.StringIO(), io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("always")
        compare(images_like(0), images_like(1), extractor, SETTINGS)
    assert (out.getvalue(), err.getvalue(), caught) == ("", "", [])


def test_memory_mapped_images(extractor, tmp_path):
    np.save(tmp_path / "images.npy", images_like(0))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert compare(mapped, images_like(1), extractor, SETTINGS) == compare(
        images_like(0), images_like(1), extractor, SETTINGS
    )


def test_only_inception_features_give_a_distance_called_fid():
    inception = SETTINGS.model_copy(update={"inception_weights": "inception.pth"})
    assert fidelity.distance_name("digits", SETTINGS) == "fd_digits"
    assert fidelity.features_name("digits", SETTINGS) == "digits classifier"
    assert fidelity.distance_name("digits", inception) == "fid"
    assert fidelity.features_name("digits", inception) == "inception"


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory):
    """A file of the shape of Inception's weights, of random numbers."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda url, progress: {})
        patch.setattr(nn.Module, "load_state_dict", lambda module, state: None)
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        torch.manual_seed(0)
        torch.save(FeatureExtractorInceptionV3("inception", ["2048"]).state_dict(), path)
    return path


def test_inception_takes_gray_images_as_three_equal_channels(inception_weights):
    inception = InceptionFeatures(inception_weights)
    gray = torch.from_numpy(images_like(0, count=2))
    features, logits = inception(gray)
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    colour, _ = inception(gray.repeat(1, 3, 1, 1))
    assert torch.equal(features, colour)
    assert features.std() > 0


@pytest.mark.parametrize("content", [None, b"", b"not weights", "tensor", "other keys", "cut short", "folder", "code"])
def test_a_file_that_is_no_inception_is_one_line(inception_weights, tmp_path, content):
    path = tmp_path / "weights.pth"
    if content == "tensor":
        torch.save(torch.zeros(3), path)
    elif content == "other keys":
        torch.save({"fc.weight": torch.zeros(3)}, path)
    elif content == "cut short":
        path.write_bytes(inception_weights.read_bytes()[:100_000])
    elif content == "folder":
        path.mkdir()
    elif content == "code":
        torch.save({"fc.weight": Trap(tmp_path / "ran")}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"fidelity.inception_weights: .*weights.pth: .*; give torch-fidelity's"
    ) as caught:
        InceptionFeatures(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


ADDRESS = "https://a.example/weights-inception-2015-12-05-6726825d.pth"


def test_weights_of_an_address_are_fetched_once(monkeypatch, tmp_path):
    fetched = []

    def fetch(address, path, digest):
        fetched.append((address, digest))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    assert [fidelity.downloaded(ADDRESS).read_bytes() for _ in range(2)] == [b"weights"] * 2
    assert fetched == [(ADDRESS, "6726825d")]


def test_weights_that_cannot_be_fetched_are_one_line(monkeypatch, tmp_path):
    def fetch(*_):
        raise RuntimeError('invalid hash value (expected "6726825d", got "0")')

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(UserError, match=r"6726825d\.pth: cannot be downloaded \(invalid hash .*\); give the"):
        InceptionFeatures(ADDRESS)


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)
