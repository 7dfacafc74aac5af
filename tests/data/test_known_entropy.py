import itertools
import json

import numpy as np
import pytest

from mdm_prime import data
from mdm_prime.data import arrays, known_entropy
from mdm_prime.data.known_entropy import KnownEntropyData, MarkovSource
from mdm_prime.errors import UserError
from mdm_prime.results.data_set import DataSet

CONFIG = KnownEntropyData(
    kind="known_entropy",
    vocab_size=5,
    length=3,
    concentration=0.4,
    train_sequences=400,
    heldout_sequences=100,
    seed=7,
)


def all_sequences(source):
    """Every x (V^L, L) and its probability, multiplied out."""
    x = np.array(list(itertools.product(range(source.vocab_size), repeat=source.length)))
    p = source.initial[x[:, 0]].copy()
    for i in range(1, source.length):
        p *= source.transition[x[:, i - 1], x[:, i]]
    return x, p


def test_initial_distribution_is_stationary():
    source = known_entropy.make_source(CONFIG)
    np.testing.assert_allclose(source.initial @ source.transition, source.initial, atol=1e-14)
    np.testing.assert_allclose(source.transition.sum(1), 1.0, atol=1e-14)
    assert source.initial.sum() == pytest.approx(1.0, abs=1e-14)


def test_a_source_in_parts_is_refused():
    with pytest.raises(ValueError, match="larger concentration"):
        known_entropy.stationary(np.eye(3))


@pytest.mark.parametrize("stationary", [True, False])
def test_entropy_is_that_of_all_sequences(stationary):
    source = known_entropy.make_source(CONFIG)
    if not stationary:
        source = MarkovSource(np.array([0.7, 0.3, 0.0, 0.0, 0.0]), source.transition, source.length)
    _, p = all_sequences(source)
    p = p[p > 0]
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    assert known_entropy.entropy_per_token(source) == pytest.approx(-(p @ np.log(p)) / source.length, abs=1e-12)


def test_entropy_of_fair_dice():
    source = MarkovSource(np.full(6, 1 / 6), np.full((6, 6), 1 / 6), length=10)
    assert known_entropy.entropy_per_token(source) == pytest.approx(np.log(6), abs=1e-14)


def test_samples_have_the_distribution():
    source = known_entropy.make_source(CONFIG)
    num = 50_000
    x = known_entropy.sample(source, num, np.random.default_rng(0))
    sequences, p = all_sequences(source)
    place_values = source.vocab_size ** np.arange(source.length)[::-1]
    counts = np.bincount(x @ place_values, minlength=len(sequences))
    often = num * p > 5
    chi_square = (((counts - num * p) ** 2)[often] / (num * p)[often]).sum()
    assert chi_square < often.sum() + 5 * np.sqrt(2 * often.sum())
    assert counts[~often].sum() < 2 * num * p[~often].sum() + 20


def test_a_token_without_probability_is_never_drawn():
    source = MarkovSource(np.array([0.0, 1.0, 0.0]), np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0, 1.0, 0]]), length=50)
    x = known_entropy.sample(source, 2000, np.random.default_rng(0))
    assert set(np.unique(x)) == {1, 2}
    assert (x[:, 0] == 1).all()


def test_prepare_writes_all_files_and_the_same_bytes_again(tmp_path):
    for name in ("first", "second"):
        data.prepare("known_entropy", CONFIG, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted(KnownEntropyData.outputs)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()

    train = np.load(tmp_path / "first" / "train.npy", mmap_mode="r")
    assert train.shape == (400, 3)
    assert train.dtype == np.uint8
    meta = json.loads((tmp_path / "first" / "meta.json").read_text())
    assert tuple(meta) == tuple(DataSet.model_fields)
    source = known_entropy.load_source(tmp_path / "first", 3)
    assert source.length == 3
    assert meta["entropy_per_token"] == known_entropy.entropy_per_token(source)
    np.testing.assert_array_equal(source.transition, known_entropy.make_source(CONFIG).transition)


def test_more_training_data_leaves_source_and_heldout_data_as_they_are(tmp_path):
    data.prepare("known_entropy", CONFIG, tmp_path / "small")
    data.prepare("known_entropy", CONFIG.model_copy(update={"train_sequences": 401}), tmp_path / "large")
    for name in ("heldout.npy", "source.npz"):
        assert (tmp_path / "small" / name).read_bytes() == (tmp_path / "large" / name).read_bytes()
    assert len(np.load(tmp_path / "large" / "train.npy")) == 401


def test_seed_matters():
    other = known_entropy.make_source(CONFIG.model_copy(update={"seed": 8}))
    assert not np.allclose(other.transition, known_entropy.make_source(CONFIG).transition)


def test_an_interrupted_run_leaves_no_meta_json(tmp_path, monkeypatch):
    data.prepare("known_entropy", CONFIG, tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(known_entropy, "sample", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.prepare("known_entropy", CONFIG, tmp_path)
    assert not (tmp_path / "meta.json").exists()


@pytest.mark.parametrize("damage", ["", "not a zip file"])
def test_a_damaged_source_is_one_line(tmp_path, damage):
    data.prepare("known_entropy", CONFIG, tmp_path)
    (tmp_path / "source.npz").write_text(damage)
    with pytest.raises(UserError, match=r"source\.npz.*run the pipeline again") as error:
        known_entropy.load_source(tmp_path, 3)
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        data.prepare("known_entropy", CONFIG, tmp_path / "file" / "data")


def test_a_data_set_belongs_to_the_task_it_is_prepared_for(tmp_path):
    data.prepare("another", CONFIG, tmp_path)
    assert json.loads((tmp_path / "meta.json").read_text())["task"] == "another"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CONFIG.outputs)


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65_536, np.uint16), (65_537, np.uint32)],
)
def test_token_dtype_holds_every_token(vocab_size, dtype):
    assert arrays.token_dtype(vocab_size) == dtype
    assert np.array(vocab_size - 1).astype(arrays.token_dtype(vocab_size)) == vocab_size - 1


def test_sequences_written_in_parts_are_the_stream_cut(tmp_path):
    rng = np.random.default_rng(0)
    stream = rng.integers(0, 70_000, size=10_000)
    with arrays.writing_sequences(tmp_path / "x.npy", 70_000, 7) as writer:
        for part in np.split(stream, np.sort(rng.integers(0, 10_000, size=300))):
            writer.append(part)
    written = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert written.dtype == np.uint32
    np.testing.assert_array_equal(written, stream[: 1428 * 7].reshape(1428, 7))
    assert (writer.sequences, writer.tokens) == (1428, 10_000)


def test_sequences_are_there_whole_or_not_at_all(tmp_path):
    def interrupted():
        with arrays.writing_sequences(tmp_path / "x.npy", 10, 2) as writer:
            writer.append(np.arange(10))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
