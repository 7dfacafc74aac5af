"""The scale for one GPU and one night, without either: what it would run, and a tiny version of it on local files."""

from __future__ import annotations

import shlex
from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from mdm_prime.cli import main as cli
from mdm_prime.engines.stages import needed, stages
from mdm_prime.experiment import config, layout
from project_copy import PROJECT, copy_project, planned

pytestmark = pytest.mark.pipeline
WORDS = ["the mask", "hides", "a token", "and", "the network", "guesses", "what was there"]
CARD = "---\nconfigs:\n- config_name: {name}\n  data_files:\n{files}---\n"
DIT = {"width": 16, "blocks": 1, "heads": 2, "conditioning_width": 8}
STEPS = {"steps": 2, "batch_size": 4, "micro_batch_size": 2, "warmup_steps": 1, "log_every": 1, "checkpoint_every": 1}
FEW = {"num_samples": 12, "batch_size": 4}
TEXT = {"network": DIT, "training": STEPS, "evaluation": FEW, "sampling": {"num_samples": 2, "batch_size": 2}}


def on_the_hub(folder: Path, name: str, splits: dict[str, datasets.Dataset]) -> str:
    """A data set as a repository of the hub has it: a card, and parquet files of one configuration."""
    listed = ""
    for split, rows in splits.items():
        file = f"{name}/{split}-00000-of-00001.parquet"
        (folder / name).mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / file)
        listed += f"  - split: {split}\n    path: {file}\n"
    (folder / "README.md").write_text(CARD.format(name=name, files=listed))
    return str(folder)


def wikitext(folder: Path) -> str:
    """Rows are headings, paragraphs and empty lines, as in Salesforce/wikitext."""
    rng = np.random.default_rng(0)
    rows = [text for i in range(40) for text in ("", f" = {i} = \n", " ".join(rng.choice(WORDS, 30)) + "\n")]
    return on_the_hub(folder, "wikitext-103-raw-v1", {"train": datasets.Dataset.from_dict({"text": rows})})


def cifar10(folder: Path) -> str:
    """Columns and splits of uoft-cs/cifar10."""
    rng = np.random.default_rng(0)
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})

    def rows(count: int) -> datasets.Dataset:
        images = [Image.fromarray(rng.integers(256, size=(32, 32, 3)).astype(np.uint8)) for _ in range(count)]
        return datasets.Dataset.from_dict({"img": images, "label": [i % 2 for i in range(count)]}, features=features)

    return on_the_hub(folder, "plain_text", {"train": rows(40), "test": rows(20)})


def tiny(folder: Path) -> Path:
    """A params file on top of gpu.yaml, with local data sets and little of everything."""
    values = {
        "base": "gpu.yaml",
        "compute": {"device": "cpu", "threads": 1},
        "tasks": {
            "text": TEXT
            | {
                "data": {"hub": {"path": wikitext(folder / "wikitext")}, "vocab_size": 280, "length": 16}
                | {"heldout_fraction": 0.3},
                "models": ["l2", "arm"],
            },
            "characters": TEXT
            | {
                "data": {"hub": {"path": str(folder / "wikitext")}, "length": 16, "heldout_fraction": 0.3},
                "models": ["l4"],
            },
            "images": {
                "data": {"path": cifar10(folder / "cifar10")},
                "network": {"width": 6, "multipliers": [1, 2], "blocks": 1, "attention_at": [2], "head_width": 6}
                | {"norm_groups": 2},
                "training": STEPS,
                "models": ["l2"],
                "evaluation": FEW,
                "samplers": [{"kind": "euler", "num_steps": 2, "distribution": "marginals"}],
                "sampling": {"num_samples": 20, "batch_size": 20, "shown": 1},
                "classifier": {"width": 4, "num_features": 4, "steps": 2, "batch_size": 4},
                "fidelity": {"inception_weights": None, "kid_subset_size": 10, "batch_size": 20},
            },
        },
        "idle_steps": {"length": 8, "num_subtokens": [1], "num_steps": [4], "num_sequences": 2},
    }
    for name in ("base", "gpu"):
        (folder / f"{name}.yaml").write_bytes((PROJECT / f"params/{name}.yaml").read_bytes())
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_tiny_version_goes_through_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deterministic_mode_restored: None
) -> None:
    monkeypatch.setenv("MDM_PRIME_PARENT_RUN", "pipeline-test")  # nothing is sent to MLflow
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    path, results = tiny(tmp_path), tmp_path / "results"
    loaded = config.load(path)
    waiting = [repetition for stage in needed(stages(loaded)) for repetition in stage.repetitions()]
    while waiting:
        ready = next(one for one in waiting if all((results / "tiny" / path).is_file() for path in one.inputs))
        waiting.remove(ready)
        command = ["--params", str(path), "--results", str(results), *shlex.split(ready.command)]
        assert cli.main(command) == 0, command
    table = layout.table_files(results / "tiny", "text_perplexity")[0].read_text()
    assert all(f"\n{task}," in table for task in ("text", "characters"))
    assert "\nimages," in layout.table_files(results / "tiny", "image_quality")[0].read_text()


@pytest.mark.parametrize(("scale", "runs"), [("gpu", 10), ("gpu-embedded", 10)])
def test_what_it_would_run(scale: str, runs: int, tmp_path: Path) -> None:
    """Without a GPU, a network or Inception's weights."""
    rules = planned(copy_project(tmp_path / "project", params=None), scale=scale)
    trained = [rule for rule in rules if rule.startswith("train_")]
    assert len(trained) == runs
    assert {"data_text", "data_characters", "data_images", "features_images", "table_claims"} <= set(rules)
