"""Block diffusion (BD3-LM, arXiv 2503.09573): between the autoregressive model and masked diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from mdm_prime.experiment.sections.model_kinds import ModelSection
from mdm_prime.networks.dit import DiTNetwork

if TYPE_CHECKING:
    from torch import nn

    from mdm_prime.experiment.runs import Run
    from mdm_prime.experiment.sections.networks import NetworkSection
    from mdm_prime.experiment.shape import Shape


class BlockModel(ModelSection):
    """The model `block`."""

    kind: Literal["block"]
    complements: ClassVar[bool] = False
    idle_steps: ClassVar[bool] = False  # of the steps, each block has its share, rounded
    block_size: PositiveInt  # tokens; 1: autoregressive, all of them: masked diffusion

    @classmethod
    def title(cls, num_subtokens: int) -> str:
        return "BD3-LM" if num_subtokens == 1 else "BD3-LM-Prime"

    def at_once(self, length: int) -> int:
        return self.block_size

    def check(self, run: Run) -> None:
        if run.length % self.block_size:
            raise ValueError(f"model.block_size: is {self.block_size}; should divide the length {run.length}")
        if run.checkpoint is not None:
            raise ValueError("checkpoint: is for a model without blocks; one of kind block is trained here")
        _dit(run.network)

    def build(self, network: NetworkSection, shape: Shape) -> nn.Module:
        from mdm_prime.networks.modules.block_dit import BlockDiT

        return BlockDiT(block_size=self.block_size, **_dit(network).arguments(shape))


def _dit(network: NetworkSection) -> DiTNetwork:
    """The same section. Raises ValueError for a network without attention by blocks."""
    if not isinstance(network, DiTNetwork):
        raise ValueError(f"network.kind: is {network.kind}; should be dit, for a model of kind block")
    return network
