"""EDLM's sampler: ancestral steps, in which the energy chooses among several draws of the denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mdm_prime.experiment.sections.samplers import SamplerSection

if TYPE_CHECKING:
    from mdm_prime.core.samples import SamplerInput, Samples
    from mdm_prime.core.schedules import Schedule

Time = Annotated[float, Field(ge=0.0, le=1.0)]


class EnergySampler(SamplerSection):
    """Settings of samplers/energy_steps.py."""

    models: ClassVar[tuple[str, ...] | None] = ("energy", "energy_ar")
    kind: Literal["energy"]
    num_steps: PositiveInt
    candidates: PositiveInt = 2  # 1: the denoiser's own draw, and the energy is not asked
    temperature: PositiveFloat = 1.0  # of the choice among them: softmax(-E / temperature)
    window: tuple[Time, Time] = (0.0, 1.0)  # of t, in which there are candidates; EDLM's: 0.4 to 0.6

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.window[0] > self.window[1]:
            raise ValueError(f"window: is {list(self.window)}; should be [lowest, highest]")
        return self

    @property
    def name(self) -> str:
        window = "" if self.window == (0.0, 1.0) else f"-{self.window[0]:g}-{self.window[1]:g}"
        return f"{self.kind}-{self.num_steps}-of-{self.candidates}{window}"

    def evaluations(self, length: int, num_subtokens: int, schedule: Schedule) -> float:
        from mdm_prime.samplers.steps import event_probabilities

        events: list[float] = event_probabilities(schedule, self.num_steps, length * num_subtokens).tolist()
        more = self.candidates if self.candidates > 1 else 0
        return sum(event * (1 + more * inside) for event, inside in zip(events, self.steps_inside(), strict=True))

    def inside(self, t: float) -> bool:
        """Whether there are candidates at this time."""
        return self.window[0] <= t <= self.window[1]

    def steps_inside(self) -> list[bool]:
        """The same for the time of each step."""
        from mdm_prime.samplers.steps import step_times

        return [self.inside(t) for t in step_times(self.num_steps)[:-1].tolist()]

    def draw(self, given: SamplerInput) -> Samples:
        from mdm_prime.samplers import energy_steps

        return energy_steps.energy_sample(
            given,
            num_steps=self.num_steps,
            num_candidates=self.candidates,
            temperature=self.temperature,
            inside=self.inside,
        )
