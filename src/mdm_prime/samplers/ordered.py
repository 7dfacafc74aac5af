"""Samplers that reveal in an order which depends only on what is revealed, so that samples have exact probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mdm_prime.core.orders import ORDERS
from mdm_prime.experiment.sections.base import Seed
from mdm_prime.experiment.sections.models import OrderName
from mdm_prime.samplers.events import CategoricalSampler

if TYPE_CHECKING:
    from torch import Tensor

    from mdm_prime.core.revealing import Step
    from mdm_prime.core.samples import SamplerInput, Samples
    from mdm_prime.core.schedules import Schedule


class OrderedSampler(CategoricalSampler):
    """Settings of core/revealing.py; evaluation/exact.py has their likelihood, at temperature 1, of all probabilities.

    The likelihood of a random order is that of the permutation of the seed of the evaluation, not of `order_seed`.
    """

    kind: Literal["ordered"]
    order: OrderName
    order_seed: Seed = 0  # of the permutation of the random orders

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.order}"

    def evaluations(self, length: int, num_subtokens: int, schedule: Schedule) -> float:
        return length * (1 if ORDERS[self.order].whole_tokens else num_subtokens)

    def draw(self, given: SamplerInput) -> Samples:
        from mdm_prime.core.draws import draw_tokens
        from mdm_prime.core.revealing import reveal
        from mdm_prime.core.samples import Samples
        from mdm_prime.samplers.exact import sample_uniforms

        _, uniforms = sample_uniforms(given.seed, given.indices, *given.y.shape[1:])
        uniforms = uniforms.to(given.y.device)

        def drawn(step: Step) -> Tensor:
            first = step.revealed.int().argmax(-1)  # any one of the uniforms of what is revealed
            numbers = uniforms[step.rows, step.position, first]
            return draw_tokens(step.log_probs, numbers, self.temperature, self.top_p)

        found = reveal(
            given.network,
            given.y,
            ORDERS[self.order],
            given.subtokenizer,
            given.schedule,
            drawn,
            carry_over=given.carry_over,
            seed=self.order_seed,
            record=given.record,
        )
        return Samples(given.subtokenizer.decode(found.y), found.nfe)
