"""Plug-ins, found by their files: a network, data set, objective or sampler is one file that declares itself.

A declaration is a class of a package's file with a field `kind: Literal["name"]`: a section of the params file, with
what belongs to it. It is read from the file's text first, so that nothing else in the package is imported.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from mdm_prime.errors import UserError

B = TypeVar("B", bound=BaseModel)


def modules(package: str) -> list[str]:
    """Names of a package's own modules, sorted, without importing any; its subpackages are not among them."""
    return sorted(path.stem for path in _folder(package).glob("*.py") if path.stem != "__init__")


def packages(package: str) -> list[str]:
    """Names of a package's own packages, sorted, without importing any."""
    return sorted(path.parent.name for path in _folder(package).glob("*/__init__.py"))


def module(package: str, name: str) -> ModuleType:
    """Imports a plug-in. Raises UserError, in one line, where there is none of that name or it cannot be imported."""
    if name not in modules(package):
        raise UserError(f"{name}: is no file of {_folder(package)}; allowed: {', '.join(modules(package))}")
    try:
        return importlib.import_module(f"{package}.{name}")
    except UserError:
        raise
    except Exception as error:  # a plug-in may fail in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(
            f"{_folder(package) / name}.py: cannot be imported ({reason}); mend or remove the file"
        ) from None


@cache
def kinds(*packages: str) -> Mapping[str, str]:
    """The dotted module that declares each kind, in the order of packages and files. Raises UserError for a kind twice.

    Nothing is imported. The files are looked for once in a process, since every variant of every task asks.
    """
    found: dict[str, str] = {}
    for package in packages:
        for name in modules(package):
            for kind in _declared(_folder(package) / f"{name}.py"):
                if kind in found:
                    raise UserError(
                        f"{_folder(package) / name}.py: kind {kind!r} is declared by {found[kind]} as well; "
                        "give it another name"
                    )
                found[kind] = f"{package}.{name}"
    return found


@cache
def sections(base: type[B], *packages: str) -> Mapping[str, type[B]]:
    """The subclass of `base` that declares each kind, imported from the packages' files."""
    found: dict[str, type[B]] = {}
    for kind, dotted in kinds(*packages).items():
        package, _, name = dotted.rpartition(".")
        for value in vars(module(package, name)).values():
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == dotted:
                field = value.model_fields.get("kind")
                if field is not None and kind in getattr(field.annotation, "__args__", ()):
                    found[kind] = value
        if kind not in found:
            path = _folder(package) / f"{name}.py"
            raise UserError(f"{path}: the class of kind {kind!r} is no {base.__name__}; derive it from that")
    return found


def module_of(section: BaseModel | type[BaseModel]) -> str:
    """The dotted module that declares a section."""
    return (section if isinstance(section, type) else type(section)).__module__


@dataclass(frozen=True)
class OneOf:
    """Annotates a field of a base class: its value is a section of the packages, chosen by its `kind`."""

    packages: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: Mapping[str, type[BaseModel]] = sections(source, *self.packages)
        return core_schema.tagged_union_schema(
            {kind: handler.generate_schema(section) for kind, section in choices.items()},
            discriminator="kind",
            from_attributes=True,
        )


@cache
def _folder(package: str) -> Path:
    """Of a package below mdm_prime, without importing it."""
    return Path(__file__).parents[1].joinpath(*package.split(".")[1:])


@cache
def _declared(path: Path) -> tuple[str, ...]:
    """The kinds that a file's classes declare. Raises UserError for a file that is no Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: no Python ({error}); mend or remove the file") from None
    fields = [
        field
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id == "kind"
    ]
    return tuple(
        field.annotation.slice.value
        for field in fields
        if isinstance(field.annotation, ast.Subscript)
        and isinstance(field.annotation.slice, ast.Constant)
        and isinstance(field.annotation.slice.value, str)
    )
