"""Random changes of training images that leave what they show as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from mdm_prime.core.noise import Noise
from mdm_prime.experiment.sections.image_data import ImageDataSection


def augment(x: Tensor, data: ImageDataSection, noise: Noise) -> Tensor:
    """Images changed at random, each on its own, as `data.augmentation` says.

    none: nothing. flip: mirrored left-right with probability 1/2. shift: moved by -1, 0 or 1 pixels in each of the two
    directions, with probability 1/3 each; the new border is 0, and an image stays where ink (a value above 0) would
    leave it.

    Args:
        x: (B, L) int64, L = C * H * W, channels first.
        data: the images' shape and augmentation.
        noise: of the B images, on their device.

    Returns:
        (B, L) int64.
    """
    if data.augmentation == "none":
        return x
    images = x.unflatten(1, (data.channels, data.size, data.size))
    change = {"flip": _flipped, "shift": _shifted}[data.augmentation]
    return change(images, noise).flatten(1)


def _flipped(images: Tensor, noise: Noise) -> Tensor:
    """(B, C, H, W) to the same shape."""
    mirrored = noise.uniform(1, 1, 1) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def _shifted(images: Tensor, noise: Noise) -> Tensor:
    """(B, C, H, W) to the same shape."""
    size, device = images.shape[-1], images.device
    ink = (images > 0).any(1)  # (B, H, W)
    edges = torch.stack([ink.any(2), ink.any(1)])[:, :, [0, size - 1]]  # (2 directions, B, first or last line)
    step = (noise.uniform(2).T * 3).long() - 1  # (2, B)
    step = step.masked_fill((step < 0) & edges[..., 0] | (step > 0) & edges[..., 1], 0)
    # A line that leaves is blank, so it may come back on the other side as the new border.
    rows, columns = (torch.arange(size, device=device) - step[..., None]) % size  # (B, H) and (B, W)
    of_image = torch.arange(len(images), device=device)[:, None, None]
    return images.movedim(1, 3)[of_image, rows[:, :, None], columns[:, None, :]].movedim(3, 1)
