"""EDLM-coAR (arXiv 2410.21357): two trained networks, a masked one and an autoregressive one, and nothing to learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from mdm_prime.experiment.sections.base import Name
from mdm_prime.experiment.sections.model_kinds import ModelSection
from mdm_prime.experiment.shape import Shape
from mdm_prime.models.energy.parts import check_parts

if TYPE_CHECKING:
    from torch import nn

    from mdm_prime.experiment.runs import Run
    from mdm_prime.experiment.sections.networks import NetworkSection


class AutoregressiveEnergyModel(ModelSection):
    """The model `energy_ar`."""

    kind: Literal["energy_ar"]
    denoiser: Name
    autoregressive: Name
    parts: ClassVar[tuple[str, ...]] = ("denoiser", "autoregressive")
    minimised: ClassVar[str | None] = "nothing"
    exact_order: ClassVar[str | None] = "left_to_right"  # of the sampler that draws all tokens in its first step
    whole_tokens: ClassVar[bool] = False
    idle_steps: ClassVar[bool] = False
    samplers: ClassVar[tuple[str, ...] | None] = ("energy",)

    @classmethod
    def title(cls, num_subtokens: int) -> str:
        return "EDLM-coAR"

    def orders(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        return ()

    def check(self, run: Run) -> None:
        check_parts(run, {"denoiser": "masked", "autoregressive": "autoregressive"})

    def assemble(self, parts: Mapping[str, nn.Module], network: NetworkSection, shape: Shape) -> nn.Module:
        from mdm_prime.core.subtokens import Subtokenizer
        from mdm_prime.networks.modules.energies import AutoregressiveEnergy

        return AutoregressiveEnergy(**parts, subtokenizer=Subtokenizer(shape.vocab_size, 1))
