"""What the training of an energy minimises."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from mdm_prime.core.energies import candidates, noise_contrastive_loss
from mdm_prime.core.masking import mask_independently
from mdm_prime.core.noise import Noise
from mdm_prime.core.objectives import Denoiser
from mdm_prime.core.schedules import by_name
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.experiment.runs import Run
from mdm_prime.networks.modules.energies import LearntEnergy
from mdm_prime.training.losses import Loss


def loss(run: Run) -> Loss:
    """The noise-contrastive loss of each sequence beside one candidate of the denoiser for the same state."""
    subtokenizer = Subtokenizer(run.vocab_size, 1)
    schedule = by_name(run.training.schedule, run.training.exponent)

    def of(network: Denoiser, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        model = cast(LearntEnergy, network)
        hidden = schedule.mask_probability(t.double())
        y = mask_independently(subtokenizer.encode(x), hidden, subtokenizer.mask_id, noise)
        uniforms = noise.uniform(1, x.shape[1], dtype=torch.float64)
        other = candidates(model, y, t, uniforms, subtokenizer).x.squeeze(1)
        return noise_contrastive_loss(model.energy(x, y, t), model.energy(other, y, t))

    return of
