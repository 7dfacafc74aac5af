"""The image tasks of the synthetic results: their parameters, and files with made-up numbers in the real formats."""

from pathlib import Path

import numpy as np

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.samplers import SamplerSection
from mdm_prime.files import write_json
from mdm_prime.results.models import Model

IMAGE_NATS = {"nelbo": 2.0, "joint_loss": 1.5}  # per token, of every image model
EULER = [{"kind": "euler", "num_steps": steps, "distribution": "marginals"} for steps in (4, 16)]
IMAGES = {
    "digits": {
        "data": {"kind": "digits", "augmentation": "shift", "heldout_fraction": 0.2, "seed": 0},
        "models": ["l2", "l1", "l2-plain"],
        "variants": {"l2-plain": {"carry_over": False}},
        "seeds": [0, 1],
        "samplers": EULER,
    },
    "photos": {
        "data": {"kind": "photos", "size": 16, "train_images": 100, "test_images": 50, "seed": 0},
        "models": ["l1", "l4", "super", "mixture"],
        "variants": {
            "super": {"super_tokens": True, "samplers": [{"kind": "first_hitting"}]},
            "mixture": {"network": {"components": 3}},
        },
        "seeds": [0],
        "samplers": EULER,
    },
}
IMAGE_TASK = {
    "network": {
        "kind": "unet", "width": 24, "multipliers": [1], "blocks": 1, "attention_at": [], "head_width": 8,
        "norm_groups": 4, "dropout": 0.0,
    },
    "evaluation": {"num_samples": 100, "batch_size": 10, "seed": 0},
    "sampling": {"num_samples": 20, "batch_size": 10, "seed": 0, "shown": 4},
    "classifier": {
        "width": 8, "num_features": 8, "steps": 10, "batch_size": 8, "learning_rate": 0.01, "seed": 0,
    },
    "fidelity": {"inception_weights": None, "kid_subset_size": 10, "neighbours": 3, "batch_size": 10, "seed": 0},
}  # fmt: skip
BASELINES = {"real test images": 0.5, "independent pixels": 40.0}  # distances


def write_image_data(config: Config, root: Path, task: str) -> None:
    data = config.image_task(task).data
    images = np.random.default_rng(0).integers(data.vocab_size, size=(20, data.length), dtype=np.uint8)
    np.save(layout.data_dir(root, task) / "heldout.npy", images)
    write_json(
        layout.quality_baselines_file(root, task),
        {
            "task": task,
            "dataset": data.dataset,
            "features": f"{task} classifier",
            "distance_name": f"fd_{task}",
            "classifier_accuracy": 0.9,
            "rows": [{"baseline": name, **metrics(distance)} for name, distance in BASELINES.items()],
        },
    )


def metrics(distance: float) -> dict[str, float]:
    return {
        "distance": distance,
        "inception_score": 5.0 - distance / 100,
        "inception_score_stderr": 0.1,
        "kid": distance / 1000,
        "kid_stderr": 0.001,
        "precision": 0.75,
        "recall": 0.5,
        "memorised": 0.25,
        "nearest": 0.125,
        "num_samples": 20,
    }


def samplers_of(config: Config, run: Run) -> list[dict[str, object]]:
    """Every sampler of a run with its network evaluations: one less than its steps, or 60."""
    return [
        {
            **described(sampler),
            "nfe_mean": (steps or 61) - 1.0,
            "nfe_stderr": 0.0,
            "idle_steps_mean": 1.0 if steps else None,
            "idle_steps_stderr": 0.0 if steps else None,
            "texts": None,
        }
        for sampler in config.task(run.task).samplers_of(run.variant)
        for steps in [sampler.description["num_steps"]]
    ]


def described(sampler: SamplerSection) -> dict[str, object]:
    """What samples.json says of a sampler beside its counts."""
    said = {key: sampler.description[key] for key in ("kind", "num_steps", "distribution")}
    return {"name": sampler.name, **said, "settings": sampler.model_dump(mode="json")}


def write_quality(config: Config, root: Path, run: Run, facts: dict[str, object]) -> None:
    """The distance is 100 / (l * evaluations) + the seed."""
    rows = [
        {
            "sampler": used["name"],
            "distribution": used["distribution"],
            "nfe": used["nfe_mean"],
        }
        | metrics(100 / (run.num_subtokens * used["nfe_mean"]) + run.seed)
        for used in samplers_of(config, run)
    ]
    names = {"dataset": run.task, "features": f"{run.task} classifier", "distance_name": f"fd_{run.task}"}
    write_json(layout.quality_file(root, run.name), of_model(facts) | names | {"rows": rows})


def of_model(facts: dict[str, object]) -> dict[str, object]:
    """Those of a run's facts that stand in all of its files."""
    return {key: value for key, value in facts.items() if key in Model.model_fields}


def write_images(config: Config, root: Path, run: Run, facts: dict[str, object]) -> None:
    """Images of one value, which is the number of the image; half hidden in both views."""
    samples, described, imputation, path = [
        *layout.sample_files(root, run.name),
        layout.imputation_file(root, run.name),
        layout.path_file(root, run.name),
    ]
    data, used = run.data, samplers_of(config, run)
    samples.parent.mkdir(parents=True)
    np.save(samples, np.zeros((len(used), 20, data.length), np.uint8) + np.arange(20, dtype=np.uint8)[:, None] % 17)
    counts = {"num_samples": 20, "length": data.length, "prefix": "", "prefix_tokens": 0}
    write_json(described, of_model(facts) | counts | {"samplers": used})
    shape = (4, data.channels, data.size, data.size)
    original = np.broadcast_to(np.arange(4, dtype=np.uint8)[:, None, None, None], shape)
    kinds = ["first 1 of 2 sub-tokens given", "upper half given"][2 - min(run.num_subtokens, 2) :]
    views = {
        "shown": np.full((len(kinds), *shape), 8, np.float32),
        "masked": np.full((len(kinds), *shape), 0.5, np.float32),
    }
    completed = np.broadcast_to(original, (len(kinds), 3, *shape))
    np.savez(imputation, kinds=np.array(kinds), original=original, completed=completed, **views)
    hidden = np.linspace(1, 0, 5, dtype=np.float32)[:, None, None, None, None]
    shown = np.broadcast_to(original.astype(np.float32), (5, *shape))
    np.savez(path, times=hidden.ravel(), shown=shown, masked=np.broadcast_to(hidden, shown.shape))
