"""What moves the weights: AdamW, or Muon for the matrices of a network's blocks and AdamW for the rest."""

from __future__ import annotations

from torch import Tensor, nn, optim

from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.models import Training


class Optimizer:
    """All optimisers of one training as one.

    With `optimizer: muon`, torch's Muon moves the matrices, which are the parameters of two dimensions in the submodule
    that the network's section names (NetworkSection.blocks_at); AdamW moves what is left: embeddings, norms, biases,
    what lies outside of the blocks, the head.

    Args:
        network: whose parameters are moved.
        settings: the section `training` of the params file.
        blocks_at: name of the submodule with the network's blocks; None: it has none, and Muon nothing to move.

    Raises:
        UserError: Muon for a network without such matrices.
    """

    def __init__(self, network: nn.Module, settings: Training, blocks_at: str | None = None) -> None:
        self._settings = settings
        parameters = dict(network.named_parameters())
        matrices = dict[str, Tensor]()
        self._parts = list[tuple[optim.Optimizer, float]]()  # and the greatest learning rate of each
        if settings.matrix_learning_rate is not None:
            matrices = {
                name: parameter
                for name, parameter in parameters.items()
                if blocks_at is not None and name.startswith(f"{blocks_at}.") and parameter.ndim == 2
            }
            if not matrices:
                raise UserError("training.optimizer: muon is for a network with matrices in blocks; choose adamw")
            muon = optim.Muon(matrices.values(), lr=settings.matrix_learning_rate, weight_decay=settings.weight_decay)
            self._parts.append((muon, settings.matrix_learning_rate))
        rest = [parameter for name, parameter in parameters.items() if name not in matrices]
        adamw = optim.AdamW(  # fused: on a CPU a sixth of the time of one by one
            rest, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
        )
        self._parts.append((adamw, settings.learning_rate))

    def step(self, number: int) -> None:
        """Moves the weights by their gradients, in step `number` (from 1), and forgets the gradients."""
        for part, highest in self._parts:
            part.param_groups[0]["lr"] = learning_rate(number, self._settings, highest)
            part.step()
            part.zero_grad()

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        """What is remembered of a parameter from step to step, by name; to be changed in place."""
        part = next(part for part, _ in self._parts if any(parameter is own for own in part.param_groups[0]["params"]))
        kept: dict[str, Tensor] = part.state[parameter]
        return kept


def learning_rate(step: int, settings: Training, highest: float) -> float:
    """Linear warm-up to `highest`, then constant or linear to zero; steps count from 1."""
    if step <= settings.warmup_steps:
        return highest * step / settings.warmup_steps
    if settings.decay == "constant":
        return highest
    left = (settings.steps - step + 1) / (settings.steps - settings.warmup_steps)
    return highest * left
