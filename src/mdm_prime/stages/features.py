"""The stage `features`: what images are compared by, and what real and structureless images score by it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mdm_prime import files, tracking
from mdm_prime.errors import UserError
from mdm_prime.evaluation.fidelity import (
    ClassifierFeatures,
    Extractor,
    InceptionFeatures,
    compare,
    distance_name,
    features_name,
    to_bytes,
)
from mdm_prime.evaluation.independent_pixels import independent_pixels
from mdm_prime.evaluation.nearest import memorised, nearest_distances
from mdm_prime.experiment import layout
from mdm_prime.experiment.sections.image_data import ImageDataSection
from mdm_prime.experiment.tasks import ImageTask
from mdm_prime.networks.modules.classifier import ImageClassifier
from mdm_prime.progress import progress
from mdm_prime.results.data_set import DataSet
from mdm_prime.results.features import FeaturesFile, OfBaseline
from mdm_prime.results.scores import Scores
from mdm_prime.stages.workspace import Workspace
from mdm_prime.training import checkpoint
from mdm_prime.training.classifier import accuracy, train_classifier

MOST_CLASSES = 2**16  # more outputs than any labelled set of images has classes
QUARTER_TURNS = 4  # of an image: what is told apart where images have no labels
Score = Callable[[NDArray[np.unsignedinteger]], Scores]


def features(workspace: Workspace, task: str) -> None:
    """Writes baselines.json and, where Inception's weights are not given, the classifier that it is measured with."""
    settings, device = workspace.config.image_task(task), workspace.device()
    meta, train, test = workspace.meta(task), workspace.tokens(task, "train"), workspace.tokens(task, "heldout")
    with tracking.stage(
        workspace.results,
        stage="features",
        name=task,
        params={"classifier": settings.classifier.model_dump(), "fidelity": settings.fidelity.model_dump()},
        tags={"task": task, "scale": workspace.config.scale, "data_sha256": meta.sha256},
    ) as tracked:
        extractor: Extractor
        if settings.fidelity.inception_weights is not None:
            extractor = InceptionFeatures(settings.fidelity.inception_weights).to(device)
            right = None
        else:
            network = trained_classifier(workspace, task, device, tracked)
            extractor = ClassifierFeatures(network)
            images, classes = _classified(workspace, task, "heldout", meta)
            right = accuracy(network, images, classes, settings.fidelity.batch_size, device)
            tracked.metric(settings.classifier.steps + 1, {"classifier_accuracy": right})
        reference, others = (train, test) if settings.fidelity.reference == "train" else (test, train)
        rng = np.random.default_rng(settings.fidelity.seed)
        chosen = np.sort(rng.permutation(len(others))[: len(reference)])  # no more than they are compared with
        name = "real test images" if settings.fidelity.reference == "train" else "real training images"
        baselines = {
            name: others[chosen],
            "independent pixels": independent_pixels(train, len(chosen), settings.fidelity.seed),
        }
        rows = []
        with scoring(workspace, task, extractor) as score, progress(f"score {task}", len(baselines)) as update:
            for name, images in baselines.items():
                rows.append(OfBaseline(**dict(score(images)), baseline=name))
                update(len(rows), name)
        output = layout.quality_baselines_file(workspace.root, task)
        FeaturesFile(
            task=task,
            dataset=settings.data.dataset,
            features=features_name(task, settings.fidelity),
            distance_name=distance_name(task, settings.fidelity),
            classifier_accuracy=right,
            rows=rows,
        ).write(output)
        tracked.artifact(output)


def trained_classifier(
    workspace: Workspace, task: str, device: torch.device, tracked: tracking.StageRun
) -> ImageClassifier:
    """Trains a task's classifier on its training images and writes it."""
    settings, meta = workspace.config.image_task(task), workspace.meta(task)
    torch.manual_seed(settings.classifier.seed)
    network = _classifier(settings, meta).to(device)
    torch.set_deterministic_debug_mode("warn")
    with progress(f"train {task} classifier", settings.classifier.steps) as update:

        def report(step: int, loss: float) -> None:
            update(step, f"loss {loss:.4f}")
            tracked.metric(step, {"classifier_loss": loss})

        images, classes = _classified(workspace, task, "train", meta)
        train_classifier(network, images, classes, settings.classifier, device, report)
    output = layout.classifier_file(workspace.root, task)
    checkpoint.save(output, network.state_dict(), {"digest": _identity(settings, meta)})
    tracked.link("classifier", output)
    return network


def load_extractor(workspace: Workspace, task: str, device: torch.device) -> Extractor:
    """What the images of a task are compared by, on `device`.

    Raises UserError when its file is missing, is something else, or belongs to other parameters or data.
    """
    settings, meta = workspace.config.image_task(task), workspace.meta(task)
    if settings.fidelity.inception_weights is not None:
        return InceptionFeatures(settings.fidelity.inception_weights).to(device)
    path = layout.classifier_file(workspace.root, task)
    weights, metadata = checkpoint.load(path, device)
    if metadata.get("digest") != _identity(settings, meta):
        raise UserError(
            f"{path}: trained with other parameters or data; make it again: {workspace.hint('features', task)}"
        )
    network = _classifier(settings, meta).to(device)
    network.load_state_dict(weights)
    return ClassifierFeatures(network.eval())


@contextmanager
def scoring(workspace: Workspace, task: str, extractor: Extractor) -> Iterator[Score]:
    """Yields what scores pixels (N, L) against the reference images: columns `distance` to `num_samples` of a row.

    The features of the reference are computed once. What is memorised is looked for in the training images.
    """
    settings, train = workspace.config.image_task(task), workspace.tokens(task, "train")
    reference = workspace.tokens(task, settings.fidelity.reference)
    data, device = settings.data, next(extractor.parameters()).device
    with tempfile.TemporaryDirectory() as folder:

        def score(pixels: NDArray[np.unsignedinteger]) -> Scores:
            found = compare(
                as_images(pixels, data), as_images(reference, data), extractor, settings.fidelity, cache=Path(folder)
            )
            distances = nearest_distances(pixels, train, data.vocab_size, device)
            return Scores(
                **found._asdict(),
                memorised=memorised(distances),
                nearest=float(distances.mean()),
                num_samples=len(pixels),
            )

        yield score


def as_images(pixels: NDArray[np.unsignedinteger], data: ImageDataSection) -> NDArray[np.uint8]:
    """Pixels (N, L) in 0..V-1 as images (N, C, H, W) in 0..255; what is memory-mapped stays so if V = 256."""
    return to_bytes(pixels, data.vocab_size).reshape(-1, data.channels, data.size, data.size)


def _classifier(settings: ImageTask, meta: DataSet) -> ImageClassifier:
    data, classifier = settings.data, settings.classifier
    try:
        return ImageClassifier(
            channels=data.channels,
            size=data.size,
            num_classes=_classes(meta) if _has_classes(meta) else QUARTER_TURNS,
            width=classifier.width,
            num_features=classifier.num_features,
        )
    except ValueError as error:
        raise UserError(f"tasks.{meta.task}.data: {error}; give fidelity.inception_weights") from None


def _identity(settings: ImageTask, meta: DataSet) -> str:
    """What a classifier belongs to: its parameters and its data."""
    text = json.dumps(settings.classifier.model_dump(mode="json"), sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()} {meta.sha256}"


def _has_classes(meta: DataSet) -> bool:
    return _classes(meta) > 1


def _classes(meta: DataSet) -> int:
    """Of images. Raises UserError where the data set does not say it, or there are too many to tell them apart."""
    classes = meta.corpus.get("classes")
    if not isinstance(classes, int) or classes > MOST_CLASSES:
        raise UserError(
            f"tasks.{meta.task}.data: its meta.json says corpus.classes {str(classes)[:20]}; a classifier takes at "
            f"most {MOST_CLASSES}; make the data again, or give fidelity.inception_weights"
        )
    return classes


def _classified(
    workspace: Workspace, task: str, split: str, meta: DataSet
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, C, H, W) of a split and what is told apart, (N,): their labels.

    Images of one class, or without labels, are there four times, each by a quarter turn further: to tell the turns
    apart needs no labels, and takes features of what is on the images (arXiv 1803.07728).
    """
    tokens = workspace.tokens(task, split)
    images = as_images(tokens, workspace.config.image_task(task).data)
    if _has_classes(meta):
        return images, _labels(workspace, task, split, len(tokens), meta)
    turned = [np.rot90(images, turns, axes=(2, 3)) for turns in range(QUARTER_TURNS)]
    return np.concatenate(turned), np.repeat(np.arange(QUARTER_TURNS), len(tokens))


def _labels(workspace: Workspace, task: str, split: str, count: int, meta: DataSet) -> NDArray[np.int64]:
    """(count,) classes from 0. Raises UserError when they are missing or do not fit the images."""
    path = layout.data_dir(workspace.root, task) / f"{split}_labels.npy"
    again = f"make it with: {workspace.hint('data', task)}"
    labels: NDArray[np.int64] = np.array(files.load_array(path, workspace.hint("data", task)))
    if labels.shape != (count,):
        raise UserError(f"{path}: has shape {labels.shape}, wanted ({count},); {again}")
    classes = _classes(meta)
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(f"{path}: holds {labels.min()}..{labels.max()}, wanted 0..{classes - 1}; {again}")
    return labels
