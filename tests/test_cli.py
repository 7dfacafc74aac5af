import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mdm_prime.cli import main as cli
from mdm_prime.experiment import layout

PARAMS = Path(__file__).parents[1] / "params"
SMOKE = ["--params", str(PARAMS / "smoke.yaml")]
ARGUMENTS = {
    "check-params": [],
    "doctor": ["--json"],
    "data": ["TASK"],
    "features": ["TASK"],
    "quality": ["TASK/VARIANT/seedN"],
    "train": ["TASK/VARIANT/seedN"],
    "evaluate": ["TASK/VARIANT/seedN"],
    "sample": ["TASK/VARIANT/seedN"],
    "oracle": [],
    "idle-steps": [],
    "table": [*layout.TABLES],
    "figure": [*layout.FIGURES],
    "metrics": [],
    "report": [],
    "import-checkpoint": ["--format", "--output", "--weights"],
    "official": ["--dry-run", "--limit", "TASK/CHECKPOINT/SHARD", "likelihood"],
    "check-reference": ["--reference"],
    "keep-reference": ["--reference"],
    "pipeline": ["start", "finished", "failed", "send", "--run-id"],
    "ui": ["--port"],
}


def help_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*arguments, "--help"])
    assert stopped.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def refused(capsys, *arguments):
    """The one line that a wrong input gives."""
    assert cli.main([*map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mdm-prime: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_help_names_every_verb_and_shows_examples(capsys):
    text = help_of(capsys)
    for verb in ARGUMENTS:
        assert f" {verb} " in text
    assert "mdm-prime train text/l4/seed0" in text
    assert "--params" in text
    assert "--results" in text


@pytest.mark.parametrize("verb", ARGUMENTS)
def test_help_of_a_verb_mentions_its_arguments(capsys, verb):
    text = help_of(capsys, verb)
    assert f"mdm-prime {verb}" in text
    for argument in ARGUMENTS[verb]:
        assert argument in text


def test_no_verb_is_left_out():
    (verbs,) = cli.parser()._subparsers._group_actions
    assert set(verbs.choices) == set(ARGUMENTS)


def test_check_params_lists_the_runs(capsys):
    assert cli.main([*SMOKE, "check-params"]) == 0
    runs = capsys.readouterr().out.split()
    assert {"text/arm/seed0", "known_entropy/l1/seed0", "toy/l1/seed0"} <= set(runs)
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize("verb", ["train", "evaluate", "sample"])
def test_unknown_run(capsys, verb, tmp_path):
    line = refused(capsys, *SMOKE, "--results", tmp_path, verb, "text/l9/seed0")
    assert "'text/l9/seed0'" in line
    assert "allowed: text/l1/seed0, " in line
    assert "known_entropy" not in line
    line = refused(capsys, *SMOKE, "--results", tmp_path, verb, "texts")
    assert "allowed: known_entropy, text, toy" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("text", "training", "steps", -5), ["text.training.steps", "-5", "greater than 0"]),
        (("text", "training", "stepps", 5), ["text.training.stepps", "unknown key"]),
        (("toy", "network", "width", "wide"), ["toy.network.width", "wide", "integer"]),
        (("known_entropy", "data", "kind", "fast"), ["known_entropy.data", "fast", "text"]),
        (("known_entropy", "sampling", "seed", 256), ["known_entropy.sampling.seed", "256"]),
    ],
)
def test_bad_parameters_are_one_line_with_file_key_and_value(capsys, tmp_path, change, told):
    task, section, key, value = change
    values = yaml.safe_load((PARAMS / "smoke.yaml").read_text())
    values[task][section] = values[task][section] | {key: value}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    line = refused(capsys, "--params", path, "train", "text/l1/seed0")
    for part in (str(path), *told):
        assert part in line


def test_missing_parameters(capsys, tmp_path):
    assert str(tmp_path / "none.yaml") in refused(capsys, "--params", tmp_path / "none.yaml", "oracle")


@pytest.mark.parametrize("arguments", [["data", "pictures"], ["features", "text"], ["quality", "text/l1/seed0"]])
def test_a_task_that_is_not_there(capsys, tmp_path, arguments):
    line = refused(capsys, *SMOKE, "--results", tmp_path, *arguments)
    assert "allowed" in line
    assert "digits" in line


def test_scale_comes_from_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("MDM_PRIME_SCALE", "nowhere")
    assert "params/nowhere.yaml" in refused(capsys, "check-params")
    assert "params/nowhere.yaml" in help_of(capsys)


def test_a_gpu_that_is_not_there(capsys, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    values = yaml.safe_load((PARAMS / "smoke.yaml").read_text())
    values["compute"]["device"] = "cuda"
    path = tmp_path / "gpu.yaml"
    path.write_text(yaml.safe_dump(values))
    assert "compute.device" in refused(capsys, "--params", path, "train", "text/l1/seed0")


def test_a_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "results").write_text("a file")
    line = refused(capsys, *SMOKE, "--results", tmp_path / "results", "data", "known_entropy")
    assert str(tmp_path / "results") in line


def test_pipeline_needs_to_know_which_run_it_ends(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("MDM_PRIME_PARENT_RUN", raising=False)
    assert "--run-id" in refused(capsys, *SMOKE, "--results", tmp_path, "pipeline", "finished")


@pytest.mark.parametrize("arguments", [["table", "nothing"], ["figure", "none"], ["dance"], []])
def test_what_is_not_offered_is_refused_with_what_is(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "usage: mdm-prime" in error


def test_status_of_a_verb_is_the_exit_code(monkeypatch):
    monkeypatch.setattr(cli, "_check_params", lambda options: 143)
    assert cli.main(["check-params"]) == 143


def test_a_full_disk_is_one_line(capsys, monkeypatch):
    def full(options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/weights.safetensors")

    monkeypatch.setattr(cli, "_check_params", full)
    line = refused(capsys, "check-params")
    assert line == "mdm-prime: results/weights.safetensors: No space left on device\n"


def test_an_interrupt_is_no_traceback(monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_check_params", interrupted)
    assert cli.main(["check-params"]) == 130


def test_idle_steps_and_oracle_write_their_files(tmp_path, monkeypatch, deterministic_mode_restored):
    monkeypatch.setenv("MDM_PRIME_PARENT_RUN", "pipeline-test")
    for verb in (["data", "known_entropy"], ["oracle"], ["idle-steps"]):
        assert cli.main([*SMOKE, "--results", str(tmp_path), *verb]) == 0
    assert layout.oracle_file(tmp_path / "smoke").exists()
    assert layout.idle_steps_file(tmp_path / "smoke").exists()


def test_the_installed_command_starts_without_the_heavy_libraries(tmp_path):
    """A fresh interpreter, as a user has it: one line and no traceback, and torch is not in memory."""
    code = (
        "import sys\nfrom mdm_prime import cli\nstatus = cli.main(sys.argv[1:])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mlflow', 'matplotlib', 'sklearn', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    environment = os.environ | {"MDM_PRIME_SCALE": "smoke"}
    command = [sys.executable, "-c", code, "--results", str(tmp_path), "check-params"]
    done = subprocess.run(command, cwd=PARAMS.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "toy/l1/seed0" in done.stdout
