"""The only reader of params/*.yaml: one frozen, validated configuration. Imports neither torch nor pandas."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mdm_prime.errors import UserError
from mdm_prime.sections import (
    Compute,
    Counts,
    Data,
    Evaluation,
    IdleSteps,
    Network,
    Oracle,
    Sampling,
    Section,
    Seeds,
    TextData,
    Training,
    Variant,
)

TASKS = ("known_entropy", "text", "toy")
ENVIRONMENT_SCALE = "MDM_PRIME_SCALE"
NOT_A_SCALE = ("tables", "figures", "reference", "tracking", "mlartifacts")  # what else lies in results/

S = TypeVar("S", bound=Section)


class Run(Section):
    """Everything that one trained network depends on; `name` is TASK/VARIANT/seedN."""

    task: str
    variant: str
    seed: int
    model: Literal["masked", "autoregressive"]
    num_subtokens: int
    carry_over: bool
    data: Data
    network: Network
    training: Training

    @property
    def name(self) -> str:
        return f"{self.task}/{self.variant}/seed{self.seed}"

    @property
    def digest(self) -> str:
        """Hash of the whole run, kept in its checkpoints."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Task(Section):
    """A data set, and the models trained, evaluated and sampled on it."""

    data: Data
    network: Network
    training: Training
    num_subtokens: Counts  # a masked model, named lN, for each
    variants: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], Variant] = Field(default_factory=dict)
    seeds: Seeds
    evaluation: Evaluation
    sampling: Sampling

    @model_validator(mode="after")
    def _possible(self) -> Task:
        if (self.data.kind == "toy") != (self.network.kind == "mlp"):
            raise ValueError(f"network.kind: is {self.network.kind}; does not fit data.kind {self.data.kind}")
        if not isinstance(self.data, TextData) and self.sampling.prefix:
            raise ValueError("sampling.prefix: is for text only")
        for number in self.num_subtokens:
            if self.variants[f"l{number}"].num_subtokens != number:
                raise ValueError(
                    f"variants.l{number}.num_subtokens: should be {number}; or give the variant another name"
                )
        if "data" in self.variants:
            raise ValueError("variants.data: the name is taken by the folder of the data set")
        for name, variant in self.variants.items():
            limit = (self.data.vocab_size - 1).bit_length()
            if variant.num_subtokens > limit:
                raise ValueError(
                    f"variants.{name}.num_subtokens: is {variant.num_subtokens}; should be at most {limit}, "
                    f"the binary digits of vocab_size {self.data.vocab_size}"
                )
            _check_network(name, self.network, variant)
        return self


class Config(Section):
    """One params/*.yaml."""

    scale: str
    compute: Compute
    known_entropy: Task
    text: Task
    toy: Task
    oracle: Oracle
    idle_steps: IdleSteps

    @field_validator("scale")
    @classmethod
    def _a_folder_of_its_own(cls, scale: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", scale) or scale in NOT_A_SCALE:
            raise ValueError(f"the name of the file must be letters, digits, - and _, and none of {NOT_A_SCALE}")
        return scale

    @model_validator(mode="after")
    def _tasks_have_their_data(self) -> Config:
        for name in TASKS:
            if (kind := self.task(name).data.kind) != name:
                raise ValueError(f"{name}.data.kind: is {kind}; should be {name}")
        return self

    def task(self, name: str) -> Task:
        """The section of a task. Raises UserError for an unknown name."""
        if name not in TASKS:
            raise UserError(f"task {name!r} is unknown; allowed: {', '.join(TASKS)}")
        task: Task = getattr(self, name)
        return task

    def runs(self, task_name: str) -> Iterator[Run]:
        """Every run of a task, variants in the order of their names' first mention, seeds innermost."""
        task = self.task(task_name)
        for name, variant in task.variants.items():
            for seed in task.seeds:
                yield Run(
                    task=task_name,
                    variant=name,
                    seed=seed,
                    model=variant.model,
                    num_subtokens=variant.num_subtokens,
                    carry_over=variant.carry_over,
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


def load(path: str | Path) -> Config:
    """Reads and validates a params file; the scale is the file's stem.

    Raises UserError, with one line, for a missing or unreadable file, an unknown key, a wrong type
    or an impossible value.
    """
    path = Path(path)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give one of params/*.yaml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise UserError(f"{path}: not YAML: {message}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds no section; copy params/default.yaml and change it")
    if "scale" in values:
        raise UserError(f"{path}: scale: unknown key; the scale is the name of the file")
    for name in TASKS:
        _expand_num_subtokens(values.get(name))
    try:
        config = Config.model_validate_json(json.dumps({**values, "scale": path.stem}), strict=True)
    except ValidationError as error:
        raise UserError(_one_line(path, error)) from None
    except (TypeError, ValueError, RecursionError) as error:  # a date, a set, a loop: YAML has more than JSON
        raise UserError(f"{path}: a value is neither number, text, truth value, list nor mapping ({error})") from None
    for name in TASKS:
        for variant_name, variant in config.task(name).variants.items():
            for part in ("network", "training"):
                try:
                    _override(getattr(config.task(name), part), getattr(variant, part))
                except ValidationError as error:
                    raise UserError(_one_line(path, error, (name, "variants", variant_name, part))) from None
    return config


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


def _check_network(name: str, network: Network, variant: Variant) -> None:
    if network.kind == "mlp":
        if variant.model == "autoregressive":
            raise ValueError(f"variants.{name}.model: autoregressive needs network.kind dit")
        return
    values = {**network.model_dump(), **variant.network}
    width, heads = values["width"], values["heads"]
    if not (isinstance(width, int) and isinstance(heads, int) and heads > 0):
        return  # an override of a wrong type: reported with its own key
    key = f"variants.{name}.network.width" if "width" in variant.network else "network.width"
    if width % variant.num_subtokens:
        raise ValueError(
            f"{key}: is {width}; should be divisible by num_subtokens {variant.num_subtokens} of variant {name}"
        )
    if width % (2 * heads):
        raise ValueError(f"{key}: is {width}; should be divisible by 2 x heads = {2 * heads} of variant {name}")


def _expand_num_subtokens(task: Any) -> None:
    """`num_subtokens: [1, 2]` gives the variants l1 and l2; an entry of `variants` by that name adds to it."""
    if isinstance(task, dict) and isinstance(task.get("num_subtokens"), list):
        named = task.get("variants") or {}
        if isinstance(named, dict):
            expanded = {f"l{number}": {"num_subtokens": number} for number in task["num_subtokens"]}
            task["variants"] = expanded | {
                key: {**expanded.get(key, {}), **value} if isinstance(value, dict) else value
                for key, value in named.items()
            }


def _override(section: S, values: Mapping[str, Any]) -> S:
    return type(section).model_validate_json(json.dumps({**section.model_dump(mode="json"), **values}), strict=True)


def _one_line(path: Path, error: ValidationError, inside: tuple[str, ...] = ()) -> str:
    """The first problem as one line: file, key, value, what is allowed."""
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")  # a typo comes first
    tags = {"known_entropy", "text", "toy", "dit", "mlp"}
    where = [*inside, *(str(part) for part in problem["loc"])]
    key = ".".join(part for i, part in enumerate(where) if part != "[key]" and (i == 0 or part not in tags))
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
