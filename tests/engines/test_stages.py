"""The table of stages: what it declares, what Snakemake and DVC make of it, and which code each stage depends on."""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from mdm_prime.engines import code, dvc_file
from mdm_prime.engines.code import Source, is_left_out
from mdm_prime.engines.made import Made
from mdm_prime.engines.settings import settings, value
from mdm_prime.engines.stages import Stage, needed, stages
from mdm_prime.experiment import config as params_files
from mdm_prime.experiment.config import Config

PROJECT = Path(__file__).parents[2]
PACKAGE = Path(code.__file__).parents[1]
SCALES = ("smoke", "default", "paper", "official", "systems")

# Which kinds of stages a change of a module makes out of date: written by hand, to hold the derived closures to it.
# The first pattern that fits counts. A kind is the word of a stage's name before its task; KIND:TASK is one stage.
NETWORK = {"train", "evaluate", "sample"}
REPORTS = {"table", "figure", "metrics"}
EVERYTHING = {"data", "baselines", "oracle", "idle_steps", *NETWORK, "features", "quality", *REPORTS}
TEXT, TOY, ENTROPY, DIGITS, PHOTOS = ("text", "toy", "known_entropy", "digits", "photos")
ON_TOKENS, ON_IMAGES = (TEXT, TOY, ENTROPY), (DIGITS, PHOTOS)


def of(kinds: set[str], *tasks: str) -> set[str]:
    return {f"{kind}:{task}" for kind in kinds for task in tasks}


EXPECTED: dict[str, set[str]] = {
    "mdm_prime": EVERYTHING,
    "mdm_prime.data.text": of({"data"}, TEXT),
    "mdm_prime.data.documents": of({"data"}, TEXT),
    "mdm_prime.data.pydocs": of({"data"}, TEXT),
    "mdm_prime.data.toy": of({"data"}, TOY),
    "mdm_prime.data.images.digits": of({"data"}, DIGITS),
    "mdm_prime.data.images.photos": of({"data"}, PHOTOS),
    "mdm_prime.data.images.hub": set(),
    "mdm_prime.data.images.folder": set(),
    "mdm_prime.data.images.batches": set(),
    "mdm_prime.data.pickles": set(),
    "mdm_prime.restricted_pickle": set(),
    "mdm_prime.data.splitting": of({"data"}, TEXT, *ON_IMAGES),
    "mdm_prime.official.*": set(),
    "mdm_prime.stages.import_checkpoint": set(),
    "mdm_prime.stages.data": {"data"},
    "mdm_prime.stages.train": {"train"},
    "mdm_prime.stages.evaluate": {"evaluate"},
    "mdm_prime.stages.sample": {"sample"},
    "mdm_prime.stages.sample_images": {"sample"},
    "mdm_prime.stages.image_views": {"sample"},
    "mdm_prime.stages.baselines": {"baselines"},
    "mdm_prime.stages.features": {"features", "quality"},
    "mdm_prime.stages.quality": {"quality"},
    "mdm_prime.stages.oracle": {"oracle"},
    "mdm_prime.stages.idle_steps": {"idle_steps"},
    "mdm_prime.stages.reference": set(),
    "mdm_prime.evaluation.likelihood": {"evaluate"},
    "mdm_prime.evaluation.ngrams": {"baselines"},
    "mdm_prime.evaluation.exact": {"evaluate"},
    "mdm_prime.evaluation.oracle": {"oracle"},
    "mdm_prime.core.revealing": {"evaluate", "oracle"},
    "mdm_prime.samplers.ordered": set(),
    "mdm_prime.evaluation.idle_steps": {"idle_steps"},
    "mdm_prime.networks.mlp": of(NETWORK, TOY),
    "mdm_prime.networks.modules.mlp": of(NETWORK, TOY),
    "mdm_prime.networks.dit": of(NETWORK, TEXT, ENTROPY),
    "mdm_prime.networks.modules.dit": of(NETWORK, TEXT, ENTROPY),
    "mdm_prime.networks.unet": of(NETWORK, *ON_IMAGES),
    "mdm_prime.networks.modules.unet": of(NETWORK, *ON_IMAGES),
    "mdm_prime.networks.modules.classifier": {"features", "quality"},
    "mdm_prime.training.objectives.joint_loss": of({"train"}, *ON_TOKENS),
    "mdm_prime.training.objectives.cross_entropy": of({"train"}, *ON_IMAGES),
    "mdm_prime.training.objectives.nelbo": set(),
    "mdm_prime.models": NETWORK,
    "mdm_prime.models.block*": set(),
    "mdm_prime.networks.modules.block_dit": set(),
    "mdm_prime.samplers.in_blocks": set(),
    "mdm_prime.models.masked.training": {"train"},
    "mdm_prime.models.masked.evaluation": {"evaluate"},
    "mdm_prime.models.masked.sampling": {"sample"},
    "mdm_prime.models.masked*": NETWORK,
    "mdm_prime.models.autoregressive.training": of({"train"}, TEXT),
    "mdm_prime.models.autoregressive.evaluation": of({"evaluate"}, TEXT),
    "mdm_prime.models.autoregressive.sampling": of({"sample"}, TEXT),
    "mdm_prime.models.autoregressive*": of(NETWORK, TEXT),
    "mdm_prime.models.energy*": set(),
    "mdm_prime.networks.modules.energies": set(),
    "mdm_prime.evaluation.chains": set(),
    "mdm_prime.evaluation.hybrids": set(),
    "mdm_prime.samplers.energy*": set(),
    "mdm_prime.models.genmd4*": set(),
    "mdm_prime.evaluation.state_dependent": set(),
    "mdm_prime.samplers.state_steps": of({"sample"}, TEXT, ENTROPY),
    "mdm_prime.core.state_dependent": of({"sample"}, TEXT, ENTROPY),
    "mdm_prime.training.loop": {"train"},
    "mdm_prime.training.losses": {"train"},
    "mdm_prime.training.optimizers": {"train"},
    "mdm_prime.training.augmentation": {"train"},
    "mdm_prime.training.classifier": {"features", "quality"},
    "mdm_prime.samplers.euler": of({"sample"}, *ON_IMAGES),
    "mdm_prime.samplers.euler_steps": of({"sample"}, *ON_IMAGES),
    "mdm_prime.results.made": set(),
    "mdm_prime.results.network": {*NETWORK, "quality"},
    "mdm_prime.results.oracle": {"oracle", "table_bound_validity", "metrics"},
    "mdm_prime.results.idle_steps": {"idle_steps", "table_idle_steps"},
    "mdm_prime.results.tables": {"table"},
    "mdm_prime.reporting.tables.block_diffusion": {"{name}"},
    "mdm_prime.reporting.tables.claims": {"{name}"},
    "mdm_prime.reporting.tables.idle_steps": {"{name}"},
    "mdm_prime.reporting.tables.digit_entropies": {"{name}"},
    "mdm_prime.reporting.tables.image_published": {"{name}"},
    "mdm_prime.reporting.tables.schedules": set(),
    "mdm_prime.reporting.tables.toy_likelihood": {"{name}", "metrics", "figure_toy_samples"},
    "mdm_prime.reporting.tables.hybrid*": set(),
    "mdm_prime.reporting.tables.*": {"{name}", "metrics"},
    "mdm_prime.reporting.figures.image_denoising": {"{name}", "figure_image_samples"},
    "mdm_prime.reporting.figures.*": {"{name}"},
    "mdm_prime.reporting.claims.*": {"table_claims"},
    "mdm_prime.reporting.rules.*": {"table_claims"},
    "mdm_prime.reporting.text_models": {
        "table_text_perplexity",
        "metrics",
        "table_claims",
        "figure_perplexity_vs_subtokens",
    },
    "mdm_prime.reporting.report.*": set(),
    "mdm_prime.reporting.pages": set(),
    "mdm_prime.reporting.reference": set(),
}


@pytest.fixture(scope="module")
def smoke() -> Config:
    return params_files.load(PROJECT / "params/smoke.yaml")


@pytest.fixture(scope="module")
def table(smoke: Config) -> list[Stage]:
    return stages(smoke)


@pytest.fixture(scope="module")
def digests(table: list[Stage]) -> dict[str, set[str]]:
    """For every module the stages whose hash of code changes with it; a stage of several models counts if one does."""
    source = Source(PACKAGE)
    found: dict[str, set[str]] = {name: set() for name in source.modules}
    for stage in table:
        for roots in [(), *stage.modules_of.values()]:
            for name in source.closure([*stage.modules, *roots]):
                found[name].add(stage.name)
    return found


def named(wanted: set[str], module: str, table: list[Stage]) -> set[str]:
    """The stages that words of EXPECTED stand for."""
    found: set[str] = set()
    kind, _, name = module.rpartition(".")
    for word in wanted:
        if word == "{name}":
            found |= {f"{kind.rpartition('.')[2].removesuffix('s')}_{name}"}
        elif ":" in word:
            found |= {word.replace(":", "_")}
        else:
            found |= {stage.name for stage in table if stage.name == word or stage.name.startswith(f"{word}_")}
    return found & {stage.name for stage in table}


def test_every_module_makes_the_expected_stages_out_of_date(table: list[Stage], digests: dict[str, set[str]]) -> None:
    differences = []
    for module, found in digests.items():
        pattern = next((pattern for pattern in EXPECTED if fnmatch(module, pattern)), None)
        if is_left_out(module):
            assert not found, module
        elif pattern is not None and found != (wanted := named(EXPECTED[pattern], module, table)):
            differences.append(f"{module}: not {sorted(wanted - found)}, but {sorted(found - wanted)}")
    assert not differences, "\n".join(differences)


def test_reports_retrain_nothing_and_text_knows_no_images(digests: dict[str, set[str]]) -> None:
    for module, found in digests.items():
        if module.startswith("mdm_prime.reporting"):
            assert {name.split("_")[0] for name in found} <= REPORTS, module
        if (
            "image" in module and module != "mdm_prime.experiment.sections.image_data"
        ):  # a run asks whether it is on images
            assert not {name for name in found if name in ("data_text", "train_text", "evaluate_text")}, module


def test_what_both_engines_go_by_changes_with_the_code_and_the_values(smoke: Config, tmp_path: Path) -> None:
    """A changed module or value changes exactly the settings of the stages that depend on it."""
    package = shutil.copytree(PACKAGE, tmp_path / "mdm_prime", ignore=shutil.ignore_patterns("__pycache__"))
    table = stages(smoke)
    before = settings(smoke, table, Source(package))
    train = package / "stages/train.py"
    train.write_text(train.read_text().replace("= run.model.part(", "= (run.model).model_copy().part("))
    after = settings(smoke, table, Source(package))
    changed = {
        repetition.stage.name
        for stage in table
        for repetition in stage.repetitions()
        if [value(before, key) for key in repetition.values] != [value(after, key) for key in repetition.values]
    }
    assert changed == {"train_text", "train_toy", "train_known_entropy", "train_digits", "train_photos"}


@pytest.mark.parametrize("scale", SCALES)
def test_every_stage_is_whole(scale: str) -> None:
    config = params_files.load(PROJECT / f"params/{scale}.yaml")
    table = stages(config)
    found = settings(config, table)
    made: dict[str, str] = {}
    commands = [repetition.command for stage in table for repetition in stage.repetitions()]
    assert len(set(commands)) == len(commands)
    assert len({stage.name for stage in table}) == len(table)
    repetitions = [repetition for stage in table for repetition in stage.repetitions()]
    for repetition in repetitions:
        for key in repetition.values:
            value(found, key)
        for path in [*repetition.outputs, repetition.made]:
            assert path not in made, f"{path} is made twice"
            made[path] = repetition.stage.name
    for repetition in repetitions:
        for path in repetition.inputs:
            assert path in made, f"{repetition.command} needs {path}, which nothing makes"


def test_the_committed_dvc_yaml_is_what_the_table_says() -> None:
    params = Path("params/default.yaml")
    config = params_files.load(PROJECT / params)
    layers = [(path.relative_to(PROJECT), values) for path, values in params_files.layers(PROJECT / params)]
    said = dvc_file.text(config, needed(stages(config)), layers)
    assert (PROJECT / "dvc.yaml").read_text() == said, "write it anew: make dvc.yaml"


def test_dvc_reads_the_lists_that_may_grow_in_the_params_file() -> None:
    content = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    assert content["stages"]["train_known_entropy"]["matrix"] == {
        "model": "${tasks.known_entropy.models}",
        "seed": "${tasks.known_entropy.seeds}",
    }
    assert content["stages"]["sample_text"]["matrix"]["seed"] == ["${tasks.text.seeds[0]}"]
    assert "results/default/text/likelihood" in content["stages"]["table_text_perplexity"]["deps"]
    assert "sample_known_entropy" not in content["stages"]  # no table or figure shows these samples


def test_dvc_has_the_runs_one_by_one_where_a_variant_has_its_own_seeds() -> None:
    default = params_files.load(PROJECT / "params/default.yaml")
    train = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["train_text"]
    runs = [(run["model"], run["seed"]) for run in train["matrix"]["run"]]
    assert runs == [(run.variant, run.seed) for run in default.runs("text")]
    assert {model: [name for name, _ in runs].count(model) for model in ("l9", "l4")} == {"l9": 2, "l4": 3}
    assert train["cmd"].endswith("train text/${item.run.model}/seed${item.run.seed}")
    assert all("${item.run.model}" in path for path in train["outs"] if isinstance(path, str))


def test_a_record_says_why(smoke: Config, tmp_path: Path) -> None:
    table = [stage for stage in stages(smoke) if stage.name in ("data_toy", "train_toy")]
    current = settings(smoke, table)
    data, train = (next(iter(stage.repetitions())) for stage in table)
    for repetition in (data, train):
        begun = Made(tmp_path, table, current).begin(repetition)
        for path in repetition.outputs:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(path)
        Made(tmp_path, table, current).finish(repetition, begun)

    def why(changed: dict[str, object] | None = None) -> dict[str, str]:
        found = Made(tmp_path, table, changed or current).out_of_date()
        return {repetition.command: reason for repetition, reason in found.items()}

    assert why() == {}
    (tmp_path / data.outputs[0]).touch()  # another time, the same content
    assert why() == {}
    (tmp_path / data.outputs[0]).write_text("edited")
    assert why() == {
        "data toy": "toy/data/train.npy is not as it was made",
        "train toy/l1/seed0": "toy/data/train.npy has changed",
    }
    (tmp_path / data.outputs[0]).write_text(data.outputs[0])
    faster = params_files.load(PROJECT / "params/smoke.yaml").model_dump(mode="json")
    faster["tasks"]["toy"]["training"]["learning_rate"] = 0.5
    assert why(settings(Config.model_validate_json(json.dumps(faster)), table)) == {
        "train toy/l1/seed0": "tasks.toy.variants.l1.run.training.learning_rate has changed"
    }
    (tmp_path / train.made).write_text("{")
    assert why() == {"train toy/l1/seed0": "nothing says what it was made of"}
