"""What EDLM reports of its learnt energy, beside the exact likelihood of drawing all tokens in one step."""

from __future__ import annotations

from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor

from mdm_prime.evaluation import hybrids
from mdm_prime.evaluation.chains import Enumerated
from mdm_prime.evaluation.measurement import Evaluated, Measurement
from mdm_prime.networks.modules.energies import LearntEnergy


def measurements(given: Evaluated) -> dict[str, Measurement]:
    """As bound the exact value of p_theta exp(-E) / Z where all is masked, on every held-out sequence.

    Z is the sum over all sequences. As published loss EDLM's estimate, with one candidate for log Z.
    """
    network, length = cast(LearntEnergy, given.network), given.tokens.shape[1]

    @cache
    def log_q() -> Tensor:
        model = Enumerated(network, given.subtokenizer, length, network.energy, given.device)
        return model.coupled(tuple(range(length)), 1.0).log()

    def in_one_step(batch: slice) -> Tensor:
        return -log_q()[torch.from_numpy(given.tokens[batch].astype(np.int64)).unbind(1)]

    return hybrids.measurements(given, in_one_step, num_candidates=1)
