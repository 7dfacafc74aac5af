import numpy as np
import pytest
import torch
from torch import nn

from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.images import Classifier
from mdm_prime.networks.modules.classifier import ImageClassifier
from mdm_prime.training.classifier import accuracy, train_classifier

CPU = torch.device("cpu")
SETTINGS = Classifier(width=16, num_features=16, steps=100, batch_size=64, learning_rate=5e-3, seed=0)


@pytest.fixture(scope="module")
def digits():
    """1,500 images to learn from and 297 to test on, with labels."""
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_digits()
    images = np.rint(bunch.images[:, None] * 255 / 16).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], bunch.target[order].astype(np.int64)
    return images[:1500], labels[:1500], images[1500:], labels[1500:]


def fresh():
    torch.manual_seed(0)
    return ImageClassifier(channels=1, size=8, num_classes=10, width=16, num_features=16)


def trained(images, labels, settings=SETTINGS, report=lambda step, loss: None):
    network = fresh()
    train_classifier(network, images, labels, settings, CPU, report)
    return network


def test_it_learns_digits(digits):
    images, labels, test_images, test_labels = digits
    assert accuracy(fresh(), test_images, test_labels, 100, CPU) < 0.4
    reports = []
    network = trained(images, labels, report=lambda *report: reports.append(report))
    assert not network.training
    assert accuracy(network, test_images, test_labels, 100, CPU) > 0.9
    assert [step for step, _ in reports] == [20, 40, 60, 80, 100]
    assert reports[-1][1] < reports[0][1]


def test_the_seed_gives_the_same_bits_and_another_seed_others(digits):
    images, labels = digits[:2]
    short = SETTINGS.model_copy(update={"steps": 5})
    one, same, other = (
        trained(images, labels, short.model_copy(update={"seed": seed})).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_memory_mapped_images(digits, tmp_path):
    images, labels = digits[:2]
    np.save(tmp_path / "images.npy", images)
    short = SETTINGS.model_copy(update={"steps": 3})
    mapped = trained(np.load(tmp_path / "images.npy", mmap_mode="r"), labels, short).state_dict()
    plain = trained(images, labels, short).state_dict()
    assert all(torch.equal(mapped[name], plain[name]) for name in plain)


class Counting(nn.Module):
    """Notes which images it is shown; an image holds its own number."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))
        self.shown = []

    def forward(self, images):
        self.shown += images[:, 0, 0, 0].tolist()
        return self.bias.expand(len(images), 2)


@pytest.mark.parametrize("batch_size", [4, 25])
def test_every_image_is_shown_equally_often(batch_size):
    images, labels = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.zeros(10, np.int64)
    network = Counting()
    settings = SETTINGS.model_copy(update={"batch_size": batch_size, "steps": 100 // batch_size})
    train_classifier(network, images, labels, settings, CPU)
    passes = np.array(network.shown).reshape(10, 10)
    assert (np.sort(passes) == np.arange(10)).all()
    assert len({tuple(row) for row in passes.tolist()}) > 1


def test_accuracy_counts_every_image_once():
    images, labels = np.zeros((7, 1, 1, 1), np.uint8), np.array([0, 0, 0, 0, 0, 1, 1])
    for batch_size in (1, 3, 7, 100):
        assert accuracy(Counting(), images, labels, batch_size, CPU) == pytest.approx(5 / 7)


def test_a_loss_that_is_not_finite_is_one_line(digits):
    with pytest.raises(UserError, match=r"the loss is not finite at step 20; lower classifier.learning_rate"):
        trained(*digits[:2], SETTINGS.model_copy(update={"learning_rate": 1e30}))
