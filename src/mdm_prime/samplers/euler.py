"""The image sampler of MDM-Prime: Euler steps with a corrector, a temperature and uneven steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from mdm_prime.experiment.sections.base import Section
from mdm_prime.experiment.sections.samplers import SamplerSection

if TYPE_CHECKING:
    from mdm_prime.core.samples import SamplerInput, Samples


class Curve(Section):
    """The three numbers a, n, b of a function of time (euler_steps.py)."""

    a: float
    n: float
    b: float


class EulerSampler(SamplerSection):
    """Settings of samplers/euler_steps.py."""

    kind: Literal["euler"]
    num_steps: PositiveInt
    distribution: Literal["marginals", "joint"] = "joint"  # a position's sub-tokens independently, or as one token
    temperature: Curve | None = None  # null: 1
    corrector: Curve | None = None
    time_steps: Curve | None = None  # null: uniform

    def draw(self, given: SamplerInput) -> Samples:
        from mdm_prime.samplers import euler_steps

        curves = {key: getattr(self, key) for key in ("temperature", "corrector", "time_steps")}
        functions: dict[str, Any] = {
            key: partial(getattr(euler_steps, key), **curve.model_dump())
            for key, curve in curves.items()
            if curve is not None
        }
        return euler_steps.euler_sample(given, num_steps=self.num_steps, distribution=self.distribution, **functions)
