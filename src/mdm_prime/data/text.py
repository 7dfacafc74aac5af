"""Text as sequences of tokens: split by document, byte-level BPE, concatenated and cut."""

from __future__ import annotations

import hashlib
import platform
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mdm_prime import files
from mdm_prime.data import arrays
from mdm_prime.data.documents import Corpus, corpus
from mdm_prime.data.tokenizer import encode_documents, given_tokenizer, separator_id, train_tokenizer
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import TextData

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_CHARACTERS = 2**21  # encoded at once; bounds the memory, changes no token


@dataclass(frozen=True)
class Split:
    """Which documents are for validation: those whose seeded hash is below a threshold.

    Equal documents have equal hashes, so none stands on both sides; nothing else about them need be kept.

    Attributes:
        seed: another seed, another split.
        threshold: 0 to 2^64.
        documents, bytes: of the whole corpus, bytes in UTF-8.
        sha256: of the documents' UTF-8 bytes, each after its length (8 bytes, little-endian).
    """

    seed: int
    threshold: int
    documents: int
    bytes: int
    sha256: str

    def is_validation(self, text: str) -> bool:
        return _hash(text, self.seed) < self.threshold


def prepare(config: TextData, output: Path) -> None:
    """Writes train.npy, validation.npy, tokenizer.json and meta.json into `output`.

    The corpus is read two to four times and not held in memory, the embedded one apart.

    Raises UserError for a source or tokenizer that cannot be read, too little text for one sequence, or a vocabulary
    size that the training text or the given tokenizer does not have.
    """
    arrays.start(output)
    source, split = split_by_document(corpus(config), config.validation_fraction, config.seed)
    if config.tokenizer is None:
        training_texts = (text for text in source.read() if not split.is_validation(text))
        tokenizer = train_tokenizer(training_texts, config.vocab_size)
    else:
        tokenizer = given_tokenizer(config.tokenizer, config.vocab_size)
    with files.replacing(output / "tokenizer.json") as temporary:
        tokenizer.save(str(temporary))

    shape = config.vocab_size, config.length
    with (
        arrays.writing_sequences(output / "train.npy", *shape) as train,
        arrays.writing_sequences(output / "validation.npy", *shape) as validation,
    ):
        for texts in _batches(source.read()):
            for text, tokens in zip(texts, encode_documents(tokenizer, texts), strict=True):
                (validation if split.is_validation(text) else train).append(tokens)
        for name, writer in (("training", train), ("validation", validation)):
            if writer.sequences == 0:
                raise UserError(
                    f"text.data: the {name} documents have {writer.tokens} tokens, less than one sequence of length "
                    f"{config.length}; give more text, a smaller length or another validation_fraction"
                )
    arrays.save_meta(
        output,
        {
            "task": "text",
            "vocab_size": config.vocab_size,
            "length": config.length,
            "train_sequences": train.sequences,
            "validation_sequences": validation.sequences,
            "entropy_per_token": None,
            "sha256": split.sha256,
            "corpus": {
                "name": source.name,
                "documents": split.documents,
                "bytes": split.bytes,
                "python": platform.python_version(),
                "train_tokens": train.tokens,
                "validation_tokens": validation.tokens,
            },
            "validation_bytes": _decoded_bytes(tokenizer, output / "validation.npy"),
        },
    )


def split_by_document(source: Corpus, fraction: float, seed: int) -> tuple[Corpus, Split]:
    """Puts about `fraction` of the distinct documents aside for validation: at least one, and not all.

    A corpus of a single document is first cut at line ends into 1 / fraction pieces, which become its documents.

    Returns:
        The corpus, cut if need be, and the split.

    Raises UserError when there is nothing to split.
    """
    digest = hashlib.sha256()
    hashes = array("Q")
    size = 0
    for text in source.read():
        content = text.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
        hashes.append(_hash(text, seed))
        size += len(content)
    distinct = np.unique(np.frombuffer(hashes, np.uint64))
    if len(distinct) == 0:
        raise UserError(f"text.data: {source.name} holds no text; give another source")
    if len(distinct) == 1:
        pieces = _pieces(next(source.read()), max(2, round(1 / fraction)))
        if len(set(pieces)) < 2:
            raise UserError(
                f"text.data: {source.name} is one document of one line, which cannot be split into training and "
                "validation; give several documents or lines"
            )
        return split_by_document(Corpus(source.name, lambda: iter(pieces)), fraction, seed)
    count = min(max(1, round(fraction * len(distinct))), len(distinct) - 1)
    return source, Split(seed, int(distinct[count]), len(hashes), size, digest.hexdigest())


def _decoded_bytes(tokenizer: Tokenizer, path: Path) -> int:
    """UTF-8 bytes of the text in the sequences of a file, separators not counted."""
    stream = np.load(path, mmap_mode="r").reshape(-1)
    total = start = 0
    for end in [*np.flatnonzero(stream == separator_id(tokenizer)).tolist(), len(stream)]:
        text: str = tokenizer.decode(stream[start:end].tolist(), skip_special_tokens=True)
        total += len(text.rstrip("\ufffd").encode())  # the last document may be cut within a character
        start = end + 1
    return total


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _pieces(text: str, count: int) -> list[str]:
    """Cuts a text after line ends into at most `count` pieces of about equal length, none of them blank."""
    pieces: list[list[str]] = [[] for _ in range(count)]
    position = 0
    for line in text.splitlines(keepends=True):
        pieces[position * count // len(text)].append(line)
        position += len(line)
    joined = ("".join(piece) for piece in pieces)
    return [piece for piece in joined if piece.strip()]


def _hash(text: str, seed: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "little")
