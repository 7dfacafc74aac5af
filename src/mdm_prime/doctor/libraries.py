"""Python and the libraries that the project declares, and the commands that the pipeline calls."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from mdm_prime.doctor.finding import Finding, Scene
from mdm_prime.doctor.inputs import hub_sources

PROJECT = "mdm-prime"
ROOT = Path(__file__).parents[3]  # of a checkout; elsewhere there is no pyproject.toml in it

# What is lost without a library of the extra `pipeline`; without another one, the whole pipeline.
LOST = {
    "datasets": "data sets read through `datasets`",
    "dvc": "versions of data in DVC",
    "filelock": "MLflow",
    "jinja2": "tables as tex",
    "matplotlib": "figures",
    "mlflow": "MLflow",
    "pandas": "tables",
    "pillow": "the toy and images",
    "scikit-learn": "the toy and images",
    "snakemake": "the pipeline",
    "tabulate": "tables as md",
    "tokenizers": "text",
    "torch-fidelity": "scores of images",
    "torchvision": "scores of images",
}
FEW = 3  # libraries named in a command
NO_TABLE_NEEDS = {"dvc", "filelock", "mlflow"}


class Requirement(NamedTuple):
    """`name` as declared, and which versions are allowed, such as >=2.0."""

    name: str
    specifier: str


class Declared(NamedTuple):
    """Allowed versions of Python, and requirements by extra; "" for those without one."""

    python: str
    libraries: dict[str, list[Requirement]]


class Judged(NamedTuple):
    """`versions` of what is as declared; what is `missing` or `old`; whether versions could be compared."""

    versions: list[str]
    missing: list[Requirement]
    old: dict[Requirement, str]
    compared: bool

    @property
    def wrong(self) -> list[Requirement]:
        return [*self.missing, *self.old]

    def __str__(self) -> str:
        missing = [f"missing: {', '.join(wanted.name for wanted in self.missing)}"] if self.missing else []
        return "; ".join([*missing, *self.old.values()])


def declared() -> Declared:
    """From pyproject.toml in a checkout, where an editable install may be older, else from the installed package."""
    pyproject = ROOT / "pyproject.toml"
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        lines = {"": project["dependencies"], **project["optional-dependencies"]}
        return Declared(project["requires-python"], {extra: [*map(_parsed, of)] for extra, of in lines.items()})
    libraries: dict[str, list[Requirement]] = {}
    for line in importlib.metadata.requires(PROJECT) or []:
        extra = re.search(r"""extra == ["']([\w-]+)["']""", line)
        libraries.setdefault(extra[1] if extra else "", []).append(_parsed(line.partition(";")[0]))
    return Declared(importlib.metadata.metadata(PROJECT)["Requires-Python"], libraries)


def _parsed(line: str) -> Requirement:
    name = re.match(r"[\w.-]+", line)
    if name is None:
        raise ValueError(f"{line!r} is no requirement")
    return Requirement(name[0], line[name.end() :].strip())


def satisfies(version: str, specifier: str) -> bool | None:
    """None where the library that compares versions is not installed."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return None
    return SpecifierSet(specifier).contains(version, prereleases=True)


def judged(requirements: list[Requirement]) -> Judged:
    """Compares what is declared with what is installed; imports none of it."""
    versions, missing, old, compared = [], [], {}, True
    for wanted in requirements:
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(wanted)
            continue
        good = satisfies(version, wanted.specifier)
        compared = compared and good is not None
        if good is False:
            old[wanted] = f"{wanted.name} is {version}, wanted {wanted.specifier}"
        else:
            versions.append(f"{wanted.name} {version}")
    return Judged(versions, missing, old, compared)


def python(scene: Scene) -> Finding:
    """The version of Python."""
    version, wanted = platform.python_version(), declared().python
    found = f"{version}, wanted {wanted}"
    good = satisfies(version, wanted)
    if good is None:
        return _not_compared(found)
    mend = "make PYTHON=/path/to/python3.11 setup"
    return Finding("ok", found) if good else Finding("failure", found, mend)


def core_libraries(scene: Scene) -> Finding:
    """What training, sampling and evaluation by hand need."""
    found = judged(declared().libraries[""])
    if found.wrong:
        return Finding("failure", str(found), install(found, ""))
    text = f"{', '.join(found.versions)}; enough to train, evaluate and sample with mdm-prime"
    return Finding("ok", text) if found.compared else _not_compared(text)


def pipeline_libraries(scene: Scene) -> Finding:
    """What the pipeline needs beyond that, and what is lost without it."""
    found = judged(declared().libraries["pipeline"])
    if not found.wrong:
        text = f"all {len(found.versions)} of the extra `pipeline`"
        return Finding("ok", text) if found.compared else _not_compared(text)
    spared = NO_TABLE_NEEDS | (set() if scene.config and hub_sources(scene.config) else {"datasets"})
    fails = any(wanted.name not in spared for wanted in found.wrong)
    lost = dict.fromkeys(LOST.get(wanted.name, "the pipeline") for wanted in found.wrong)
    text = f"{found}. Lost: {', '.join(lost)}"
    return Finding("failure" if fails else "warning", text, install(found, "[pipeline]"))


def developer_tools(scene: Scene) -> Finding:
    """What `make test` needs."""
    found = judged(declared().libraries["dev"])
    if found.wrong:
        return Finding("warning", f"{found}. Lost: make test, make lint", install(found, "[dev]"))
    text = f"all {len(found.versions)} of the extra `dev`"
    return Finding("ok", text) if found.compared else _not_compared(text)


def commands(scene: Scene) -> Finding:
    """The graph, and what it calls by name: both must be those of this environment."""
    if not Path("Snakefile").is_file():
        return Finding("failure", "no Snakefile in this folder", "cd to the folder of the checkout")
    script = Path(sys.prefix) / "bin" / "activate"
    activate = f"source {shlex.quote(str(script))}" if script.is_file() else "make setup; source .venv/bin/activate"
    missing = [command for command in ("snakemake", "mdm-prime") if not shutil.which(command)]
    if missing:
        return Finding("failure", f"not on PATH: {', '.join(missing)}", activate)
    folders = {Path(shutil.which(command) or "").parent.resolve() for command in ("snakemake", "mdm-prime")}
    if other := folders - {Path(sys.executable).parent.resolve()}:
        return Finding(
            "warning", f"snakemake or mdm-prime is of another environment: {', '.join(map(str, other))}", activate
        )
    return Finding("ok", "snakemake and mdm-prime are on PATH")


def install(found: Judged, extra: str) -> str:
    """The command that brings what is wrong: a few libraries, or the whole of "", [pipeline] or [dev]."""
    if Path(sys.prefix) == ROOT / ".venv":
        return "make setup"
    if len(found.wrong) <= FEW:
        wanted = ["".join(requirement) for requirement in found.wrong]
    elif (ROOT / "pyproject.toml").is_file():
        wanted = ["--editable", f"{ROOT}{extra}"]
    else:
        wanted = [f"{PROJECT}{extra}"]
    return shlex.join(["python", "-m", "pip", "install", *wanted])


def _not_compared(found: str) -> Finding:
    return Finding("warning", f"{found}; versions not compared", "python -m pip install packaging")
