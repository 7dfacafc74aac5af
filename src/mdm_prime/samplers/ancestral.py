"""Ancestral sampling: a grid of even steps of the plain reverse process, of which idle ones are never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from mdm_prime.samplers.events import ExactSampler

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.schedules import Schedule
    from mdm_prime.samplers.exact import Events


class AncestralSampler(ExactSampler):
    """MD4, algorithm 2; MDM-Prime, appendix A.4."""

    kind: Literal["ancestral"]
    num_steps: PositiveInt

    def events(self, uniforms: Tensor, schedule: Schedule, fixed: Tensor) -> Events:
        from mdm_prime.samplers.exact import ancestral_events

        return ancestral_events(uniforms, schedule, self.num_steps, fixed)
