"""Every file of a scale has one maker, every input has a maker, and nothing lies outside of the scale's folder."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from own_params import PARAMS, write

from mdm_prime.engines.stages import Repetition, stages
from mdm_prime.experiment import config, layout
from mdm_prime.experiment.config import NOT_A_TASK, Config

SCALES = [path for path in sorted(PARAMS.glob("*.yaml")) if path.stem != "base"]
ROOT = layout.scale_root("results", "smoke")


@pytest.fixture(scope="module", params=SCALES, ids=lambda path: path.stem)
def loaded(request: pytest.FixtureRequest) -> Config:
    return config.load(request.param)


@cache
def repetitions(scale: str) -> list[Repetition]:
    """All calls of a scale's stages."""
    return [repetition for stage in stages(config.load(PARAMS / f"{scale}.yaml")) for repetition in stage.repetitions()]


def outputs(loaded: Config) -> list[Path]:
    """What the stages of a scale write, relative to its folder; one entry for each writing."""
    return [Path(path) for one in repetitions(loaded.scale) for path in (*one.outputs, one.made)]


def test_no_two_stages_write_the_same_file(loaded: Config) -> None:
    twice = [path for path, times in Counter(outputs(loaded)).items() if times > 1]
    assert not twice


def test_no_file_lies_where_another_needs_a_folder(loaded: Config) -> None:
    made = outputs(loaded)
    assert {parent for path in made for parent in path.parents}.isdisjoint(made)


def test_names_that_differ_in_case_only_do_not_meet(loaded: Config) -> None:
    made = {str(path) for path in outputs(loaded)}
    assert len({path.lower() for path in made}) == len(made)


def test_every_input_is_the_output_of_another_stage(loaded: Config) -> None:
    every = repetitions(loaded.scale)
    made = {path for repetition in every for path in repetition.outputs}
    for repetition in every:
        assert set(repetition.inputs) <= made - set(repetition.outputs), repetition.command


def test_every_likelihood_and_every_sample_is_used(loaded: Config) -> None:
    every = repetitions(loaded.scale)
    used = {path for repetition in every for path in repetition.inputs}
    results = [repetition for repetition in every if repetition.stage.name.startswith(("evaluate_", "sample_"))]
    unused = {repetition.stage.name for repetition in results if used.isdisjoint(repetition.outputs)}
    assert results
    assert unused == {f"sample_{name}" for name in loaded.of_kind("known_entropy")}  # it is there for its likelihood


def test_samples_come_from_the_first_seed_of_every_variant_and_images_from_all(tmp_path: Path) -> None:
    values = config.read(PARAMS / "smoke.yaml")
    for name in ("text", "digits"):
        values["tasks"][name]["seeds"] = [4, 2]
    loaded = config.load(write(tmp_path, values))
    assert [run.name for run in layout.sampled_runs(loaded, "text")] == [
        "text/l1/seed4",
        "text/l2/seed0",  # of its own
        "text/arm/seed4",
        "text/l2-plain/seed4",
    ]
    assert [run.name for run in layout.sampled_runs(loaded, "digits")] == [
        f"digits/{model}/seed{seed}" for model in ("l3", "mixture") for seed in (4, 2)
    ]


def test_what_is_no_task_has_a_name_that_no_task_may_have(loaded: Config) -> None:
    first = {path.parts[0] for path in outputs(loaded)} - set(loaded.tasks) - {"idle_steps.json"}
    assert first <= set(NOT_A_TASK)


def test_everything_lies_below_the_folder_of_the_scale(loaded: Config) -> None:
    assert not [path for path in outputs(loaded) if path.is_absolute() or ".." in path.parts]
    assert layout.scale_root("results", loaded.scale) == Path("results", loaded.scale)


def test_functions_and_patterns_name_the_same_files() -> None:
    loaded = config.load(PARAMS / "smoke.yaml")
    made = {ROOT / path for path in outputs(loaded)}
    named = {layout.oracle_file(ROOT, "known_entropy"), layout.idle_steps_file(ROOT)}
    for name, task in loaded.tasks.items():
        named |= {layout.data_dir(ROOT, name) / file for file in task.data.outputs}
        named |= {layout.baselines_file(ROOT, name)}
        for run in loaded.runs(name):
            named |= {*layout.network_files(ROOT, run.name), layout.history_file(ROOT, run.name)}
            named |= {layout.likelihood_file(ROOT, run.name)}
        for run in layout.sampled_runs(loaded, name):
            named |= set(layout.sample_files(ROOT, run.name))
            if run.on_images:
                named |= {layout.imputation_file(ROOT, run.name), layout.path_file(ROOT, run.name)}
                named |= {layout.quality_file(ROOT, run.name)}
        if task.on_images:
            named |= {layout.classifier_file(ROOT, name), layout.quality_baselines_file(ROOT, name)}
    named |= set(layout.metrics_files(ROOT, loaded))
    for table in ("claims", "idle_steps"):
        named |= set(layout.table_files(ROOT, table))
    named |= set(layout.figure_files(ROOT, "idle_steps"))
    assert named <= made
    others = {path.relative_to(ROOT).parts[0] for path in made - named}
    assert others == {"tables", "figures", "made"}


def test_files_of_runs_are_one_path_each() -> None:
    loaded = config.load(PARAMS / "smoke.yaml")
    files = layout.of_runs(loaded, "text", "likelihood", ".json", list(loaded.runs("text"))[:3])
    assert files.task == "text"
    assert files.paths() == [
        "text/likelihood/l1/seed0.json",
        "text/likelihood/l2/seed0.json",
        "text/likelihood/l2/seed1.json",
    ]
    assert len(layout.of_runs(loaded, "text", "samples", "samples.npy").paths()) == 5
    assert layout.of_runs(loaded, "digits", "samples", "path.npz").paths()[0] == "digits/samples/l3/seed0/path.npz"
    assert layout.idle_steps().paths() == ["idle_steps.json"]
    assert layout.oracle("source").paths() == ["source/oracle.json"]
    assert layout.quality_baselines("digits").paths() == ["digits/features/baselines.json"]
    assert layout.table_csv("claims").paths() == ["tables/claims.csv"]
