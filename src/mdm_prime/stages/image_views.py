"""Partially masked images as pictures: the mean of what each pixel can still be, and how much of it is hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from mdm_prime.core.objectives import consistent
from mdm_prime.core.super_tokens import from_super_tokens
from mdm_prime.experiment.runs import Run
from mdm_prime.stages.networks import subtokenizer_of


def pixels(run: Run, x: Tensor) -> Tensor:
    """Pixel values (N, C * H * W) uint8 of tokens x (N, L) int64."""
    return (from_super_tokens(x) if run.super_tokens else x).to(torch.uint8)


def partial_view(run: Run, y: Tensor) -> tuple[Tensor, Tensor]:
    """What is known of each pixel channel of sub-tokens y (N, L, ell) int64.

    Returns:
        The mean of the values that agree with the visible sub-tokens, (N, C, H, W) float32 in 0..V-1, and the share of
        hidden sub-tokens, (N, C, H, W) float32 in 0..1; green, which two super-tokens share, has the mean of both.
    """
    data, subtokenizer = run.image_data, subtokenizer_of(run)
    codes = torch.arange(subtokenizer.vocab_size, device=y.device)
    parts = _parts_of_super_tokens(codes) if run.super_tokens else codes[None, :, None]
    values, hidden = [], []
    for one in y:  # a picture at a time: V numbers for each of its tokens
        allowed = consistent(one, subtokenizer.base, subtokenizer.vocab_size).float().unflatten(0, (len(parts), -1))
        values.append((allowed @ parts.float()) / allowed.sum(-1, keepdim=True))
        hidden.append((one == subtokenizer.mask_id).float().mean(-1).view(len(parts), -1))
    mean, share = torch.stack(values), torch.stack(hidden)
    if run.super_tokens:
        (red, green_high), (green_low, blue) = (token.unbind(-1) for token in mean.unbind(1))
        first, second = share.unbind(1)
        mean = torch.stack([red, green_high + green_low, blue], 1)
        share = torch.stack([first, (first + second) / 2, second], 1)
    shape = (len(y), data.channels, data.size, data.size)
    return mean.reshape(shape), share.reshape(shape)


def _parts_of_super_tokens(codes: Tensor) -> Tensor:
    """(2, V, 2): red and the high bits of green of the first token's codes; the low ones and blue of the second's."""
    return torch.stack([torch.stack([codes >> 4, codes % 16 << 4], -1), torch.stack([codes >> 8, codes % 256], -1)])
