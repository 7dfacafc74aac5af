"""The base of every data set's section; each data set is a file of mdm_prime/data that declares itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from mdm_prime.experiment.found import OneOf
from mdm_prime.experiment.sections.base import Section, Seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mdm_prime.core.noise import Noise

PACKAGES = ("mdm_prime.data", "mdm_prime.data.images")


class DataSection(Section):
    """Settings of a data set: N sequences of L tokens; its subclass has `kind: Literal["name"]`.

    A subclass declares `vocab_size` (V) and `length` (L), as fields or properties.

    Attributes:
        outputs: names of what `prepare` writes, meta.json among them.
        has_text: whether the tokens stand for text.
    """

    kind: str
    seed: Seed
    outputs: ClassVar[tuple[str, ...]] = ("train.npy", "heldout.npy", "meta.json")
    has_text: ClassVar[bool] = False

    if TYPE_CHECKING:

        @property
        def vocab_size(self) -> int: ...

        @property
        def length(self) -> int: ...

    def prepare(self, output: Path, task: str, key: str) -> None:
        """Writes `outputs` into `output`: each whole or not at all, meta.json last.

        Args:
            output: a folder, made if need be.
            task: the task's name, for meta.json.
            key: of this section in the params file (tasks.NAME.data), for messages.

        Raises UserError for a source that cannot be read, or does not have what the section asks for.
        """
        raise NotImplementedError

    def augmented(self, x: Tensor, noise: Noise) -> Tensor:
        """A training batch x (B, L) int64 changed at random in what leaves its meaning as it is; here unchanged."""
        return x

    def encode(self, folder: Path, text: str) -> list[int]:
        """Tokens of a text, with what `prepare` wrote into `folder`; none for data that is no text."""
        return []

    def decode(self, folder: Path, x: NDArray[np.integer[Any]]) -> list[str] | None:
        """Texts of tokens (N, L), with what `prepare` wrote into `folder`; None for data that is no text."""
        return None


Data = Annotated[DataSection, OneOf(PACKAGES)]
