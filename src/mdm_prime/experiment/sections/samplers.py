"""The base of every sampler's section; each sampler is a file of mdm_prime/samplers that declares itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field

from mdm_prime.experiment.found import OneOf
from mdm_prime.experiment.sections.base import Section

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.objectives import Denoiser
    from mdm_prime.core.samples import SamplerInput, Samples
    from mdm_prime.core.schedules import Schedule

PACKAGES = ("mdm_prime.samplers",)


class SamplerSection(Section):
    """Settings of a sampler, whose subclass has `kind: Literal["name"]`.

    Attributes:
        models: kinds of the models that it is for; None: all that do not name their samplers.
    """

    kind: str
    models: ClassVar[tuple[str, ...] | None] = None

    @property
    def name(self) -> str:
        """Kind and number of steps."""
        num_steps = self.description["num_steps"]
        return self.kind if num_steps is None else f"{self.kind}-{num_steps}"

    @property
    def description(self) -> dict[str, Any]:
        """For samples.json: the settings, the number of steps and the distribution of one without."""
        return {"num_steps": None, "distribution": "joint", **self.model_dump(mode="json")}

    def evaluations(self, length: int, num_subtokens: int, schedule: Schedule) -> float:
        """The mean number of network evaluations of a sample, for what it costs: here as many as steps.

        One without steps is taken to reveal a sub-token with each.
        """
        num_steps: int | None = self.description["num_steps"]
        return num_steps or length * num_subtokens

    def of_part(self, count: int) -> Self:
        """That for one of `count` equal parts of a sequence: of steps, if it has any, its share, and at least one."""
        steps: int | None = getattr(self, "num_steps", None)
        return self if steps is None else self.model_copy(update={"num_steps": max(1, round(steps / count))})

    def draw(self, given: SamplerInput) -> Samples:
        """Reveals what is masked in given.y."""
        raise NotImplementedError

    def draw_causally(
        self, network: Denoiser, prefix: Tensor, length: int, seed: int, indices: range, start_id: int
    ) -> Samples:
        """Samples (B, length) of an autoregressive network, token by token after the tokens prefix (P,).

        Raises ValueError for a sampler that has no such form.
        """
        raise ValueError(f"the sampler {self.kind} is not for an autoregressive model")


def _distinct(samplers: tuple[SamplerSection, ...]) -> tuple[SamplerSection, ...]:
    if len(set(samplers)) != len(samplers):
        raise ValueError("one stands twice")
    return samplers


Sampler = Annotated[SamplerSection, OneOf(PACKAGES)]
Samplers = Annotated[tuple[Sampler, ...], Field(min_length=1), AfterValidator(_distinct)]
