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
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from mdm_prime.errors import UserError

TASKS = ("known_entropy", "text", "toy")
ENVIRONMENT_SCALE = "MDM_PRIME_SCALE"
NOT_A_SCALE = ("tables", "figures", "reference", "tracking", "mlartifacts")  # what else lies in results/

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a value stands twice")
    return values


Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch takes
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]
Counts = Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_distinct)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown key, no coercion of strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=Section)


class KnownEntropyData(Section):
    """A seeded first-order Markov source whose entropy is known exactly."""

    kind: Literal["known_entropy"]
    vocab_size: Annotated[int, Field(ge=2)]
    length: PositiveInt
    concentration: PositiveFloat  # of the Dirichlet rows: small values make a sparse, predictable source
    train_sequences: PositiveInt
    validation_sequences: PositiveInt
    seed: Seed


class HubText(Section):
    """A text data set read through the `datasets` library."""

    path: str  # hub name, or a folder or file on this machine
    name: str | None = None
    split: str = "train"
    text_column: str = "text"


class TextData(Section):
    """Text: the embedded documentation of Python, own files, or a data set of the hub."""

    kind: Literal["text"]
    files: tuple[str, ...] = ()  # one document each; empty: the embedded text, unless `hub` is given
    hub: HubText | None = None
    tokenizer: str | None = None  # a tokenizers JSON file or a hub name; null trains byte-level BPE
    vocab_size: Annotated[int, Field(ge=257)]
    length: PositiveInt
    validation_fraction: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _one_source(self) -> TextData:
        if self.files and self.hub:
            raise ValueError("give either files or hub, not both")
        for file in (*self.files, *([self.tokenizer] if _is_path(self.tokenizer) else [])):
            if not Path(str(file)).is_file():
                raise ValueError(f"{'tokenizer' if file == self.tokenizer else 'files'}: no such file: {file}")
        return self


class ToyData(Section):
    """A 2-D density from a gray image on a vocab_size x vocab_size grid, on what stands out in it (data/toy.py)."""

    kind: Literal["toy"]
    image: str  # china.jpg or flower.jpg (scikit-learn's photographs), or a file
    vocab_size: Annotated[int, Field(ge=2)]
    contrast: PositiveFloat
    train_sequences: PositiveInt
    validation_sequences: PositiveInt
    seed: Seed
    length: Literal[2] = 2

    @model_validator(mode="after")
    def _image_exists(self) -> ToyData:
        if self.image not in ("china.jpg", "flower.jpg") and not Path(self.image).is_file():
            raise ValueError(f"image: no such file: {self.image}; allowed: china.jpg, flower.jpg or the path of a file")
        return self


Data = Annotated[KnownEntropyData | TextData | ToyData, Field(discriminator="kind")]


class DiTNetwork(Section):
    """Diffusion transformer (models/dit.py)."""

    kind: Literal["dit"]
    width: PositiveInt
    blocks: PositiveInt
    heads: PositiveInt
    conditioning_width: PositiveInt
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    time_conditioning: bool  # the paper's text network ignores time


class MLPNetwork(Section):
    """Perceptron over the concatenated sub-token embeddings (models/mlp.py)."""

    kind: Literal["mlp"]
    width: PositiveInt
    blocks: PositiveInt
    time_conditioning: bool


Network = Annotated[DiTNetwork | MLPNetwork, Field(discriminator="kind")]


class Training(Section):
    """How one network is trained."""

    objective: Literal["joint_loss", "nelbo"]
    schedule: Literal["linear", "polynomial", "cosine"]
    exponent: PositiveFloat = 1.0  # of the polynomial schedule
    t_min: Annotated[float, Field(ge=0.0, lt=1.0)]  # t is drawn from (t_min, 1]
    steps: PositiveInt
    batch_size: PositiveInt
    micro_batch_size: PositiveInt | None = None  # null: the whole batch in one pass
    learning_rate: PositiveFloat
    warmup_steps: NonNegativeInt
    decay: Literal["linear", "constant"]
    weight_decay: NonNegativeFloat
    betas: tuple[Fraction, Fraction]
    gradient_clip: PositiveFloat
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]  # 0: the raw weights
    precision: Literal["auto", "float32", "bfloat16"]  # auto: bfloat16 where the GPU has it
    compile: bool
    log_every: PositiveInt
    checkpoint_every: PositiveInt

    @model_validator(mode="after")
    def _consistent(self) -> Training:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps: is {self.warmup_steps}; should be at most steps {self.steps}")
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size: is {self.micro_batch_size}; should divide batch_size {self.batch_size}"
            )
        if self.schedule != "polynomial" and self.exponent != 1.0:
            raise ValueError("exponent: belongs to the polynomial schedule")
        return self


class Evaluation(Section):
    """How many draws the likelihood is estimated with."""

    num_samples: Annotated[int, Field(ge=2)]
    batch_size: PositiveInt
    seed: Seed


class Sampling(Section):
    """How samples are drawn."""

    sampler: Literal["ancestral", "first_hitting"]
    num_samples: PositiveInt
    num_steps: PositiveInt
    temperature: PositiveFloat
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    prefix: str = ""  # text only: every sample starts with it
    batch_size: PositiveInt
    seed: Seed


class Variant(Section):
    """One model of a task; `training` and `network` override single values of the task's."""

    model: Literal["masked", "autoregressive"] = "masked"
    num_subtokens: PositiveInt = 1
    carry_over: bool = True
    training: dict[str, Any] = {}
    network: dict[str, Any] = {}

    @model_validator(mode="after")
    def _autoregressive_has_whole_tokens(self) -> Variant:
        if self.model == "autoregressive" and self.num_subtokens != 1:
            raise ValueError(f"num_subtokens: is {self.num_subtokens}; should be 1 for an autoregressive model")
        return self


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
    variants: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], Variant] = {}
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


class IdleSteps(Section):
    """Figure 1: the event process of the sampler, without a network."""

    length: PositiveInt
    num_subtokens: Counts
    num_steps: Counts
    num_sequences: Annotated[int, Field(ge=2)]
    seed: Seed


class Oracle(Section):
    """Objectives at the true posterior: by enumeration up to max_states, else by Monte Carlo."""

    copies_of_one_bit: Counts
    max_states: PositiveInt
    num_samples: Annotated[int, Field(ge=2)]
    seed: Seed


class Compute(Section):
    """Where and how a stage computes."""

    device: Literal["auto", "cpu", "cuda"]
    threads: PositiveInt  # of each job; fixed, so that sums are added up in the same order


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


def _is_path(name: str | None) -> bool:
    return name is not None and name.endswith(".json")


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
