"""The documents of a text in two parts: those that are trained on, and those that are held out."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mdm_prime.data.documents import Corpus
from mdm_prime.data.splitting import content_hash, heldout_threshold


class Document(NamedTuple):
    """A text, and in which part it is."""

    text: str
    is_heldout: bool


@dataclass(frozen=True)
class Documents:
    """A corpus in two parts.

    Attributes:
        name: for meta.json.
        read: starts from the first document again, always in the same order.
        number, bytes: of all documents, bytes in UTF-8.
        sha256: of the documents' UTF-8 bytes, each after its length (8 bytes, little-endian).
    """

    name: str
    read: Callable[[], Iterator[Document]]
    number: int
    bytes: int
    sha256: str


class _Measured:
    """Size and hash of documents as they are read."""

    def __init__(self) -> None:
        self.number = self.bytes = 0
        self._digest = hashlib.sha256()

    def add(self, content: bytes) -> None:
        self._digest.update(len(content).to_bytes(8, "little") + content)
        self.number += 1
        self.bytes += len(content)

    def documents(self, name: str, read: Callable[[], Iterator[Document]]) -> Documents:
        return Documents(name, read, self.number, self.bytes, self._digest.hexdigest())


def given_parts(training: Corpus, heldout: Corpus) -> Documents:
    """Two corpora as they are, the training one first. Equal documents may stand in both, as others made them.

    Raises ValueError for a part without text.
    """

    def read() -> Iterator[Document]:
        for part, is_heldout in ((training, False), (heldout, True)):
            yield from (Document(text, is_heldout) for text in part.read())

    measured = _Measured()
    sides = {False: 0, True: 0}
    for document in read():
        measured.add(document.text.encode())
        sides[document.is_heldout] += 1
    for part, is_heldout in ((training, False), (heldout, True)):
        if not sides[is_heldout]:
            raise ValueError(f"{part.name} holds no text; give another source")
    return measured.documents(f"{training.name}, held out: {heldout.name}", read)


def split_by_document(source: Corpus, fraction: float, seed: int) -> Documents:
    """Puts about `fraction` of the distinct documents aside: at least one, and not all.

    They are those whose seeded hash is below a threshold: equal documents have equal hashes, so none stands on both
    sides, and nothing else about them need be kept. A corpus of a single document is first cut at line ends into
    1 / fraction pieces, which become its documents.

    Raises ValueError when there is nothing to split.
    """
    measured, hashes = _Measured(), array("Q")
    for text in source.read():
        content = text.encode()
        measured.add(content)
        hashes.append(content_hash(content, seed))
    found = np.frombuffer(hashes, np.uint64)
    if len(found) == 0:
        raise ValueError(f"{source.name} holds no text; give another source")
    if (found == found[0]).all():
        pieces = _pieces(next(source.read()), max(2, round(1 / fraction)))
        if len(set(pieces)) < 2:
            raise ValueError(
                f"{source.name} is one document of one line, which cannot be split into training and "
                "held-out text; give several documents or lines"
            )
        return split_by_document(Corpus(source.name, lambda: iter(pieces)), fraction, seed)
    threshold = heldout_threshold(found, fraction)

    def read() -> Iterator[Document]:
        return (Document(text, content_hash(text.encode(), seed) < threshold) for text in source.read())

    return measured.documents(source.name, read)


def _pieces(text: str, count: int) -> list[str]:
    """Cuts a text after line ends into at most `count` pieces of about equal length, none of them blank."""
    pieces: list[list[str]] = [[] for _ in range(count)]
    position = 0
    for line in text.splitlines(keepends=True):
        pieces[position * count // len(text)].append(line)
        position += len(line)
    joined = ("".join(piece) for piece in pieces)
    return [piece for piece in joined if piece.strip()]
