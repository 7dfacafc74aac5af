# Parameters, what is out of date, and the pipeline's own MLflow run. Validated before anything runs.
import atexit
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

# The environment's own commands, also where it is not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

from mdm_prime import engines
from mdm_prime.engines import agreement, lock, project, reruns
from mdm_prime.engines.settings import settings
from mdm_prime.engines.stages import stages
from mdm_prime.errors import UserError
from mdm_prime.experiment import config as params, layout

RESULTS = "results"
try:
    PARAMS = params.params_file(params.scale_name(config.get("scale")))
    P = params.load(PARAMS)
except UserError as error:
    sys.stderr.write(f"mdm-prime: {error}\n")
    sys.exit(2)
ROOT = layout.scale_root(RESULTS, P.scale)
CLI = f"mdm-prime --params {shlex.quote(str(PARAMS))}"
STAGES = stages(P)
SETTINGS = settings(P, STAGES)

# One GPU job at a time, unless --resources gpu=N says that a scheduler hands out N; none is held on a CPU. Whoever asks
# for a GPU by name means that of the machine where the job will run.
GPU = int(P.compute.device == "cuda" or (P.compute.device == "auto" and shutil.which("nvidia-smi") is not None))
workflow.global_resources.setdefault("gpu", max(task.devices for task in P.tasks.values()))

# Records of what everything was made of decide what runs (engines/made.py). Nothing is written here.
if workflow.is_main_process:
    lock.explain()
    reruns.decide(project.out_of_date(P, STAGES, SETTINGS, RESULTS))


onstart:
    global TURN  # held until this process ends
    try:
        TURN = engines.hold_turn(RESULTS, "snakemake")
    except UserError as error:
        sys.stderr.write(f"mdm-prime: {error}\n")
        os._exit(2)
    FAILURES.parent.mkdir(parents=True, exist_ok=True)
    FAILURES.unlink(missing_ok=True)
    if OWN_RUN:
        started = subprocess.run([*shlex.split(CLI), "pipeline", "start"], capture_output=True, text=True)
        sys.stderr.write(started.stderr)
        os.environ["MDM_PRIME_PARENT_RUN"] = started.stdout.strip()


onsuccess:
    finish_run("finished")
    unfinished = set(workflow.dag.needrun_jobs())
    agreement.hand_over_to_dvc(str(PARAMS), [file for job in workflow.dag.jobs if job not in unfinished for file in job.output])
    if all(Path(file).is_file() for file in EVERYTHING):
        say_at_the_end(project.where_it_is(P, PARAMS, Path(RESULTS)))


onerror:
    finish_run("failed")
    if FAILURES.is_file():
        say_at_the_end(*(f"mdm-prime: {line}" for line in FAILURES.read_text(encoding="utf-8").splitlines()))


OWN_RUN = not os.environ.get("MDM_PRIME_PARENT_RUN")  # else the stages belong to a run that somebody else ends
FAILURES = ROOT.resolve() / "log" / "failures.txt"  # the one line of each stage that failed
os.environ["MDM_PRIME_FAILURES"] = str(FAILURES)


def finish_run(how):
    if OWN_RUN:
        subprocess.run([*shlex.split(CLI), "pipeline", how])


def say_at_the_end(*lines):
    """Prints lines as the last on the screen, behind what Snakemake has to say."""
    atexit.register(lambda: sys.stderr.write("".join(f"{line}\n" for line in lines)))
