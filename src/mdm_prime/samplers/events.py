"""What samplers share that draw from the plain conditionals; most differ only in when a sub-token is revealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat

from mdm_prime.experiment.sections.samplers import SamplerSection

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.objectives import Denoiser
    from mdm_prime.core.samples import SamplerInput, Samples
    from mdm_prime.core.schedules import Schedule
    from mdm_prime.samplers.exact import Events

COUNTED = 8  # samples whose events are counted for a mean


class CategoricalSampler(SamplerSection):
    """How tokens are drawn, and the form for an autoregressive model, which has one order only."""

    temperature: PositiveFloat = 1.0  # divides the logits
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # nucleus; 1 keeps all

    def draw_causally(
        self, network: Denoiser, prefix: Tensor, length: int, seed: int, indices: range, start_id: int
    ) -> Samples:
        from mdm_prime.samplers import exact

        _, token_uniforms = exact.sample_uniforms(seed, indices, length, 1)
        return exact.autoregressive_sample(
            network,
            token_uniforms.squeeze(-1).to(prefix.device),
            prefix,
            start_id,
            temperature=self.temperature,
            top_p=self.top_p,
        )


class ExactSampler(CategoricalSampler):
    """Settings of an exact sampler; its subclass says when which sub-token is revealed."""

    def events(self, uniforms: Tensor, schedule: Schedule, fixed: Tensor) -> Events:
        """The events of sub-tokens with uniform numbers (B, L, ell) float64; `fixed` (B, L, ell) bool has none."""
        raise NotImplementedError

    def evaluations(self, length: int, num_subtokens: int, schedule: Schedule) -> float:
        import torch

        from mdm_prime.samplers.exact import number_of_events, sample_uniforms

        times, _ = sample_uniforms(0, range(COUNTED), length, num_subtokens)
        events = self.events(times, schedule, torch.zeros_like(times, dtype=torch.bool))
        return float(number_of_events(events).double().mean())

    def draw(self, given: SamplerInput) -> Samples:
        from mdm_prime.samplers import exact

        uniforms = exact.sample_uniforms(given.seed, given.indices, *given.y.shape[1:])
        times, token_uniforms = (part.to(given.y.device) for part in uniforms)
        return exact.run_events(
            given.network,
            given.y,
            self.events(times, given.schedule, given.fixed),
            token_uniforms,
            given.subtokenizer,
            carry_over=given.carry_over,
            temperature=self.temperature,
            top_p=self.top_p,
            record=given.record,
        )
