"""Every command that a message names is whole and right for the scale at hand: each kind is caused, and typed."""

import ast
import json
import re
import shlex
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import small_results
from mdm_prime import hints
from mdm_prime.cli import main as cli
from mdm_prime.engines import agreement, dvc, project
from mdm_prime.engines.stages import stages
from mdm_prime.experiment import config
from project_copy import PROJECT, copy_project, typed

MINE = "params/mine.yaml"
ROOT = Path("results/mine")  # the scale's; a scale of a user's own
TEXT, DIGITS = ROOT / "text", ROOT / "digits"
DIGITS_DATA = small_results.data_set(task="digits", vocab_size=17, length=64, corpus={"name": "made up", "classes": 10})
WITHOUT_A_SCALE = {  # commands in the package that need none, or a user's choice, and where they stand
    ("mdm-prime pipeline send", "tracking/pipeline.py"),
    ("mdm-prime import-checkpoint", "official/imported.py"),
    ("snakemake --unlock", "engines/lock.py"),
}
ALL_OF_A_SCALE = ("cli/main.py", "engines/dvc_file.py")  # examples of the help; stages with their own params


@pytest.fixture(scope="module")
def project_of_mine(tmp_path_factory):
    """A copy of the project with a scale `mine` of which next to nothing is made, as the current folder."""
    smoke = (PROJECT / "params" / "smoke.yaml").read_text()
    folder = copy_project(tmp_path_factory.mktemp("hints"), "mine", smoke)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MDM_PRIME_PARENT_RUN", "pipeline-test")  # nothing is sent to MLflow
        patch.delenv("MDM_PRIME_SCALE", raising=False)
        yield folder


def json_file(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def tokens(path, *shape, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, (np.arange(np.prod(shape)).reshape(shape) % 17).astype(dtype))


def said(*arguments):
    """The one line of a command that fails."""
    with redirect_stderr(StringIO()) as err:
        assert cli.main(["--params", MINE, *arguments]) == 2
    return err.getvalue()


def no_run_is_there():
    return said("ui")


def data_is_missing():
    return said("train", "text/l2/seed0")


def data_is_of_another_shape():
    json_file(TEXT / "data" / "meta.json", small_results.data_set(task="text", vocab_size=300, length=16))
    tokens(TEXT / "data" / "heldout.npy", 9, 7)
    return said("evaluate", "text/l2/seed0")


def data_is_of_another_vocabulary():
    tokens(TEXT / "data" / "train.npy", 9, 16)
    json_file(TEXT / "data" / "meta.json", small_results.data_set(task="text", vocab_size=299, length=16))
    return said("train", "text/l2/seed0")


def a_network_is_missing():
    json_file(TEXT / "data" / "meta.json", small_results.data_set(task="text", vocab_size=300, length=16))
    tokens(TEXT / "data" / "heldout.npy", 9, 16)
    return said("evaluate", "text/l2/seed0")


def weights_are_missing():
    json_file(TEXT / "networks" / "l2" / "seed0" / "run.json", small_results.network())
    return said("evaluate", "text/l2/seed0")


def weights_are_of_other_params():
    from mdm_prime.training import checkpoint

    checkpoint.save(TEXT / "networks" / "l2" / "seed0" / "weights.safetensors", {}, {"digest": "other"})
    return said("evaluate", "text/l2/seed0")


def samples_are_missing():
    return said("quality", "digits/l3/seed0")


def samples_are_damaged():
    sampler = small_results.drawn(1.0, kind="first_hitting")
    json_file(DIGITS / "samples" / "l3" / "seed0" / "samples.json", small_results.samples(sampler))
    (DIGITS / "samples" / "l3" / "seed0" / "samples.npy").write_text("damaged")
    return said("quality", "digits/l3/seed0")


def a_classifier_is_missing():
    json_file(DIGITS / "data" / "meta.json", DIGITS_DATA)
    tokens(DIGITS / "samples" / "l3" / "seed0" / "samples.npy", 1, 2, 64)
    return said("quality", "digits/l3/seed0")


def a_classifier_is_of_other_params():
    from mdm_prime.training import checkpoint

    checkpoint.save(DIGITS / "features" / "classifier.safetensors", {}, {"digest": "other"})
    return said("quality", "digits/l3/seed0")


def labels_are_missing():
    tokens(DIGITS / "data" / "train.npy", 9, 64)
    tokens(DIGITS / "data" / "heldout.npy", 9, 64)
    return said("features", "digits")


def inputs_of_a_table_are_missing():
    (TEXT / "data" / "meta.json").unlink()
    return said("table", "text_perplexity")


def inputs_of_a_figure_are_missing():
    return said("figure", "perplexity_vs_subtokens")


def arrays_of_a_figure_are_missing():
    json_file(DIGITS / "data" / "meta.json", DIGITS_DATA)
    return said("figure", "image_imputation")


def a_report_of_nothing():
    return said("report")


def a_reference_of_nothing():
    return said("keep-reference")


def a_comparison_of_nothing():
    from mdm_prime.reporting import reference

    return "\n".join(reference.compare(PROJECT / "results" / "reference", ROOT).differences)


def no_checkpoint():
    from mdm_prime.errors import UserError
    from mdm_prime.stages.import_checkpoint import import_run
    from mdm_prime.stages.workspace import Workspace

    with pytest.raises(UserError) as raised:
        import_run(Workspace(config.load(MINE), Path("results"), Path(MINE)), "text/l2/seed0")
    return str(raised.value)


def params_that_are_wrong():
    from mdm_prime.cli.checks.environment import params
    from mdm_prime.cli.checks.finding import Scene

    Path("params/wrong.yaml").write_text("tasks: {}")
    return " ".join(params(Scene(Path("params/wrong.yaml"), Path("results")))).replace("params/wrong", "params/mine")


def a_scale_was_made():
    return project.where_it_is(config.load(MINE), Path(MINE), Path("results"))


def dvc_refuses():
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(StringIO()) as err:

        def refuse():
            raise dvc.DvcError("it refuses")

        patch.setattr(dvc, "in_use", lambda: True)
        patch.setattr(dvc, "stages", refuse)
        agreement.hand_over_to_dvc(MINE, [])
    return err.getvalue()


def data_verb(*words):
    return f"mdm-prime --params {MINE} {' '.join(words)}"


def target(path):
    return f"snakemake --cores all --config scale=mine -- {path}"


TABLES = target("results/tables/")
KINDS = {  # in this order: each leaves the project as the next needs it
    no_run_is_there: TABLES,
    data_is_missing: data_verb("data", "text"),
    data_is_of_another_shape: data_verb("data", "text"),
    data_is_of_another_vocabulary: data_verb("data", "text"),
    a_network_is_missing: target("results/mine/text/networks/l2/seed0/run.json"),
    weights_are_missing: target("results/mine/text/networks/l2/seed0/weights.safetensors"),
    weights_are_of_other_params: data_verb("train", "text/l2/seed0"),
    samples_are_missing: data_verb("sample", "digits/l3/seed0"),
    samples_are_damaged: data_verb("sample", "digits/l3/seed0"),
    a_classifier_is_missing: target("results/mine/digits/features/classifier.safetensors"),
    a_classifier_is_of_other_params: data_verb("features", "digits"),
    labels_are_missing: data_verb("data", "digits"),
    inputs_of_a_table_are_missing: target("results/mine/text/data/meta.json"),
    inputs_of_a_figure_are_missing: target("results/mine/tables/text_perplexity.csv"),
    arrays_of_a_figure_are_missing: target("results/mine/digits/samples/l3/seed0/imputation.npz"),
    a_report_of_nothing: TABLES,
    a_reference_of_nothing: TABLES,
    a_comparison_of_nothing: target("results/mine/tables/bound_validity.csv"),
    no_checkpoint: data_verb("train", "text/l2/seed0"),
    params_that_are_wrong: data_verb("check-params"),
    a_scale_was_made: data_verb("report"),
    dvc_refuses: "snakemake --cores all --force --config scale=mine -- results/tables/",
}


@pytest.fixture(scope="module")
def lines(project_of_mine):
    return {kind: kind() for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_whole_command_stands_at_the_end_of_a_line(lines, kind):
    assert any(line.endswith(f": {KINDS[kind]}") for line in lines[kind].splitlines()), lines[kind]


@pytest.mark.parametrize("command", sorted(command for command in KINDS.values() if command.startswith("mdm-prime")))
def test_a_verb_is_accepted(project_of_mine, command):
    options = cli.parser().parse_args(shlex.split(command)[1:])
    assert options.params == Path(MINE)
    if options.verb_name in cli.STAGES:
        loaded = config.load(options.params)
        assert project.repetition_of(loaded, stages(loaded), f"{options.verb_name} {options.name}")


def test_every_target_is_one_of_snakemake(project_of_mine):
    commands = [shlex.split(command) for command in KINDS.values() if command.startswith("snakemake")]
    assert {command[command.index("--config") + 1] for command in commands} == {"scale=mine"}
    targets = sorted({command[-1] for command in commands})
    assert len(targets) > 6
    planned = typed(project_of_mine, shlex.join(["snakemake", "-n", "--cores", "all", *commands[0][3:-1], *targets]))
    assert "This was a dry-run" in planned


def test_a_folder_of_results_elsewhere():
    assert hints.target("/disk/results/mine/tables/claims.csv") == target("results/mine/tables/claims.csv")
    assert hints.target("elsewhere/claims.csv") == "snakemake --cores all elsewhere/claims.csv"
    assert hints.verb("my params/a.yaml", "data", "text") == "mdm-prime --params 'my params/a.yaml' data text"


def test_no_message_makes_its_own():
    """Commands stand in hints.py, but for those that need no scale; what is printed for a scale comes from there."""
    package = PROJECT / "src" / "mdm_prime"
    found = set()
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                commands = re.findall(r"(?:mdm-prime|snakemake) -*[a-z][\w -]*", node.value)
                found |= {(command.strip(), path.relative_to(package).as_posix()) for command in commands}
    assert {(command, path) for command, path in found if path not in ALL_OF_A_SCALE} == WITHOUT_A_SCALE
