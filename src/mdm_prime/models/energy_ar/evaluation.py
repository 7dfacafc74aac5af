"""What EDLM reports of its combination with an autoregressive model, beside what is exact."""

from __future__ import annotations

from typing import cast

from mdm_prime.core.objectives import Denoiser
from mdm_prime.evaluation import hybrids
from mdm_prime.evaluation.likelihood import autoregressive_values
from mdm_prime.evaluation.measurement import Evaluated, Measurement
from mdm_prime.networks.modules.energies import AutoregressiveEnergy


def measurements(given: Evaluated) -> dict[str, Measurement]:
    """As bound the exact value of the autoregressive model on every held-out sequence: that of drawing all in one step.

    As published loss EDLM's estimate, which is compared with it.
    """
    network = cast(Denoiser, cast(AutoregressiveEnergy, given.network).autoregressive)
    exact = autoregressive_values(network, given.tokens, given.subtokenizer.mask_id, given.device)
    return hybrids.measurements(given, exact, compared=True)
