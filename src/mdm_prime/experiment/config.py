"""The only reader of params/*.yaml: one frozen, validated configuration. Imports neither torch nor pandas."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mdm_prime.errors import UserError
from mdm_prime.experiment.sections import (
    Compute,
    IdleSteps,
    ImageVariant,
    Name,
    Oracle,
    Section,
)
from mdm_prime.experiment.sections.official import (
    OfficialCheckpoint,
    OfficialImageCheckpoint,
    OfficialImages,
    OfficialText,
)
from mdm_prime.experiment.tasks import ImageTask, Run, Task

TOKEN_TASKS = ("known_entropy", "text", "toy")
NOT_A_TASK = (*TOKEN_TASKS, "log")  # what else lies in results/SCALE/
ENVIRONMENT_SCALE = "MDM_PRIME_SCALE"
NOT_A_SCALE = ("tables", "figures", "metrics", "reference", "tracking", "mlartifacts")  # what else lies in results/

S = TypeVar("S", bound=Section)


class Scale(Section):
    """What every params file has."""

    data_command: ClassVar[str] = "mdm-prime data"  # makes a data set
    scale: str
    compute: Compute

    @field_validator("scale")
    @classmethod
    def _a_folder_of_its_own(cls, scale: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", scale) or scale in NOT_A_SCALE:
            raise ValueError(f"the name of the file must be letters, digits, - and _, and none of {NOT_A_SCALE}")
        return scale


class Config(Scale):
    """One params/*.yaml of networks that are trained here."""

    known_entropy: Task
    text: Task
    toy: Task
    images: dict[Name, ImageTask] = Field(default_factory=dict)
    oracle: Oracle
    idle_steps: IdleSteps

    @model_validator(mode="after")
    def _tasks_have_their_data(self) -> Config:
        for name in self.images:
            if name in NOT_A_TASK:
                raise ValueError(f"images.{name}: the name is taken; allowed: none of {', '.join(NOT_A_TASK)}")
        for name in TOKEN_TASKS:
            if (kind := self.task(name).data.kind) != name:
                raise ValueError(f"{name}.data.kind: is {kind}; should be {name}")
        limit = (self.known_entropy.data.vocab_size - 1).bit_length()
        if (most := max(self.oracle.num_subtokens)) > limit:
            raise ValueError(f"oracle.num_subtokens: is {most}; at most {limit}, the binary digits of a token")
        return self

    @property
    def tasks(self) -> dict[str, Task | ImageTask]:
        """Every task by name: the three on tokens, then those on images."""
        return {name: getattr(self, name) for name in TOKEN_TASKS} | self.images

    def of_kind(self, kind: str) -> dict[str, Task]:
        """The tasks on tokens whose data are of a kind, by name."""
        return {name: self.token_task(name) for name in TOKEN_TASKS if self.token_task(name).data.kind == kind}

    def task(self, name: str) -> Task | ImageTask:
        """The section of a task. Raises UserError for an unknown name."""
        if name not in self.tasks:
            raise UserError(f"task {name!r} is unknown; allowed: {', '.join(self.tasks)}")
        return self.tasks[name]

    def image_task(self, name: str) -> ImageTask:
        """The section of a task on images. Raises UserError for another name."""
        if name not in self.images:
            raise UserError(f"task {name!r} has no images; allowed: {', '.join(self.images)}")
        return self.images[name]

    def token_task(self, name: str) -> Task:
        """The section of a task on tokens. Raises UserError for another name."""
        if name not in TOKEN_TASKS:
            raise UserError(f"task {name!r} is none of {', '.join(TOKEN_TASKS)}")
        task: Task = getattr(self, name)
        return task

    def runs(self, task_name: str) -> Iterator[Run]:
        """Every run of a task, models in the order of `models`, seeds innermost."""
        task = self.task(task_name)
        for name in task.models:
            variant = task.variants[name]
            for seed in task.seeds:
                yield Run(
                    task=task_name,
                    variant=name,
                    seed=seed,
                    model=variant.model,
                    num_subtokens=variant.num_subtokens,
                    carry_over=variant.carry_over,
                    super_tokens=isinstance(variant, ImageVariant) and variant.super_tokens,
                    data=task.data,
                    network=_override(task.network, variant.network),
                    training=_override(task.training, variant.training),
                )

    def run(self, name: str) -> Run:
        """The run called TASK/VARIANT/seedN. Raises UserError with the names that exist."""
        task_name = name.split("/")[0]
        runs = {run.name: run for run in self.runs(task_name)}
        if name not in runs:
            raise UserError(f"run {name!r} is not in scale {self.scale!r}; allowed: {', '.join(runs)}")
        return runs[name]


class Official(Scale):
    """One params/*.yaml of official checkpoints: what is imported, and what it is evaluated on."""

    data_command: ClassVar[str] = "mdm-prime official data"
    repository: str  # folder with the checkpoints, or hf://OWNER/NAME@REVISION
    text: OfficialText
    images: dict[Name, OfficialImages] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_free(self) -> Official:
        for name in self.images:
            if name in NOT_A_TASK:
                raise ValueError(f"images.{name}: the name is taken; allowed: none of {', '.join(NOT_A_TASK)}")
        return self

    @property
    def tasks(self) -> dict[str, OfficialText | OfficialImages]:
        """Every task by name: text, then those on images."""
        return {"text": self.text, **self.images}

    def task(self, name: str) -> OfficialText | OfficialImages:
        """The section of a task. Raises UserError for an unknown name."""
        if name not in self.tasks:
            raise UserError(f"task {name!r} is unknown; allowed: {', '.join(self.tasks)}")
        return self.tasks[name]

    def image_task(self, name: str) -> OfficialImages:
        """The section of a task on images. Raises UserError for another name."""
        if name not in self.images:
            raise UserError(f"task {name!r} has no images; allowed: {', '.join(self.images)}")
        return self.images[name]

    def checkpoint(self, name: str) -> OfficialCheckpoint | OfficialImageCheckpoint:
        """The section of TASK/NAME. Raises UserError for an unknown name."""
        task, _, key = name.partition("/")
        checkpoints = self.task(task).checkpoints
        if key not in checkpoints:
            allowed = ", ".join(f"{task}/{key}" for key in checkpoints)
            raise UserError(f"checkpoint {name!r} is not in scale {self.scale!r}; allowed: {allowed}")
        return checkpoints[key]

    def limited(self, limit: int | None) -> Official:
        """The same with at most `limit` batches in every evaluation; None changes nothing."""
        if limit is None:
            return self
        values = self.model_dump(mode="json")
        for task in (values["text"], *values["images"].values()):
            task["evaluation"]["limit"] = limit
        try:
            return Official.model_validate_json(json.dumps(values), strict=True)
        except ValidationError:
            raise UserError(f"limit: is {limit}; should be a number of batches, at least 1") from None


def read(path: Path) -> dict[str, Any]:
    """The values of a params file as they stand there. Raises UserError, with one line, where it is no YAML mapping."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give one of params/*.yaml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise UserError(f"{path}: not YAML: {message}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds no section; copy params/default.yaml and change it")
    return values


def load(path: str | Path) -> Config:
    """Reads and validates a params file; the scale is the file's stem.

    Raises UserError, with one line, for a missing or unreadable file, an unknown key, a wrong type
    or an impossible value.
    """
    path = Path(path)
    if is_official(path):
        raise UserError(f"{path}: is of official checkpoints; see: mdm-prime --params {path} official --dry-run")
    config = _validated(path, Config)
    for name, task in config.tasks.items():
        where = section_of(name).split(".")
        for variant_name, variant in task.variants.items():
            for part in ("network", "training"):
                try:
                    _override(getattr(task, part), getattr(variant, part))
                except ValidationError as error:
                    raise UserError(_one_line(path, error, (*where, "variants", variant_name, part))) from None
    return config


def load_official(path: str | Path) -> Official:
    """Reads and validates a params file of official checkpoints, as `load` does."""
    path = Path(path)
    if not is_official(path):
        raise UserError(f"{path}: has no repository of official checkpoints; give params/official.yaml by --params")
    return _validated(path, Official, like="params/official.yaml")


def load_any(path: str | Path) -> Config | Official:
    """The params file, of whichever kind it is."""
    return load_official(path) if is_official(path) else load(path)


def is_official(path: str | Path) -> bool:
    """Whether a params file is of official checkpoints: it has the key `repository`. Raises UserError as `read`."""
    return "repository" in read(Path(path))


def _validated(path: Path, kind: type[S], like: str = "params/default.yaml") -> S:
    values = read(path)
    if "scale" in values:
        raise UserError(f"{path}: scale: unknown key; the scale is the name of the file")
    try:
        return kind.model_validate_json(json.dumps({**values, "scale": path.stem}), strict=True)
    except ValidationError as error:
        raise UserError(_one_line(path, error).replace("params/default.yaml", like)) from None
    except (TypeError, ValueError, RecursionError) as error:  # a date, a set, a loop: YAML has more than JSON
        raise UserError(f"{path}: a value is neither number, text, truth value, list nor mapping ({error})") from None


def section_of(task: str) -> str:
    """The dotted key of a task's section."""
    return task if task in TOKEN_TASKS else f"images.{task}"


def default_params() -> str:
    """params/SCALE.yaml for the scale in the environment variable MDM_PRIME_SCALE, `default` without it."""
    return f"params/{os.environ.get(ENVIRONMENT_SCALE) or 'default'}.yaml"


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


def _override(section: S, values: Mapping[str, Any]) -> S:
    return type(section).model_validate_json(json.dumps({**section.model_dump(mode="json"), **values}), strict=True)


def _one_line(path: Path, error: ValidationError, inside: tuple[str, ...] = ()) -> str:
    """The first problem as one line: file, key, value, what is allowed."""
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")  # a typo comes first
    tags = {"known_entropy", "text", "toy", "digits", "photos", "hub_images", "image_batches", "dit", "mlp", "unet"}
    where = [*inside, *(str(part) for part in problem["loc"])]
    chosen = {i for i, part in enumerate(where) if i and part in tags and where[i - 1] in ("data", "network")}
    key = ".".join(part for i, part in enumerate(where) if part != "[key]" and i not in chosen)
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key}: unknown key; compare with params/default.yaml{more}"
    if problem["type"] == "missing":
        return f"{path}: {key}: missing; compare with params/default.yaml{more}"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    message = message.replace("an object", "a mapping").replace("array", "list").replace("Tuple", "list")
    if inner := re.match(r"([\w.-]+): ", message):  # a validator of several keys names the one that is wrong
        key, message = ".".join(part for part in (key, inner[1]) if part), message[inner.end() :]
    value = "" if isinstance(problem["input"], dict | BaseModel) else f" is {json.dumps(problem['input'])};"
    return ": ".join(part for part in (str(path), key, f"{value} {message}{more}".strip()) if part)
