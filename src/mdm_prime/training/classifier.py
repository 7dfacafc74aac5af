"""Training of the small classifier whose features images are compared by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.images import Classifier

REPORT_EVERY = 20  # steps


def train_classifier(
    network: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    settings: Classifier,
    device: torch.device,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Minimises the cross-entropy of the labels with AdamW at a constant learning rate.

    Args:
        network: logits (B, K) of images (B, C, H, W) uint8; on `device`; changed in place, in evaluation mode at the
            end.
        images: (N, C, H, W) uint8; may be memory-mapped.
        labels: (N,), 0..K-1.
        settings: the section `classifier` of the params file; its seed gives the order of the images.
        device: where to compute.
        report: called every REPORT_EVERY steps and at the last with the step and its loss in nats per image.

    Raises:
        UserError: the loss stopped being finite.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    network.train()
    for step, rows in enumerate(_batches(len(images), settings), start=1):
        loss = F.cross_entropy(network(_batch(images, rows, device)), _batch(labels, rows, device).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % REPORT_EVERY == 0 or step == settings.steps:
            if not loss.isfinite():
                raise UserError(f"classifier: the loss is not finite at step {step}; lower classifier.learning_rate")
            report(step, loss.item())
    network.eval()


@torch.no_grad()
def accuracy(
    network: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    batch_size: int,
    device: torch.device,
) -> float:
    """Share of images (N, C, H, W) uint8 whose label (N,) has the greatest logit."""
    network.eval()
    right = 0
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, min(start + batch_size, len(images)))
        guesses = network(_batch(images, rows, device)).argmax(dim=1)
        right += int((guesses == _batch(labels, rows, device)).sum())
    return right / len(images)


def _batches(num_images: int, settings: Classifier) -> Iterator[NDArray[np.int64]]:
    """The rows of every step: consecutive pieces of one permutation of the images after another."""
    generator = torch.Generator().manual_seed(settings.seed)
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(settings.steps):
        while len(waiting) < settings.batch_size:
            waiting = torch.cat([waiting, torch.randperm(num_images, generator=generator)])
        rows, waiting = waiting.split([settings.batch_size, len(waiting) - settings.batch_size])
        yield rows.numpy()


def _batch(array: NDArray[np.integer], rows: NDArray[np.int64], device: torch.device) -> Tensor:
    return torch.from_numpy(array[rows]).to(device)
