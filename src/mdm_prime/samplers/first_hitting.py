"""The first-hitting sampler: an event of its own for every sub-token, so that there is no idle step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mdm_prime.samplers.events import ExactSampler

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.schedules import Schedule
    from mdm_prime.samplers.exact import Events


class FirstHittingSampler(ExactSampler):
    """Zheng et al. 2024, arXiv 2409.02908."""

    kind: Literal["first_hitting"]

    def events(self, uniforms: Tensor, schedule: Schedule, fixed: Tensor) -> Events:
        from mdm_prime.samplers.exact import first_hitting_events

        return first_hitting_events(uniforms, schedule, fixed)
