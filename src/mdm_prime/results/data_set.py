"""meta.json of a data set, which is written last and so says that its other files belong together."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, JsonValue

from mdm_prime.results.base import Count, Nats, Positive, Result


def _corpus(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if not isinstance(values.get("name"), str):
        raise ValueError("name: should be a text")
    classes = values.get("classes", 1)
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise ValueError("classes: should be at least 1")
    return values


Corpus = Annotated[dict[str, JsonValue], AfterValidator(_corpus)]


class DataSet(Result):
    """Of any kind.

    Attributes:
        task: whose data these are.
        vocab_size, length: V and L.
        train_sequences, heldout_sequences: N of each split.
        entropy_per_token: of the source in nats; None where nobody knows it.
        sha256: of what the data were made from.
        corpus: what the data were made from: its `name`; of images the number of `classes`; what a kind of data adds.
        heldout_bytes: UTF-8 bytes of the held-out text; None for data that are no text.
    """

    task: str
    vocab_size: Positive
    length: Positive
    train_sequences: Count
    heldout_sequences: Count
    entropy_per_token: Nats | None
    sha256: str
    corpus: Corpus
    heldout_bytes: Count | None
