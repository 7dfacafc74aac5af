# Parameters, paths and the pipeline's own MLflow run. Validated before anything runs.
import functools
import operator
import os
import shutil
import subprocess
import sys

from mdm_prime.experiment import config as params, layout
from mdm_prime import engines
from mdm_prime.errors import UserError

RESULTS = "results"
PARAMS = f"params/{config['scale']}.yaml" if "scale" in config else params.default_params()
try:
    P = params.load_any(PARAMS)
except UserError as error:
    sys.stderr.write(f"mdm-prime: {error}\n")
    sys.exit(2)
ROOT = layout.scale_root(RESULTS, P.scale)
CLI = f"mdm-prime --params {PARAMS}"

# One GPU job at a time, unless --resources gpu=N says that a scheduler hands out N; none is held on a CPU.
GPU = 0 if P.compute.device == "cpu" or not shutil.which("nvidia-smi") else 1
workflow.global_resources.setdefault("gpu", 1)


def sources(*patterns):
    """The modules whose change must run a stage again: shell commands do not follow imports."""
    folder = layout.Path(params.__file__).parents[1]
    return sorted(os.path.relpath(path) for pattern in patterns for path in folder.glob(pattern))


MATHEMATICS = ["core/*.py", "networks/*.py"]
VALUES = params.read(layout.Path(PARAMS))


def values(*keys):
    """What a rule depends on of the params file: values by dotted key, the keys of the stage in dvc.yaml."""
    return {key: functools.reduce(operator.getitem, key.split("."), VALUES) for key in keys}


def of_task(task, *keys):
    """The values at keys of a task's section."""
    return values(*(f"{params.section_of(task)}.{key}" for key in keys))


def joined(inputs):
    """Which runs a rule with these inputs joins: models and seeds of their tasks."""
    parts = [path.relative_to(ROOT).parts for path in inputs if path.is_relative_to(ROOT)]
    tasks = {task for task, *rest in parts if len(rest) > 2}  # TASK/KIND/VARIANT/...: a file of a run
    return {key: value for task in sorted(tasks) for key, value in of_task(task, "models", "seeds").items()}


wildcard_constraints:
    task="|".join(P.tasks),
    variant="[A-Za-z0-9][A-Za-z0-9_-]*",
    seed="[0-9]+",


# What DVC has brought since the last run counts as made; official checkpoints are no stages of dvc.yaml.
OFFICIAL_SCALE = params.is_official(PARAMS)
if not OFFICIAL_SCALE:
    engines.settle(PARAMS)


onstart:
    try:
        TURN = engines.take(RESULTS, "snakemake")
    except UserError as error:
        sys.stderr.write(f"mdm-prime: {error}\n")
        sys.exit(2)
    started = subprocess.run([*CLI.split(), "pipeline", "start"], capture_output=True, text=True)
    sys.stderr.write(started.stderr)
    os.environ["MDM_PRIME_PARENT_RUN"] = started.stdout.strip()


onsuccess:
    subprocess.run([*CLI.split(), "pipeline", "finished"])
    unfinished = set(workflow.dag.needrun_jobs())
    engines.record(PARAMS, [file for job in workflow.dag.jobs if job not in unfinished for file in job.output])


onerror:
    subprocess.run([*CLI.split(), "pipeline", "failed"])
