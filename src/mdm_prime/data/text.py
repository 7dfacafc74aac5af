"""Text as sequences of tokens: split by document, byte-level BPE, concatenated and cut."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from mdm_prime import files
from mdm_prime.data import arrays, tokenizer
from mdm_prime.data.documents import HubText, corpus, matching
from mdm_prime.data.text_split import Document, Documents, given_parts, split_by_document
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.base import Fraction
from mdm_prime.experiment.sections.data import DataSection
from mdm_prime.results.data_set import DataSet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES = 256
BATCH_CHARACTERS = 2**21  # encoded at once; bounds the memory, changes no token


class TextData(DataSection):
    """Text: the embedded documentation of Python, own files, or a data set of the hub."""

    outputs: ClassVar[tuple[str, ...]] = ("train.npy", "heldout.npy", "meta.json", "tokenizer.json")
    has_text: ClassVar[bool] = True
    kind: Literal["text"]
    files: tuple[str, ...] = ()  # files, folders and globs, each file is a document; empty: the embedded text, or `hub`
    hub: HubText | None = None
    tokenizer: str | None = None  # a tokenizers JSON file, a hub name or `characters`; null trains byte-level BPE
    vocab_size: Annotated[int, Field(ge=2)]
    length: PositiveInt
    framed: bool = False  # whether a sequence begins and ends with the separator of documents, length - 2 tokens within
    heldout_fraction: Fraction

    @model_validator(mode="after")
    def _one_source(self) -> TextData:
        if self.files and self.hub:
            raise ValueError("give either files or hub, not both")
        for pattern in self.files:
            if not matching(pattern):
                raise ValueError(f"files: no such file: {pattern}")
        if self.tokenizer is None and self.vocab_size <= BYTES:
            raise ValueError(
                f"vocab_size: is {self.vocab_size}; should be at least {BYTES + 1}, all bytes and a separator, for a "
                "tokenizer that is trained here"
            )
        if self.framed and self.length < 3:
            raise ValueError(f"length: is {self.length}; should be at least 3 for framed sequences")
        if self.tokenizer and self.tokenizer.endswith(".json") and not Path(self.tokenizer).is_file():
            raise ValueError(f"tokenizer: no such file: {self.tokenizer}")
        return self

    def prepare(self, output: Path, task: str, key: str) -> None:
        """Writes the sequences, tokenizer.json and meta.json.

        The corpus is read two to four times and not held in memory, the embedded one apart.
        """
        arrays.start(output)
        own_split = self.hub is not None and self.hub.heldout is not None
        another = "heldout_split" if own_split else "heldout_fraction"
        try:
            found = self._documents(key)
        except ValueError as error:
            raise UserError(f"{key}{'.hub' if own_split else ''}: {error}") from None
        if self.tokenizer in (None, tokenizer.CHARACTERS):
            training_texts = (document.text for document in found.read() if not document.is_heldout)
            made = tokenizer.train_tokenizer if self.tokenizer is None else tokenizer.character_tokenizer
            encoder = made(training_texts, self.vocab_size, key)
        else:
            encoder = tokenizer.given_tokenizer(self.tokenizer, self.vocab_size, key)
        files.write_text(output / "tokenizer.json", encoder.to_str(pretty=True))
        shape = self.vocab_size, self.length, tokenizer.separator_id(encoder) if self.framed else None
        with (
            arrays.writing_sequences(output / "train.npy", *shape) as train,
            arrays.writing_sequences(output / "heldout.npy", *shape) as heldout,
        ):
            for batch in _batches(found.read()):
                encoded = tokenizer.encode_documents(encoder, [document.text for document in batch])
                for (text, is_heldout), tokens in zip(batch, encoded, strict=True):
                    if self.tokenizer == tokenizer.CHARACTERS and len(tokens) != len(text) + 1:
                        raise UserError(
                            f"{key}.tokenizer: is {self.tokenizer}; the held-out text has "
                            f"{tokenizer.missing(encoder, text)!r}, which the training text has not; give more text, "
                            f"another {another}, or null"
                        )
                    (heldout if is_heldout else train).append(tokens)
            for name, writer in (("training", train), ("held-out", heldout)):
                if writer.sequences == 0:
                    raise UserError(
                        f"{key}: the {name} documents have {writer.tokens} tokens, less than one sequence of length "
                        f"{self.length}; give more text, a smaller length or another {another}"
                    )
        arrays.save_meta(
            output,
            DataSet(
                task=task,
                vocab_size=self.vocab_size,
                length=self.length,
                train_sequences=train.sequences,
                heldout_sequences=heldout.sequences,
                entropy_per_token=None,
                sha256=found.sha256,
                corpus={
                    "name": found.name,
                    "documents": found.number,
                    "bytes": found.bytes,
                    "python": platform.python_version(),
                    "train_tokens": train.tokens,
                    "heldout_tokens": heldout.tokens,
                },
                heldout_bytes=_decoded_bytes(encoder, output / "heldout.npy", framed=self.framed),
            ),
        )

    def _documents(self, key: str) -> Documents:
        source = corpus(self.files, self.hub, key)
        if self.hub and (heldout := self.hub.heldout):
            return given_parts(source, corpus((), heldout, key))
        return split_by_document(source, self.heldout_fraction, self.seed)

    def encode(self, folder: Path, text: str) -> list[int]:
        return tokenizer.encode(tokenizer.load_tokenizer(folder / "tokenizer.json"), text)

    def decode(self, folder: Path, x: NDArray[np.integer[Any]]) -> list[str]:
        return tokenizer.decode(tokenizer.load_tokenizer(folder / "tokenizer.json"), x)


def _decoded_bytes(encoder: Tokenizer, path: Path, *, framed: bool) -> int:
    """UTF-8 bytes of the text in the sequences of a file, separators not counted."""
    stored = files.load_array(path)
    stream = (stored[:, 1:-1] if framed else stored).reshape(-1)
    total = start = 0
    for end in [*np.flatnonzero(stream == tokenizer.separator_id(encoder)).tolist(), len(stream)]:
        text: str = encoder.decode(stream[start:end].tolist(), skip_special_tokens=True)
        total += len(text.rstrip("\ufffd").encode())  # the last document may be cut within a character
        start = end + 1
    return total


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
