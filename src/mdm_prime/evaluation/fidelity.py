"""Distances between sets of images by torch-fidelity, in the features of Inception or of a task's own classifier.

A distance is called FID only in Inception's features, which published values are measured in; in any other features it
is a different quantity and bears the name of what it was measured with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.images import DOWNLOADED, Fidelity

if TYPE_CHECKING:
    from mdm_prime.networks.modules.classifier import ImageClassifier

BYTES = 256
SPLITS = 10  # of the images, for the Inception score, as in Salimans et al. 2016 (arXiv 1606.03498)
DISTANCES_AT_ONCE = 1000  # rows of the distance matrix of precision and recall; memory is this times the images
INCEPTION_FEATURES = ("2048", "logits_unbiased")  # torch-fidelity's names of the layers behind published FID and IS
EXTRACTOR = "mdm-prime"


class Scores(NamedTuple):
    """How near a set of images is to a reference set.

    Attributes:
        distance: Frechet distance of the features (Heusel et al. 2017, arXiv 1706.08500).
        inception_score: of the logits; mean over SPLITS parts of the images. It does not see the reference.
        inception_score_stderr: standard error of that mean.
        kid: unbiased squared maximum mean discrepancy with a cubic kernel (Binkowski et al. 2018, arXiv 1801.01401),
            mean over random subsets; below zero by chance where the two sets are alike.
        kid_stderr: see `kid_standard_error`.
        precision: share of images within the reach of the reference (Kynkaanniemi et al. 2019, arXiv 1904.06991).
        recall: share of the reference within the reach of the images.
    """

    distance: float
    inception_score: float
    inception_score_stderr: float
    kid: float
    kid_stderr: float
    precision: float
    recall: float


def features_name(task: str, settings: Fidelity) -> str:
    """Whose features a task's images are compared in."""
    return f"{task} classifier" if settings.inception_weights is None else "inception"


def distance_name(task: str, settings: Fidelity) -> str:
    """What the Frechet distance may be called."""
    return f"fd_{task}" if settings.inception_weights is None else "fid"


def to_bytes(pixels: NDArray[np.integer], vocab_size: int) -> NDArray[np.uint8]:
    """Pixel values 0..V-1 of any shape as 0..255, rounded to the nearest. Bytes are returned as they are, uncopied."""
    if vocab_size == BYTES:
        return pixels.astype(np.uint8, copy=False)
    levels = np.rint(np.arange(vocab_size) * (BYTES - 1) / (vocab_size - 1)).astype(np.uint8)
    scaled: NDArray[np.uint8] = levels[pixels]
    return scaled


class ClassifierFeatures(nn.Module):
    """What a classifier says of images (B, C, H, W) uint8: features (B, F) float32 and logits (B, K)."""

    def __init__(self, network: ImageClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(images)
        return features, self.network.head(features)


class InceptionFeatures(nn.Module):
    """What Inception says of images (B, 1 or 3, H, W) uint8: features (B, 2048) and logits (B, 1008), float32.

    Args:
        weights: torch-fidelity's file of them, or the address that it has: see `downloaded`.

    Raises:
        UserError: the file is missing or holds something else than torch-fidelity's weights.
    """

    def __init__(self, weights: str | Path) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        super().__init__()
        wanted = "give torch-fidelity's weights-inception-2015-12-05-6726825d.pth, or null"
        weights = downloaded(str(weights)) if str(weights).startswith(DOWNLOADED) else weights
        try:
            torch.load(weights, map_location="cpu", weights_only=True)  # the library would run code in the file
            self.network = FeatureExtractorInceptionV3(
                "inception", list(INCEPTION_FEATURES), feature_extractor_weights_path=str(weights)
            )
        except OSError as error:
            raise UserError(f"fidelity.inception_weights: {weights}: {error.strerror or error}; {wanted}") from None
        except (UnpicklingError, EOFError, RuntimeError, TypeError, ValueError, LookupError, AttributeError):
            raise UserError(f"fidelity.inception_weights: {weights}: holds no weights of Inception; {wanted}") from None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.network(images.expand(-1, 3, -1, -1))  # gray: the same in all three channels
        return features, logits


def downloaded(address: str) -> Path:
    """The file of an address, fetched once into torch's folder of such files, where torch-fidelity keeps it as well.

    Raises UserError where it cannot be fetched, or is not the file whose hash stands in its name.
    """
    name = address.rpartition("/")[2]
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = re.search(r"-([0-9a-f]{8,})\.", name)
        try:
            torch.hub.download_url_to_file(address, str(path), digest and digest[1])
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"fidelity.inception_weights: {address}: cannot be downloaded ({reason}); give the file's own path"
            ) from None
    return path


Extractor = ClassifierFeatures | InceptionFeatures


def compare(
    images: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    extractor: Extractor,
    settings: Fidelity,
    cache: Path | None = None,
) -> Scores:
    """Compares images (N, C, H, W) uint8 with the reference (M, C, H, W) uint8; both may be memory-mapped.

    Args:
        images: what is judged.
        reference: what it should be like.
        extractor: computes where it lies.
        settings: the section `fidelity` of the params file.
        cache: a folder that keeps the reference's features for later calls with the same reference and extractor.

    Raises:
        UserError: too few images for the settings, or features that are not finite.
    """
    import torch_fidelity

    _check_numbers(len(images), len(reference), settings)
    kept = {"cache_root": str(cache), "input2_cache_name": "reference"} if cache else {}
    with _registered(extractor):
        try:
            found = torch_fidelity.calculate_metrics(
                input1=_Images(images),
                input2=_Images(reference),
                feature_extractor=EXTRACTOR,
                isc=True,
                fid=True,
                kid=True,
                prc=True,
                batch_size=settings.batch_size,
                isc_splits=SPLITS,
                kid_subset_size=settings.kid_subset_size,
                prc_neighborhood=settings.neighbours,
                prc_batch_size=DISTANCES_AT_ONCE,
                rng_seed=settings.seed,
                cuda=next(extractor.parameters()).is_cuda,
                save_cpu_ram=True,  # no worker processes, no whole matrix of distances
                cache=cache is not None,
                verbose=False,
                **kept,
            )
        except np.linalg.LinAlgError as error:
            raise UserError(
                f"the features of the images have no distance ({error}); train the classifier anew"
            ) from None
    subsets_std = found[torch_fidelity.KEY_METRIC_KID_STD]
    return Scores(
        distance=found[torch_fidelity.KEY_METRIC_FID],
        inception_score=found[torch_fidelity.KEY_METRIC_ISC_MEAN],
        inception_score_stderr=found[torch_fidelity.KEY_METRIC_ISC_STD] / math.sqrt(SPLITS - 1),
        kid=found[torch_fidelity.KEY_METRIC_KID_MEAN],
        kid_stderr=kid_standard_error(subsets_std, settings.kid_subset_size, len(images), len(reference)),
        precision=found[torch_fidelity.KEY_METRIC_PRECISION],
        recall=found[torch_fidelity.KEY_METRIC_RECALL],
    )


def kid_standard_error(subsets_std: float, subset_size: int, num_images: int, num_reference: int) -> float:
    """Standard error of KID from its standard deviation over random subsets of m of N images and m of M references.

    Subsets of the same images overlap, so neither that deviation nor its share 1/sqrt(subsets) is the error. To first
    order, and with both sets taken as equally variable, an estimate from all images has a variance proportional to
    1/N + 1/M, and subsets drawn without replacement spread with (1/m - 1/N) + (1/m - 1/M).
    """
    share = subset_size / num_images + subset_size / num_reference
    return subsets_std * math.sqrt(share / (2 - share))


def _check_numbers(num_images: int, num_reference: int, settings: Fidelity) -> None:
    fewest, most = sorted((num_images, num_reference))
    for key, value in (("kid_subset_size", settings.kid_subset_size), ("neighbours", settings.neighbours + 1)):
        if value > fewest:
            raise UserError(f"fidelity.{key}: too large for {fewest} images; lower it, or compare more images")
    if settings.kid_subset_size == most:
        raise UserError(f"fidelity.kid_subset_size: is {most}, all images of both sets; should be fewer")
    if num_images < SPLITS:
        raise UserError(f"sampling.num_samples: only {num_images} images to compare; should be at least {SPLITS}")


class _Images(Dataset[Tensor]):
    """Rows of an array as tensors (C, H, W) uint8; a memory-mapped array is read row by row."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(np.array(self.images[index]))


@contextmanager
def _registered(extractor: Extractor) -> Iterator[None]:
    """Inside the block torch-fidelity, which builds an extractor by name at each call, finds this one as EXTRACTOR."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

    class Registered(FeatureExtractorBase):  # type: ignore[misc]
        def __init__(self, name: str, features_list: list[str], **unused: Any) -> None:
            super().__init__(name, features_list)
            self.extractor = extractor

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            found = dict(zip(self.get_provided_features_list(), self.extractor(images), strict=True))
            return tuple(found[name] for name in self.features_list)

    register_feature_extractor(EXTRACTOR, Registered)
    try:
        yield
    finally:
        del FEATURE_EXTRACTORS_REGISTRY[EXTRACTOR]
