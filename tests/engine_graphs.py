"""The graph of the pipeline as Snakemake and as DVC see it, in one form, and how the two differ."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mdm_prime.engines.dvc import below

ASK_SNAKEMAKE = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(config={"scale": sys.argv[1]}),
        snakefile=Path("Snakefile"),
    )
    dag = workflow.dag(dag_settings=DAGSettings(targets={"results/tables/"}, forceall=True))
    dag.execute_workflow(executor="dryrun")
    dag = workflow._workflow.dag
    jobs = [
        {
            "command": job.shellcmd,
            "inputs": list(map(str, job.input)),
            "outputs": list(map(str, job.output)),
            "params": list(dict(job.params).get("values", {})),
            "after": [other.shellcmd for other in dag.dependencies[job]],
        }
        for job in dag.jobs
        if job.shellcmd
    ]
Path(sys.argv[2]).write_text(json.dumps(jobs))
"""
ASK_DVC = """
import json, sys
from pathlib import Path
from dvc.repo import Repo

with Repo(".") as repo:
    path = lambda part: repo.fs.relpath(part.fs_path, repo.root_dir)
    stages = [
        {
            "command": stage.cmd,
            "inputs": [path(dep) for dep in stage.deps if dep not in stage.params],
            "outputs": [path(out) for out in stage.outs],
            "params": [key for dep in stage.params for key in dep.params],
            "after": [other.cmd for other in repo.index.graph.successors(stage)],
        }
        for stage in repo.index.stages
    ]
Path(sys.argv[2]).write_text(json.dumps(stages))
"""


@dataclass(frozen=True)
class Node:
    """A stage; paths are relative to the project."""

    inputs: frozenset[str]
    outputs: frozenset[str]
    params: frozenset[str]
    after: frozenset[str]  # commands of the stages that it needs


Graph = dict[str, Node]  # by command line


def graph(question: str, project: Path, scale: str, environment: dict[str, str]) -> Graph:
    """The graph that an engine answers with, asked in a process of its own."""
    answer = project / "graph.json"
    done = subprocess.run(
        [sys.executable, "-c", question, scale, str(answer)],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    nodes = json.loads(answer.read_text())
    answer.unlink()
    result = {
        command_of(node["command"]): Node(
            *(frozenset(node[key]) for key in ("inputs", "outputs", "params")),
            frozenset(command_of(other) for other in node["after"]),
        )
        for node in nodes
    }
    assert len(result) == len(nodes)  # a command tells stages apart
    return result


def command_of(line: str) -> str:
    """A command line without the file that its messages go to: DVC leaves them on the screen."""
    return line.split(" 2> ")[0].strip()


def differences(snakemake: Graph, dvc: Graph, project: Path) -> list[str]:
    """One line for each difference: a stage, an edge, a key of the params, an output, an input."""
    found = [f"{command}: a stage of Snakemake alone" for command in snakemake.keys() - dvc.keys()]
    found += [f"{command}: a stage of DVC alone" for command in dvc.keys() - snakemake.keys()]
    for command in snakemake.keys() & dvc.keys():
        ours, theirs = snakemake[command], dvc[command]
        found += [f"{command}: edge from {other}" for other in ours.after ^ theirs.after]
        found += [f"{command}: params {key}" for key in ours.params ^ theirs.params]
        found += [f"{command}: output {path}" for path in _apart(ours.outputs, theirs.outputs)]
        found += [f"{command}: code {path}" for path in _code(ours.inputs, project) ^ _code(theirs.inputs, project)]
        results = [{path for path in side.inputs if not path.startswith("src/")} for side in (ours, theirs)]
        found += [f"{command}: input {path}" for path in _apart(*results)]
    return sorted(found)


def _apart(files: frozenset[str] | set[str], folders: frozenset[str] | set[str]) -> set[str]:
    """Files that lie in none of the folders, and folders (or files) in which none of the files lies."""
    return {file for file in files if not any(below(file, folder) for folder in folders)} | {
        folder for folder in folders if not any(below(file, folder) for file in files)
    }


def _code(paths: frozenset[str], project: Path) -> set[str]:
    """The modules among the inputs, those of folders included."""
    found: set[str] = set()
    for path in (path for path in paths if path.startswith("src/")):
        whole = project / path
        inside = [file for file in whole.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        found |= {file.relative_to(project).as_posix() for file in inside} if whole.is_dir() else {path}
    return found
