"""A seeded first-order Markov source: the data whose entropy is known, so that a wrong bound can be caught."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from mdm_prime import files
from mdm_prime.data import arrays
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.data import DataSection
from mdm_prime.results.data_set import DataSet


class KnownEntropyData(DataSection):
    """A seeded first-order Markov source whose entropy is known exactly."""

    outputs: ClassVar[tuple[str, ...]] = ("train.npy", "heldout.npy", "meta.json", "source.npz")
    kind: Literal["known_entropy"]
    vocab_size: Annotated[int, Field(ge=2)]
    length: PositiveInt
    concentration: PositiveFloat  # of the Dirichlet rows: small values make a sparse, predictable source
    train_sequences: PositiveInt
    heldout_sequences: PositiveInt

    def prepare(self, output: Path, task: str, key: str) -> None:
        """Writes the sequences, source.npz (initial, transition) and meta.json."""
        arrays.start(output)
        try:
            source = make_source(self)
        except ValueError as error:
            raise UserError(f"{key}: {error}") from None
        sizes = {"train": self.train_sequences, "heldout": self.heldout_sequences}
        for (name, size), rng in zip(sizes.items(), _generators(self)[1:], strict=True):
            x = sample(source, size, rng).astype(arrays.token_dtype(self.vocab_size))
            files.save_array(output / f"{name}.npy", x)
        files.save_arrays(output / "source.npz", initial=source.initial, transition=source.transition)
        arrays.save_meta(
            output,
            DataSet(
                task=task,
                vocab_size=self.vocab_size,
                length=self.length,
                train_sequences=self.train_sequences,
                heldout_sequences=self.heldout_sequences,
                entropy_per_token=entropy_per_token(source),
                sha256=hashlib.sha256(source.initial.tobytes() + source.transition.tobytes()).hexdigest(),
                corpus={"name": "Markov source", "concentration": self.concentration, "seed": self.seed},
                heldout_bytes=None,
            ),
        )


@dataclass(frozen=True)
class MarkovSource:
    """p(x) = initial[x_1] * transition[x_1, x_2] * ... * transition[x_{L-1}, x_L].

    Attributes:
        initial: (V,) float64, sums to 1.
        transition: (V, V) float64, every row sums to 1.
        length: L.
    """

    initial: NDArray[np.float64]
    transition: NDArray[np.float64]
    length: int

    @property
    def vocab_size(self) -> int:
        return len(self.initial)


def make_source(config: KnownEntropyData) -> MarkovSource:
    """Rows drawn from Dirichlet(concentration); the initial distribution is the stationary one."""
    rng = _generators(config)[0]
    transition = rng.dirichlet(np.full(config.vocab_size, config.concentration), size=config.vocab_size)
    transition /= transition.sum(1, keepdims=True)
    return MarkovSource(stationary(transition), transition, config.length)


def stationary(transition: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution pi, (V,), with pi @ transition = pi.

    Raises ValueError when there is more than one, as rows of very small concentration can have it.
    """
    size = len(transition)
    balance = np.vstack([transition.T - np.eye(size), np.ones(size)])
    pi, _, rank, _ = np.linalg.lstsq(balance, np.append(np.zeros(size), 1.0), rcond=None)
    if rank < size:
        raise ValueError("the source falls into parts; give a larger concentration or another seed")
    pi = np.clip(pi, 0.0, None)
    return np.asarray(pi / pi.sum())


def entropy_per_token(source: MarkovSource) -> float:
    """Exact entropy of a sequence in nats, divided by its length.

    With a stationary initial distribution pi it is [H(pi) + (L-1) sum_a pi(a) H(transition[a])] / L.
    """
    rows = _entropy(source.transition)
    total = float(_entropy(source.initial))
    marginal = source.initial
    for _ in range(source.length - 1):
        total += float(marginal @ rows)
        marginal = marginal @ source.transition
    return total / source.length


def sample(source: MarkovSource, num: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws `num` sequences, (num, L) int64."""
    x = np.empty((num, source.length), np.int64)
    x[:, 0] = np.searchsorted(_cumulative(source.initial), rng.random(num), side="right")
    steps = _cumulative(source.transition)
    for i in range(1, source.length):
        uniform = rng.random(num)
        for a in range(source.vocab_size):
            here = x[:, i - 1] == a
            x[here, i] = np.searchsorted(steps[a], uniform[here], side="right")
    return x


def load_source(folder: str | Path, length: int) -> MarkovSource:
    """The source of sequences of that length that `prepare` wrote into `folder`.

    Raises UserError when its file is missing or damaged.
    """
    path = Path(folder) / "source.npz"
    stored = files.load_arrays(path)
    with files.one_line(path, "no Markov source"):
        return MarkovSource(stored["initial"], stored["transition"], length)


def _generators(config: KnownEntropyData) -> list[np.random.Generator]:
    """Independent streams for the source and both parts: more training data leaves the others as they are."""
    return [np.random.default_rng(sequence) for sequence in np.random.SeedSequence(config.seed).spawn(3)]


def _cumulative(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative sums along the last axis that end in exactly 1, so that no draw falls past the last token."""
    total = np.cumsum(p, axis=-1)
    return np.asarray(total / total[..., -1:])


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1))
