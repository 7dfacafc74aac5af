"""Image models: what tables and figures call them, and what is saved about them. Needs no pandas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.tasks import PIXEL_CHANNELS, SUPER_TOKENS, Run
from mdm_prime.files import read_json
from mdm_prime.reporting.records import Row, pick

MODELS = ("MDM", "MDM-Mixture", "MDM-Prime")
INDEPENDENT = "independent pixels"  # a baseline, in the column of models; the other one is real images
FID = "fid"  # the distance's name on Inception features, and on no others

METRICS = (
    "distance",
    "inception_score",
    "inception_score_stderr",
    "kid",
    "kid_stderr",
    "precision",
    "recall",
    "memorised",
    "nearest",
    "num_samples",
)
MODEL_KEYS = ("variant", "seed", "num_subtokens", "carry_over", "super_tokens", "components")
SAMPLER_KEYS = ("name", "kind", "num_steps", "draws", "nfe_mean")


def model_name(num_subtokens: int, super_tokens: bool, components: int) -> str:
    """One of MODELS."""
    if components > 1:
        return "MDM-Mixture"
    return "MDM" if subtokens(num_subtokens, super_tokens) == 1 else "MDM-Prime"


def subtokens(num_subtokens: int, super_tokens: bool) -> Fraction:
    """Sub-tokens per pixel channel: two super-tokens, of num_subtokens each, hold three channels."""
    return Fraction(num_subtokens * SUPER_TOKENS, PIXEL_CHANNELS) if super_tokens else Fraction(num_subtokens)


def names(facts: Row) -> Row:
    """The columns `model`, `variant`, `num_subtokens` and `carry_over` of a model saved with MODEL_KEYS."""
    parts = facts["num_subtokens"], facts["super_tokens"]
    return {
        "model": model_name(*parts, facts["components"]),
        "variant": facts["variant"],
        "num_subtokens": str(subtokens(*parts)),
        "carry_over": "yes" if facts["carry_over"] else "no",
    }


def names_of(run: Run) -> Row:
    """The same of a run."""
    components = getattr(run.network, "components", 1) if run.network.kind == "unet" else 1
    return names({**run.model_dump(include=set(MODEL_KEYS)), "components": components})


def order(row: Row) -> tuple[Any, ...]:
    """Sorts rows by model, sub-tokens (2/3 first) and carry-over (with it first)."""
    return MODELS.index(row["model"]), Fraction(str(row["num_subtokens"])), row["carry_over"] != "yes"


def display_name(row: Row, separator: str = ", ") -> str:
    """A model's name in a figure; `separator` stands before what is said of its carry-over."""
    name = str(row["model"])
    if name == "MDM-Prime":
        name += rf" $\ell$ = {row['num_subtokens']}"
    return name if row["carry_over"] == "yes" else f"{name}{separator}no carry-over"


def qualities(config: Config, root: Path, task: str) -> list[tuple[Row, list[Row]]]:
    """For each run, what it is (MODEL_KEYS, dataset, distance_name) and a row of metrics for each of its samplers."""
    found = []
    for run in config.runs(task):
        path = layout.quality_file(root, run.name)
        facts = pick(path, read_json(path), (*MODEL_KEYS, "dataset", "distance_name", "rows"))
        rows = [pick(path, row, ("sampler", "kind", "draws", "nfe", *METRICS)) for row in facts.pop("rows")]
        found.append((facts, rows))
    return found


def baselines(root: Path, task: str) -> tuple[Row, list[Row]]:
    """The data set's name, features and their accuracy, and a row of metrics for each baseline."""
    path = layout.baselines_file(root, task)
    facts = pick(path, read_json(path), ("dataset", "features", "distance_name", "classifier_accuracy", "rows"))
    rows = [pick(path, row, ("baseline", *METRICS)) for row in facts.pop("rows")]
    return facts, rows


def ours_for(published: Row, table: list[Row]) -> list[list[Row]]:
    """Our rows of image_quality that a row of the paper can be compared with: a list of seeds for each way to sample.

    The data set, model, sub-tokens and network evaluations (rounded) are the paper's, carry-over too where the paper
    tells it, and the distance is a FID.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table:
        if row["distance_name"] == FID and same_setting(published, row):
            groups.setdefault((row["variant"], row["sampler"], row["draws"]), []).append(row)
    return list(groups.values())


def same_setting(published: Row, row: Row) -> bool:
    """Whether data set, model, sub-tokens, network evaluations and carry-over are those of a row of the paper."""
    return (
        all(str(row[key]) == str(published[key]) for key in ("dataset", "model", "num_subtokens"))
        and None not in (row["nfe"], published["nfe"])
        and round(row["nfe"]) == published["nfe"]
        and published["carry_over"] in (None, row["carry_over"])
    )


def samplers(path: Path) -> list[Row]:
    """The samplers of a samples.json, in the order of the samples, with SAMPLER_KEYS."""
    saved = pick(path, read_json(path), ("samplers",))
    return [pick(path, row, SAMPLER_KEYS) for row in saved["samplers"]]


def load_array(path: Path, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """A memory-mapped .npy file. Raises UserError when it cannot be read or has another shape; None is any size."""
    with _one_line_of(path):
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return _checked(path, path.name, array, shape)


def load_arrays(path: Path, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file. Raises UserError when one is missing or has another shape than given."""
    with _one_line_of(path), path.open("rb") as file:  # opened here: np.load leaves a broken archive open
        saved = dict(np.load(file, allow_pickle=False))
    pick(path, saved, shapes)
    return {name: _checked(path, name, saved[name], shape) for name, shape in shapes.items()}


@contextmanager
def _one_line_of(path: Path) -> Iterator[None]:
    """What can go wrong in reading an array, as a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); make it with: snakemake --cores all {path}"
        ) from None
    except (ValueError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: holds no array ({error}); delete it and run the pipeline again") from None


def _checked(path: Path, name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> NDArray[Any]:
    if len(array.shape) != len(shape) or any(
        want not in (None, size) for size, want in zip(array.shape, shape, strict=True)
    ):
        wanted = tuple(size or "any" for size in shape)
        raise UserError(f"{path}: {name} has shape {array.shape}, not {wanted}; delete it and run the pipeline again")
    return array
