"""The only reader of params/*.yaml: one frozen, validated configuration. Imports neither torch nor pandas."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from mdm_prime import files
from mdm_prime.errors import UserError
from mdm_prime.experiment.found import kinds
from mdm_prime.experiment.problems import allowed, did_you_mean, one_line
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections import data
from mdm_prime.experiment.sections.base import NAME, Name, Section
from mdm_prime.experiment.sections.models import Compute, IdleSteps
from mdm_prime.experiment.tasks import ImageTask, Task, overridden

FOLDER = Path("params")
MOST_BYTES, MOST_NODES, MOST_LEVELS = 2**18, 20_000, 50  # of a params file; the largest here has 10 KB
ENVIRONMENT_SCALE = "MDM_PRIME_SCALE"
NOT_A_SCALE = ("tables", "figures", "metrics", "reference", "tracking", "mlartifacts")  # what else lies in results/
NOT_A_TASK = ("tables", "figures", "metrics", "log", "made", "report")  # what else lies in results/SCALE/


class Config(Section):
    """One params/*.yaml, joined with the file that it is based on."""

    scale: str
    repository: str | None = None  # where the checkpoints are: a folder, or hf://OWNER/NAME@REVISION
    compute: Compute
    tasks: dict[Name, Task] = Field(min_length=1)
    idle_steps: IdleSteps | None = None

    @field_validator("scale")
    @classmethod
    def _a_folder_of_its_own(cls, scale: str) -> str:
        if not re.fullmatch(NAME, scale) or scale in NOT_A_SCALE:
            raise ValueError(f"the name of the file must be letters, digits, - and _, and none of {NOT_A_SCALE}")
        return scale

    @model_validator(mode="after")
    def _names_are_free(self) -> Config:
        for name in self.tasks:
            if name in NOT_A_TASK:
                raise ValueError(f"tasks.{name}: the name is taken; allowed: none of {', '.join(NOT_A_TASK)}")
        return self

    @property
    def images(self) -> dict[str, ImageTask]:
        """What the tasks on images have besides, by name."""
        return {name: task.of_images for name, task in self.tasks.items() if task.of_images}

    def of_kind(self, kind: str) -> dict[str, Task]:
        """The tasks on data of a kind, by name."""
        return {name: task for name, task in self.tasks.items() if task.data.kind == kind}

    def task(self, name: str) -> Task:
        """The section of a task. Raises UserError for an unknown name."""
        if name not in self.tasks:
            raise UserError(f"task {name!r} is unknown; {allowed(name, self.tasks)}")
        return self.tasks[name]

    def image_task(self, name: str) -> ImageTask:
        """What a task on images has besides. Raises UserError for another task."""
        self.task(name)
        if name not in self.images:
            raise UserError(f"task {name!r} has no images; {allowed(name, self.images)}")
        return self.images[name]

    def runs(self, task: str) -> Iterator[Run]:
        """Every run of a task, models in the order of `models`, seeds innermost."""
        return self.task(task).runs(task)

    def run(self, name: str) -> Run:
        """The run called TASK/VARIANT/seedN. Raises UserError with the names that exist."""
        runs = {run.name: run for run in self.runs(name.split("/")[0])}
        if name not in runs:
            raise UserError(f"run {name!r} is not in scale {self.scale!r}; {allowed(name, runs)}")
        return runs[name]


def load(path: str | Path) -> Config:
    """Reads and validates a params file; the scale is the file's stem.

    Raises UserError, with one line, for a missing or unreadable file, an unknown key, a wrong type or an impossible
    value.
    """
    path = Path(path)
    values = read(path)
    if "scale" in values:
        raise UserError(f"{path}: scale: unknown key; the scale is the name of the file")
    try:
        config = Config.model_validate_json(json.dumps({**values, "scale": path.stem}), strict=True)
    except ValidationError as error:
        raise UserError(one_line(path, error)) from None
    except (TypeError, ValueError, RecursionError) as error:  # a date, a set, a loop: YAML has more than JSON
        raise UserError(f"{path}: a value is neither number, text, truth value, list nor mapping ({error})") from None
    for name, task in config.tasks.items():
        for variant_name, variant in task.variants.items():
            for part in ("network", "training"):
                try:
                    overridden(getattr(task, part), getattr(variant, part))
                except ValidationError as error:
                    where = ("tasks", name, "variants", variant_name, part)
                    raise UserError(one_line(path, error, where)) from None
    return config


def read(path: Path) -> dict[str, Any]:
    """The values of a params file on top of those of its base. Raises UserError, with one line.

    `base: FILE`, beside the file, is joined with it key by key; a mapping of another `kind`, a list or a value replaces
    the base's. A base may have a base itself. The last one has `defaults`, by kind of data, for what a task does not
    say.
    """
    (_, values), *below = layers(path)
    defaults = below[-1][1].pop("defaults", None) if below else None
    for _, lower in below:
        values = joined(lower, values)
    if isinstance(defaults, dict) and isinstance(values.get("tasks"), dict):
        values["tasks"] = {name: _with_defaults(path, name, task, defaults) for name, task in values["tasks"].items()}
    return _with_addresses(values)


def layers(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """A params file, its base, the base of that and so on, each with the values in it. Raises UserError."""
    found = [(path, mapping(path))]
    while "base" in (own := found[-1][1]):
        above = found[-1][0]
        file = _base(above, own.pop("base"))
        if any(file.samefile(other) for other, _ in found):
            raise UserError(f"{above}: base: is {file.name!r}, which is based on this file; give another")
        found.append((file, mapping(file)))
    return found


def _base(path: Path, base: Any) -> Path:
    if not isinstance(base, str):
        raise UserError(f"{path}: base: is {base!r}; should be the name of a params file beside this one")
    file = path.parent / base
    if not file.is_file():
        beside = sorted(found.name for found in path.parent.glob("*.yaml") if found != path)
        instead = allowed(base, beside) if beside else "give its path from the folder of this file"
        raise UserError(f"{path}: base: is {base!r}; no such file; {instead}")
    return file


def _with_defaults(path: Path, name: str, task: Any, defaults: Mapping[str, Any]) -> Any:
    """A task on top of the defaults of its kind of data; what is no task is left as it is."""
    section = task.get("data", {}) if isinstance(task, dict) else None
    if not isinstance(section, dict):
        return task
    if section.get("kind") is None:  # without it all that the defaults have would be missing as well
        raise UserError(f"{path}: tasks.{name}.data.kind: missing; allowed: {', '.join(kinds(*data.PACKAGES))}")
    known = section["kind"] if isinstance(section["kind"], str) else ""
    return joined(defaults.get(known) or {}, task)


def _with_addresses(values: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints by whole addresses: `repository` is a folder, or hf://OWNER/NAME@REVISION, that theirs are below."""
    repository = values.get("repository")
    if not isinstance(repository, str):
        return values
    for task in values["tasks"].values() if isinstance(values.get("tasks"), dict) else ():
        variants = task.get("variants") if isinstance(task, dict) else None
        for variant in variants.values() if isinstance(variants, dict) else ():
            checkpoint = variant.get("checkpoint") if isinstance(variant, dict) else None
            if isinstance(checkpoint, dict) and isinstance(checkpoint.get("address"), str):
                checkpoint["address"] = address_of(repository, checkpoint["address"])
    return values


def address_of(repository: str, address: str) -> str:
    """Where a checkpoint is: a path, or hf://OWNER/NAME/FILE@REVISION."""
    if address.startswith("hf://"):
        return address
    if found := re.fullmatch(r"(hf://[^@]+)@(.+)", repository):
        return f"{found[1]}/{address}@{found[2]}"
    return (Path(repository) / address).as_posix()


def joined(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as one, key by key; what is a mapping in both is joined too.

    One of another `kind` replaces what is below, and so does a variant with a `checkpoint` what is trained there.
    """
    result = dict(below)
    for key, value in above.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            another = before.get("kind") not in (None, value.get("kind", before.get("kind")))
            imported = "checkpoint" in value and "checkpoint" not in before
            result[key] = value if another or imported else joined(before, value)
        else:
            result[key] = value
    return result


def params_file(scale: str | None = None) -> Path:
    """params/SCALE.yaml of a scale; by default of the environment variable MDM_PRIME_SCALE, else `default`."""
    return FOLDER / f"{scale or os.environ.get(ENVIRONMENT_SCALE) or 'default'}.yaml"


def scale_name(name: object) -> str | None:
    """A scale as somebody gave it, or None where nobody did. Raises UserError for what cannot be one."""
    if name is None:
        return None
    if not re.fullmatch(NAME, str(name)):
        raise UserError(f"scale: is {str(name)!r}; allowed: {', '.join(scales())}")
    return str(name)


def scales() -> list[str]:
    """The scales there are: the params files with tasks of their own."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml") if file.stem != "base")


def mapping(path: Path) -> dict[str, Any]:
    """A YAML file as it stands there."""
    try:
        with files.reading(path) as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UserError(f"{path}: has more than {MOST_BYTES} bytes, far more than parameters need")
        text = content.decode("utf-8")
        _check_amount(path, text)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_instead(path)}") from None
    except UserError:
        raise
    except Exception as error:  # of YAML, and of the dates, numbers and tags in it
        message = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise UserError(f"{path}: not YAML: {message}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds no section; copy params/default.yaml and change it")
    return values


def _check_amount(path: Path, text: str) -> None:
    """Counts what a YAML file holds with its aliases written out, before anything is made of it.

    Raises UserError for too much or too deep; an alias inside of what it stands for is endless.
    """
    sizes: list[list[int]] = [[0, 0]]  # of the file and the open containers: nodes in it, levels below it
    anchors: dict[str, tuple[int, int]] = {}
    open_anchors: list[str | None] = []

    def add(nodes: int, levels: int) -> None:
        sizes[-1] = [sizes[-1][0] + nodes, max(sizes[-1][1], levels)]
        if sizes[-1][0] > MOST_NODES:
            raise UserError(f"{path}: holds more than {MOST_NODES} values, each alias written out")
        if len(sizes) + levels > MOST_LEVELS:
            raise UserError(f"{path}: nested more than {MOST_LEVELS} deep")

    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.ScalarEvent):
            add(1, 0)
            if event.anchor:
                anchors[event.anchor] = (1, 0)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in open_anchors:
                raise UserError(f"{path}: {event.anchor!r} contains itself")
            add(*anchors.get(str(event.anchor), (1, 0)))  # of an unknown one the loader says where it stands
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            sizes.append([1, 0])
            open_anchors.append(event.anchor)
            add(0, 0)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            nodes, levels = sizes.pop()
            if anchor := open_anchors.pop():
                anchors[anchor] = (nodes, levels + 1)
            add(nodes, levels + 1)


def _instead(path: Path) -> str:
    """What to do about a params file that is not there."""
    if not FOLDER.is_dir():
        return f"there is no folder {FOLDER} here: call this in the folder of the project, or give --params FILE"
    named = os.environ.get(ENVIRONMENT_SCALE)
    said = f"{ENVIRONMENT_SCALE} is {named!r}; " if named and path == params_file(named) else ""
    return f"{said}scales: {', '.join(scales())}{did_you_mean(path.stem, scales())}"


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and reads 2e-3 as the number that it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        merge = "tag:yaml.org,2002:merge"
        seen = []
        for key_node in (key_node for key_node, _ in node.value if key_node.tag != merge):
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.append(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(  # YAML 1.1 takes 2e-3 for text
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
