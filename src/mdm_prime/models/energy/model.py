"""EDLM-NCE (arXiv 2410.21357): a trained denoiser and an energy that is learnt by noise-contrastive estimation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from mdm_prime.experiment.sections.base import Name
from mdm_prime.experiment.sections.model_kinds import ModelSection
from mdm_prime.experiment.shape import Shape
from mdm_prime.models.energy.parts import check_parts

if TYPE_CHECKING:
    from torch import nn

    from mdm_prime.experiment.runs import Run
    from mdm_prime.experiment.sections.networks import NetworkSection
    from mdm_prime.networks.dit import DiTNetwork

MOST_SEQUENCES = 4096  # V^L that are enumerated: what its likelihood is known by


class EnergyModel(ModelSection):
    """The model `energy`."""

    kind: Literal["energy"]
    denoiser: Name
    parts: ClassVar[tuple[str, ...]] = ("denoiser",)
    minimised: ClassVar[str | None] = "noise_contrastive"
    whole_tokens: ClassVar[bool] = False
    idle_steps: ClassVar[bool] = False
    samplers: ClassVar[tuple[str, ...] | None] = ("energy",)

    @classmethod
    def title(cls, num_subtokens: int) -> str:
        return "EDLM-NCE"

    def orders(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        return ()

    def check(self, run: Run) -> None:
        check_parts(run, {"denoiser": "masked"})
        if run.network.kind != "dit":
            raise ValueError(f"network.kind: is {run.network.kind}; should be dit for the model energy")
        if run.vocab_size**run.length > MOST_SEQUENCES:
            raise ValueError(
                f"model: is energy; should be on data of at most {MOST_SEQUENCES} sequences, since its likelihood is "
                f"known by enumeration only: vocab_size {run.vocab_size} to the power of length {run.length} is more"
            )

    def assemble(self, parts: Mapping[str, nn.Module], network: NetworkSection, shape: Shape) -> nn.Module:
        from mdm_prime.networks.modules.dit import DiT
        from mdm_prime.networks.modules.energies import LearntEnergy

        section = cast("DiTNetwork", network)
        return LearntEnergy(parts["denoiser"], cast(DiT, section.build(shape)), section.width)
