"""A copy of the project, with the smallest scale there is, and its commands as a reader types them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "params", "src", "pyproject.toml", ".dvcignore", ".gitignore", "Makefile")
INSTALLED = Path(sys.executable).parent
COMMANDS = INSTALLED  # tests/pipeline has others, which start sooner
PERSON = {
    f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", "a"), ("EMAIL", "b"))
}
NOBODYS_RUN = {"MDM_PRIME_PARENT_RUN": "pipeline-of-a-test"}  # nothing is sent to MLflow, which takes seconds a time
EVERYTHING = "snakemake --cores all results/tables/"
PARAMS = """\
base: base.yaml
compute: {device: cpu}
tasks:
  toy:
    data: {kind: toy, image: china.jpg, vocab_size: 8, train_sequences: 100, heldout_sequences: 50}
    network: {width: 8, blocks: 1}
    training: {steps: 4, batch_size: 8, warmup_steps: 1, log_every: 2, checkpoint_every: 2}
    models: [l2]
    seeds: [0]
    evaluation: {num_samples: 50, batch_size: 50, exact: {num_sequences: 20, batch_size: 20}}
    sampling: {num_samples: 20, batch_size: 20}
"""


def copy_project(folder: Path, scale: str = "tiny", params: str | None = PARAMS) -> Path:
    """The project's files, with a params file of that name where one is given."""
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    if params is not None:
        (folder / f"params/{scale}.yaml").write_text(params)
    return folder


def copy_under_dvc(folder: Path, scale: str = "tiny", params: str | None = PARAMS) -> Path:
    """A copy under git and DVC, with the dvc.yaml of a scale."""
    copy_project(folder, scale, params)
    for command in (f"mdm-prime --params params/{scale}.yaml dvc-yaml", "git init -q", "dvc init -q"):
        typed(folder, command, scale=scale)
    typed(folder, "dvc config core.analytics false")
    commit(folder, "code")
    return folder


def commit(folder: Path, message: str) -> None:
    typed(folder, "git add -A")
    typed(folder, f"git commit -qm {message}")


def environment(folder: Path, scale: str = "tiny", *, commands: Path | None = None) -> dict[str, str]:
    """Of a person who has typed nothing yet; only what the smoke scale makes is tracked.

    `commands` is a folder with those of the environment, now COMMANDS.
    """
    ours = ("MDM_PRIME", "MLFLOW", "DVC", "GIT_", "MAKE", "MFLAGS")  # `make test` has variables for a make inside it
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([*dict.fromkeys(map(str, (commands or COMMANDS, INSTALLED))), kept["PATH"]])
    tracked = {} if scale == "smoke" else NOBODYS_RUN
    return {**kept, **PERSON, **tracked, "MDM_PRIME_SCALE": scale, "PYTHONPATH": str(folder / "src"), "PATH": path}


def run(folder: Path, command: str, scale: str = "tiny") -> subprocess.CompletedProcess[str]:
    """Runs a command line in a copy, with the copy's own modules."""
    done = subprocess.run(command.split(), cwd=folder, env=environment(folder, scale), capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


def typed(folder: Path, command: str, status: int = 0, scale: str = "tiny") -> str:
    """What a command says; its exit status must be this one."""
    done = run(folder, command, scale)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, target: str = "results/tables/", scale: str = "tiny") -> list[str]:
    """The rules that a dry run would run, with those that run for each run named as often."""
    return rules_of(typed(folder, f"snakemake --dry-run --cores all {target}", scale=scale))


def rules_of(said: str) -> list[str]:
    """The rules that Snakemake says it runs, but for the targets' own."""
    rules = [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith(("rule ", "localrule "))]
    return sorted(rule for rule in rules if not rule.startswith("results/"))


def both_have_nothing_to_do(folder: Path, scale: str = "tiny") -> bool:
    assert "Data and pipelines are up to date" in (said := typed(folder, "dvc status", scale=scale)), said
    assert "Nothing to be done" in (said := typed(folder, "snakemake -n results/tables/", scale=scale)), said
    return True


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Replaces what stands once in a file."""
    path = folder / file
    text = path.read_text()
    assert text.count(old) == 1, (file, old, text.count(old))
    path.write_text(text.replace(old, new))
