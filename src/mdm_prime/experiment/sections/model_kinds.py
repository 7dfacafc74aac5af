"""The base of every model's section; each model is a folder of mdm_prime/models that declares itself."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator

from mdm_prime.experiment import found
from mdm_prime.experiment.found import OneOf
from mdm_prime.experiment.sections.base import Section
from mdm_prime.experiment.shape import Shape

if TYPE_CHECKING:
    from torch import nn

    from mdm_prime.experiment.runs import Run
    from mdm_prime.experiment.sections.networks import NetworkSection

MODELS = "mdm_prime.models"
PACKAGES = tuple(f"{MODELS}.{name}" for name in found.packages(MODELS))
TRAINING, EVALUATION, SAMPLING = "training", "evaluation", "sampling"  # files of a model's folder


class ModelSection(Section):
    """Settings of a model, whose subclass has `kind: Literal["name"]` and stands in `model.py` of its folder.

    What it does stands beside it, so that a stage depends on its own part only: `training.py` with
    `loss(run) -> losses.Loss`, `evaluation.py` with `measurements(given: Evaluated) -> dict[str, Measurement]`,
    `sampling.py` with `draw(sampler, asked: Asked) -> Samples`. Without one of them there is no such stage.

    Attributes:
        causal: whether its network's positions see no later one.
        minimised: the true name of what training minimises; None: the objective of its params.
        exact_order: the order whose exact likelihood its bound is; None: it is a bound.
        whole_tokens: whether masks of whole tokens give a second bound for more than one sub-token.
        idle_steps: whether its samplers have steps in which the network is not asked.
        parts: those of its settings that name other variants of the task, whose trained networks it is made of. With no
            `training.py` nothing else is learnt, and its training only puts them together.
        samplers: kinds of the samplers that it has; None: every one that is not for certain models.
        complements: whether a mask and its complement can be rows of one batch (the objectives that have COMPLEMENTS).
        shardable: whether its weights can be kept in parts on several devices.
    """

    kind: str
    causal: ClassVar[bool] = False
    minimised: ClassVar[str | None] = None
    exact_order: ClassVar[str | None] = None
    whole_tokens: ClassVar[bool] = True
    idle_steps: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ()
    samplers: ClassVar[tuple[str, ...] | None] = None
    complements: ClassVar[bool] = True
    shardable: ClassVar[bool] = True

    @classmethod
    def title(cls, num_subtokens: int) -> str:
        """What tables call it."""
        raise NotImplementedError

    def orders(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """The orders, of those that the params ask for, in which it has an exact likelihood."""
        return asked

    def at_once(self, length: int) -> int:
        """Tokens, of a sequence of so many, that samples are drawn of at once: a block, or all of them."""
        return length

    @property
    def masks_a_step(self) -> int:
        """How often a training step masks each sequence, and asks the network."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ValueError, "key: is ...; should be ...", for a run that cannot be."""

    def build(self, network: NetworkSection, shape: Shape) -> nn.Module:
        """Its network with fresh weights; see NetworkSection.build."""
        return network.build(shape)

    def assemble(self, parts: Mapping[str, nn.Module], network: NetworkSection, shape: Shape) -> nn.Module:
        """In the place of `build` for a model with parts: these are its submodules of the same names.

        Its method `start_from_parts`, if there is one, is called when they have their trained weights.
        """
        raise NotImplementedError

    def has(self, part: str) -> bool:
        """Whether there is that file in its folder."""
        return part in found.modules(self._package)

    def module_of(self, part: str) -> str:
        """The dotted module of a file of its folder."""
        return f"{self._package}.{part}"

    def part(self, part: str) -> ModuleType:
        """A file of its folder, imported: torch with it."""
        return importlib.import_module(self.module_of(part))

    @property
    def _package(self) -> str:
        return type(self).__module__.rpartition(".")[0]


def kinds() -> Mapping[str, type[ModelSection]]:
    """Every model, by its kind."""
    return found.sections(ModelSection, *PACKAGES)


def of(kind: str) -> ModelSection:
    """The model of a kind, with the settings that it has by itself."""
    return kinds()[kind].model_validate({"kind": kind})


def title(kind: str, num_subtokens: int) -> str:
    """What tables call a model of that kind with so many sub-tokens."""
    return kinds()[kind].title(num_subtokens)


def _with_kind(value: Any) -> Any:
    """`model: autoregressive` is short for `model: {kind: autoregressive}`."""
    return {"kind": value} if isinstance(value, str) else value


Model = Annotated[ModelSection, OneOf(PACKAGES), BeforeValidator(_with_kind)]
