"""What is enumerated of a denoiser with an energy, beside the sampler that is run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from enumeration import random_denoiser
from mdm_prime.core.samples import SamplerInput
from mdm_prime.core.schedules import cosine, linear
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.data.known_entropy import MarkovSource
from mdm_prime.evaluation.chains import Enumerated
from mdm_prime.evaluation.frontier import CHOICES, EDLM, enumeration
from mdm_prime.samplers.energy import EnergySampler

V, L = 2, 3
SUBTOKENIZER = Subtokenizer(V, 1)


class Model:
    def __init__(self):
        self.denoiser = random_denoiser(SUBTOKENIZER, L)

    def __call__(self, y, t, where):
        return self.denoiser(y, t, where)

    def energy(self, x, y, t, log_p=None):
        return x.double().sum(-1)


@pytest.mark.parametrize("schedule", [linear(), cosine()])
def test_the_evaluations_of_every_chain_are_those_of_its_sampler(schedule):
    model, num = Model(), 1000
    source = MarkovSource(initial=np.full(V, 0.5), transition=np.full((V, V), 0.5), length=L)
    known = enumeration(Enumerated(model, SUBTOKENIZER, L, model.energy), source, schedule, 1)
    y = torch.full((num, L, 1), V)
    given = SamplerInput(model, y, y != V, 0, range(num), schedule, SUBTOKENIZER, True)
    for found in known.chains:
        if found.num_steps is None:
            expected = None if found.candidates is None else L * (1 + found.candidates)
            assert found.evaluations == expected
        elif found.candidates is not None and found.num_steps <= 4:
            settings = {"num_steps": found.num_steps, "candidates": found.candidates or 1, "window": found.window}
            nfe = EnergySampler(kind="energy", **settings).draw(given).nfe.double()
            assert abs(float(nfe.mean()) - found.evaluations) <= 4 * float(nfe.std()) / num**0.5
    looked_at = {found.num_steps for found in known.chains if found.window == EDLM}
    assert looked_at == {2, 4, 8, 16}  # with a time in the window
    assert len(known.chains) == 6 * len(CHOICES) - 2
