"""The files that every data set has: token sequences, to be memory-mapped, and meta.json."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.results.data_set import DataSet


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """uint8 for at most 256 tokens, uint16 for at most 65,536, else uint32; little-endian on every machine."""
    return np.dtype("|u1" if vocab_size <= 2**8 else "<u2" if vocab_size <= 2**16 else "<u4")


class SequenceWriter:
    """Cuts a stream of tokens into sequences and appends them to an open .npy file.

    Attributes:
        tokens: number of tokens appended so far.
        sequences: number of whole sequences written so far.
    """

    def __init__(self, file: BinaryIO, vocab_size: int, length: int, frame: int | None) -> None:
        self.tokens = 0
        self.sequences = 0
        self._file = file
        self._length = length
        self._frame = [] if frame is None else [frame]
        self._dtype = token_dtype(vocab_size)
        self._rest = np.empty(0, self._dtype)
        self._write_header()

    def append(self, tokens: NDArray[Any]) -> None:
        """Adds tokens (N,) of any integer dtype; those that do not fill a sequence wait for more."""
        stream = np.concatenate([self._rest, tokens.astype(self._dtype)])
        inner = self._length - 2 * len(self._frame)
        count = len(stream) // inner
        frame = np.full((count, len(self._frame)), self._frame, self._dtype)
        self._file.write(np.hstack([frame, stream[: count * inner].reshape(count, inner), frame]).tobytes())
        self._rest = stream[count * inner :]
        self.tokens += len(tokens)
        self.sequences += count

    def finish(self) -> None:
        """Puts the number of sequences into the header; tokens that fill no sequence are dropped."""
        start = self._file.seek(0)
        self._write_header()
        self._file.seek(start, 2)

    def _write_header(self) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.sequences, self._length)}
        np.lib.format.write_array_header_1_0(self._file, header)  # numpy pads it, so that the first axis may grow


@contextmanager
def writing_sequences(path: Path, vocab_size: int, length: int, frame: int | None = None) -> Iterator[SequenceWriter]:
    """Writes `path`, (N, length) of token_dtype, without holding it in memory; there whole or not at all.

    With `frame` every sequence is length - 2 tokens of the stream between two tokens `frame`.
    """
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        writer = SequenceWriter(file, vocab_size, length, frame)
        yield writer
        writer.finish()


def start(output: Path) -> None:
    """Removes an older meta.json, which is written last and so says that the other files belong together.

    Raises UserError when the folder cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "meta.json").unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror}); choose another folder") from None


def save_meta(output: Path, meta: DataSet) -> None:
    """Writes meta.json."""
    meta.write(output / "meta.json")
