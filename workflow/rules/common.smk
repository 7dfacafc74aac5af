# Parameters, paths and the pipeline's own MLflow run. Validated before anything runs.
import os
import shutil
import subprocess
import sys

from mdm_prime import config as params, layout
from mdm_prime.errors import UserError

RESULTS = "results"
PARAMS = f"params/{config['scale']}.yaml" if "scale" in config else params.default_params()
try:
    P = params.load(PARAMS)
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
    folder = layout.Path(params.__file__).parent
    return sorted(os.path.relpath(path) for pattern in patterns for path in folder.glob(pattern))


NETWORKS = [f"models/{name}.py" for name in ("build", "dit", "layers", "mlp", "unet")]
MATHEMATICS = ["subtokens.py", "schedules.py", "masking.py", "objectives.py", "data/super_tokens.py", *NETWORKS]


def run_of(wildcards):
    return P.run(f"{wildcards.task}/{wildcards.variant}/seed{wildcards.seed}")


wildcard_constraints:
    task="|".join(P.tasks),
    variant="[A-Za-z0-9][A-Za-z0-9_-]*",
    seed="[0-9]+",


onstart:
    started = subprocess.run([*CLI.split(), "pipeline", "start"], capture_output=True, text=True)
    sys.stderr.write(started.stderr)
    os.environ["MDM_PRIME_PARENT_RUN"] = started.stdout.strip()


onsuccess:
    subprocess.run([*CLI.split(), "pipeline", "finished"])


onerror:
    subprocess.run([*CLI.split(), "pipeline", "failed"])
