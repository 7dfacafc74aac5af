import numpy as np
import pytest

from mdm_prime.evaluation.independent_pixels import independent_pixels
from mdm_prime.evaluation.nearest import memorised, nearest_distances


def pixels(seed, count, length=48, vocab_size=256):
    return np.random.default_rng(seed).integers(0, vocab_size, (count, length), dtype=np.uint8)


@pytest.mark.parametrize("vocab_size", [17, 256])
def test_against_the_definition(vocab_size):
    images, train = pixels(0, 20, vocab_size=vocab_size), pixels(1, 30, vocab_size=vocab_size)
    differences = images[:, None].astype(np.float64) - train[None]
    expected = np.sqrt((differences**2).mean(-1)).min(1) / (vocab_size - 1)
    found = nearest_distances(images, train, vocab_size)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_copy_is_at_distance_zero_exactly():
    """Also where float32 could not tell: 3,072 channels sum to more than 2**24."""
    train = 255 - pixels(0, 50, length=3072) // 8
    assert (nearest_distances(train[[3, 40]], train, 256) == 0).all()
    almost = train[[3]].copy()
    almost[0, 0] -= 1
    assert nearest_distances(almost, train, 256) == pytest.approx(1 / 255 / np.sqrt(3072), rel=1e-12)


def test_the_range_ends_at_one():
    assert nearest_distances(np.zeros((1, 4), np.uint8), np.full((2, 4), 16, np.uint8), 17) == pytest.approx(1)


@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_the_chunk_changes_nothing(chunk):
    images, train = pixels(0, 20), pixels(1, 33)
    assert np.array_equal(nearest_distances(images, train, 256, chunk=chunk), nearest_distances(images, train, 256))


def test_memory_mapped_images(tmp_path):
    np.save(tmp_path / "train.npy", pixels(0, 33))
    train = np.load(tmp_path / "train.npy", mmap_mode="r")
    assert np.array_equal(
        nearest_distances(pixels(1, 5), train, 256, chunk=8), nearest_distances(pixels(1, 5), pixels(0, 33), 256)
    )


def test_memorised_images_are_near_copies():
    train = pixels(0, 40) // 2 + 60
    signs = np.random.default_rng(1).choice([-1, 1], (3, 48))
    near = (train[:3] + 2 * signs).astype(np.uint8)  # 0.8 % of the range
    far = (train[:3] + 5 * signs).astype(np.uint8)  # 2 % of it
    distances = nearest_distances(np.concatenate([train[:2], near, far]), train, 256)
    assert list(distances < 0.01) == [True] * 5 + [False] * 3
    assert memorised(distances) == pytest.approx(5 / 8)
    assert distances[-1] == pytest.approx(5 / 255)


def test_independent_pixels_keep_each_pixels_histogram_and_nothing_else():
    rng = np.random.default_rng(0)
    one = rng.choice(np.array([0, 3, 9], np.uint8), 2000, p=[0.2, 0.3, 0.5])
    train = np.stack([one, one, np.full_like(one, 5)], axis=1)  # two equal pixels and a constant one
    found = independent_pixels(train, 4000, seed=0)
    assert (found.dtype, found.shape) == (np.uint8, (4000, 3))
    assert (found[:, 2] == 5).all()
    for pixel in (0, 1):
        share = (found[:, pixel, None] == [0, 3, 9]).mean(0)
        expected = (one[:, None] == [0, 3, 9]).mean(0)
        assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / 4000)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 4 / np.sqrt(4000)


def test_independent_pixels_depend_on_the_seed_alone():
    train = pixels(0, 30)
    assert np.array_equal(independent_pixels(train, 5, 1), independent_pixels(train, 5, 1))
    assert not np.array_equal(independent_pixels(train, 5, 1), independent_pixels(train, 5, 2))
