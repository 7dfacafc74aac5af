"""Denoisers with an energy: from an autoregressive network, or from a network that reads both sequence and state."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from mdm_prime.core.energies import autoregressive_energy
from mdm_prime.core.objectives import Denoiser
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.dit import DiT


class WithEnergy(nn.Module):
    """A denoiser, as which it can be used, and an energy on it: see core.energies.Energy."""

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    @property
    def logits_layer(self) -> nn.Linear | None:
        """The denoiser's: see core.objectives.HeadedDenoiser; None for one that has none."""
        layer: nn.Linear | None = getattr(self.denoiser, "logits_layer", None)
        return layer

    def forward(self, y: Tensor, t: Tensor, where: Tensor, **options: Any) -> Tensor:
        """What the denoiser gives; see core.objectives.Denoiser."""
        found: Tensor = self.denoiser(y, t, where, **options)
        return found

    def energy(self, x: Tensor, y: Tensor, t: Tensor, log_p: Tensor | None = None) -> Tensor:
        """E (B,) of tokens x (B, L) beside their state y (B, L, 1) at times t (B,); log_p of x, if it is known."""
        raise NotImplementedError


class AutoregressiveEnergy(WithEnergy):
    """That of EDLM-coAR; nothing in it is learnt."""

    def __init__(self, denoiser: nn.Module, autoregressive: nn.Module, subtokenizer: Subtokenizer) -> None:
        super().__init__(denoiser)
        self.autoregressive = autoregressive
        self.subtokenizer = subtokenizer

    def energy(self, x: Tensor, y: Tensor, t: Tensor, log_p: Tensor | None = None) -> Tensor:
        networks = cast(Denoiser, self.denoiser), cast(Denoiser, self.autoregressive)
        return autoregressive_energy(*networks, x, y, t, self.subtokenizer, log_p)


class LearntEnergy(WithEnergy):
    """That of EDLM-NCE: a transformer that reads both, the mean over positions, and a small network behind it.

    Args:
        denoiser: p_theta, which stays as it is.
        trunk: the transformer, made for tokens; its embedding is put into one of pairs, its head is left out.
        width: of its hidden states.
    """

    def __init__(self, denoiser: nn.Module, trunk: DiT, width: int) -> None:
        super().__init__(denoiser)
        del trunk.head
        trunk.embedding = _PairEmbedding(trunk.embedding, width)  # of a token and its state
        self.trunk = trunk
        self.score = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        last = cast(nn.Linear, self.score[-1])
        nn.init.zeros_(last.weight)  # E = 0, Z = 1: the denoiser by itself
        nn.init.zeros_(last.bias)

    def energy(self, x: Tensor, y: Tensor, t: Tensor, log_p: Tensor | None = None) -> Tensor:
        pairs = torch.cat([y, x[..., None]], -1)
        hidden = self.trunk(pairs, t, torch.ones_like(x, dtype=torch.bool), hidden=True)
        scores: Tensor = self.score(hidden.view(*x.shape, -1).mean(1))
        return scores.squeeze(-1)

    @torch.no_grad()
    def start_from_parts(self) -> None:
        """The transformer starts from the denoiser's weights, where the two have the same shapes."""
        own = dict(self.trunk.named_parameters())
        for name, value in self.denoiser.named_parameters():
            place = name.replace("embedding.", "embedding.tokens.", 1) if name.startswith("embedding.") else name
            if place in own and own[place].shape == value.shape:
                own[place].copy_(value)

    def train(self, mode: bool = True) -> LearntEnergy:
        """The denoiser is never trained: its candidates are drawn without dropout."""
        super().train(mode)
        self.denoiser.eval()
        return self


class _PairEmbedding(nn.Module):
    """Embeds a token and its state by the same table and joins both: (B, L, 2) to (B, L, width)."""

    def __init__(self, tokens: nn.Module, width: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.join = nn.Linear(2 * width, width)

    def forward(self, pairs: Tensor) -> Tensor:
        joined: Tensor = self.join(torch.cat([self.tokens(pair[..., None]) for pair in pairs.unbind(-1)], -1))
        return joined
