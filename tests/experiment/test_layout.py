"""Every file of the pipeline has one maker, and every input has a maker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mdm_prime.experiment import config, layout

EVERY = sorted((Path(__file__).parents[1] / "params").glob("*.yaml"))
PARAMS = [path for path in EVERY if not config.is_official(path)]  # official checkpoints have a layout of their own
RESULTS = Path("results")


def outputs(loaded: config.Config) -> list[Path]:
    """What the stages of a scale write, tables and figures included; one entry for each writing."""
    root = layout.scale_root(RESULTS, loaded.scale)
    made = [layout.oracle_file(root), layout.idle_steps_file(root)]
    for task in loaded.tasks:
        made += layout.data_files(root, task)
        for run in loaded.runs(task):
            made += [*layout.run_files(root, run.name), layout.likelihood_file(root, run.name)]
        for run in layout.sampled_runs(loaded, task):
            files = layout.image_sample_files if task in loaded.images else layout.sample_files
            made += files(root, run.name)
        if task in loaded.images:
            made += layout.feature_files(root, loaded, task)
            made += [layout.quality_file(root, run.name) for run in loaded.runs(task)]
    made += layout.metrics_files(RESULTS, loaded)
    for table in layout.TABLES:
        made += layout.table_files(RESULTS, table)
    for figure in layout.FIGURES:
        made += layout.figure_files(RESULTS, figure)
    return made


def of_one_scale(loaded: config.Config) -> set[Path]:
    return {path for path in outputs(loaded) if path.parts[1] not in ("tables", "figures", "metrics")}


@pytest.fixture(params=PARAMS, ids=lambda path: path.stem)
def loaded(request: pytest.FixtureRequest) -> config.Config:
    return config.load(request.param)


def test_no_two_stages_write_the_same_file(loaded: config.Config) -> None:
    twice = [path for path, times in Counter(outputs(loaded)).items() if times > 1]
    assert not twice


def test_no_file_lies_where_another_needs_a_folder(loaded: config.Config) -> None:
    made = outputs(loaded)
    assert {parent for path in made for parent in path.parents}.isdisjoint(made)


def test_names_that_differ_in_case_only_do_not_meet(loaded: config.Config) -> None:
    made = {str(path) for path in outputs(loaded)}
    assert len({path.lower() for path in made}) == len(made)


def test_scales_do_not_share_files() -> None:
    scales = [of_one_scale(config.load(path)) for path in PARAMS]
    assert len(set().union(*scales)) == sum(len(scale) for scale in scales)


def test_every_input_of_a_table_or_figure_is_the_output_of_a_stage(loaded: config.Config) -> None:
    made = set(outputs(loaded))
    for name in layout.TABLES:
        inputs = layout.table_inputs(RESULTS, loaded, name)
        assert inputs
        assert set(inputs) <= made - set(layout.table_files(RESULTS, name)), name
    for name in layout.FIGURES:
        inputs = layout.figure_inputs(RESULTS, loaded, name)
        assert inputs
        assert set(inputs) <= made - set(layout.figure_files(RESULTS, name)), name


def test_every_likelihood_and_every_sample_is_used(loaded: config.Config) -> None:
    used = {path for name in layout.TABLES for path in layout.table_inputs(RESULTS, loaded, name)}
    used |= {path for name in layout.FIGURES for path in layout.figure_inputs(RESULTS, loaded, name)}
    idle = {
        path
        for run in layout.sampled_runs(loaded, "known_entropy")
        for path in layout.sample_files(layout.scale_root(RESULTS, loaded.scale), run.name)
    }
    results = {path for path in outputs(loaded) if "likelihood" in path.parts or path.stem == "samples"}
    assert results - used == idle  # the known source is there for its likelihood


def test_samples_come_from_the_first_seed_of_every_variant(loaded: config.Config) -> None:
    for task in config.TOKEN_TASKS:
        section = loaded.task(task)
        sampled = list(layout.sampled_runs(loaded, task))
        assert [run.variant for run in sampled] == list(section.models)
        assert {run.seed for run in sampled} == {section.seeds[0]}


def test_every_task_has_data_files() -> None:
    assert set(layout.DATA_FILES) == set(config.TOKEN_TASKS)
    assert all(set(names) >= {"train.npy", "validation.npy", "meta.json"} for names in layout.DATA_FILES.values())


def test_everything_lies_in_the_folder_of_results(loaded: config.Config) -> None:
    assert all(path.parts[0] == "results" and ".." not in path.parts for path in outputs(loaded))


@pytest.mark.parametrize("inputs", [layout.table_inputs, layout.figure_inputs])
def test_an_unknown_name_is_a_mistake_of_the_programmer(inputs: object, loaded: config.Config) -> None:
    assert callable(inputs)
    with pytest.raises(KeyError):
        inputs(RESULTS, loaded, "no_such_table")
