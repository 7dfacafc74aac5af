"""The base of every network's section; each network is a file of mdm_prime/networks that declares itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from mdm_prime.experiment.found import OneOf
from mdm_prime.experiment.sections.base import Section
from mdm_prime.experiment.shape import Shape

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("mdm_prime.networks",)


class NetworkSection(Section):
    """Settings of a network, whose subclass has `kind: Literal["name"]`.

    Attributes:
        for_images: whether it is a network for images, or one for sequences.
        blocks_at: name of the module's part that holds its blocks, whose matrices the optimizer muon moves; None: that
            optimizer is not for it.
    """

    kind: str
    for_images: ClassVar[bool] = False
    blocks_at: ClassVar[str | None] = None

    def check(self, shape: Shape) -> None:
        """Raises ValueError, "key: is ...; should be ...", for settings that give no network of that shape."""

    def build(self, shape: Shape) -> nn.Module:
        """The network with fresh weights from torch's global generator, on torch's default device.

        Its forward maps sub-tokens y (B, L, ell) int64, times t (B,) and where (B, L) bool to logits (N, V), a row for
        each position with `where`.
        """
        raise NotImplementedError


Network = Annotated[NetworkSection, OneOf(PACKAGES)]
