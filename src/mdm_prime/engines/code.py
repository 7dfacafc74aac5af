"""What a stage depends on of this package: the modules that its own imports, found in the source and never listed.

A module is known by the hash of its syntax tree without docstrings, so that comments, layout and docstrings of the
code run nothing again. Files that are no modules (csv, styles) belong to the package in whose folder they lie.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "mdm_prime"
CANNOT_CHANGE_A_NUMBER = {  # module or package -> why a change of it runs nothing again
    "mdm_prime.cli": "hands names over to the stages",
    "mdm_prime.engines": "decides what runs, not what comes of it",
    "mdm_prime.errors": "the exception whose text is the report of bad input",
    "mdm_prime.experiment.config": "reads the params, whose values are compared themselves",
    "mdm_prime.experiment.found": "lists what declares itself; what is chosen is a root of its own",
    "mdm_prime.experiment.tasks": "reads and checks tasks, whose values are compared themselves",
    "mdm_prime.experiment.layout": "names files, which are compared themselves",
    "mdm_prime.hints": "texts of messages",
    "mdm_prime.progress": "shows how far a stage is",
    "mdm_prime.stages.gpus": "chooses one of equal devices",
    "mdm_prime.stages.launch": "starts processes, whose number changes nothing",
    "mdm_prime.stages.memory": "says what becomes of freed memory",
    "mdm_prime.tracking": "records what happened",
}


class Module(NamedTuple):
    """What is read of a module: the names of those of the package that it imports, and its hash."""

    imported: list[str]
    digest: str


class Source:
    """The modules of a folder with the package; what has been read is kept, so make another one after a change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # of mdm_prime itself
        self.modules = {
            ".".join([PACKAGE, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
            for path in sorted(folder.rglob("*.py"))
        }
        self.read = functools.cache(self._read)

    def closure(self, roots: Iterable[str]) -> list[str]:
        """Names of the modules that these import, directly or not, themselves included; PACKAGE.* names all of one.

        Raises ValueError for a root that there is not.
        """
        waiting = [name for root in roots for name in self._named(root)]
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found and not is_left_out(name):
                found.add(name)
                waiting += self.read(name).imported
        return sorted(found)

    def digest(self, roots: Iterable[str]) -> str:
        """Hash of the closure of these modules: 16 hexadecimal digits."""
        hashes = [f"{name} {self.read(name).digest}" for name in self.closure(roots)]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:16]

    def _named(self, root: str) -> list[str]:
        package = root.removesuffix(".*")
        names = [package, *(name for name in self.modules if root != package and name.startswith(f"{package}."))]
        if package not in self.modules:
            raise ValueError(f"no module {package} in {self.folder}")
        return names

    def _read(self, name: str) -> Module:
        path = self.modules[name]
        is_package = path.name == "__init__.py"
        named, code = _parsed(path.read_bytes(), tuple(name.split(".")), is_package)
        digest = hashlib.sha256(code)
        if is_package:
            for file in sorted(path.parent.iterdir()):
                if file.is_file() and file.suffix not in (".py", ".pyc", ".typed"):
                    digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
        return Module(sorted(named & self.modules.keys()), digest.hexdigest())


@functools.lru_cache(maxsize=4096)
def _parsed(content: bytes, name: tuple[str, ...], is_package: bool) -> tuple[frozenset[str], bytes]:
    """What a module names in imports, in functions too, with the packages that it lies in; its code, no docstrings."""
    tree = ast.parse(content)
    named = {".".join(name[:count]) for count in range(1, len(name))}
    package = name if is_package else name[:-1]
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            named |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            above = package[: len(package) - statement.level + 1] if statement.level else ()
            base = ".".join([*above, *([statement.module] if statement.module else [])])
            named |= {base, *(f"{base}.{alias.name}" for alias in statement.names)}
    return frozenset(named), ast.unparse(_without_docstrings(tree)).encode()


def is_left_out(name: str) -> bool:
    """Whether a module is one of those that cannot change a number."""
    return any(name == left or name.startswith(f"{left}.") for left in CANNOT_CHANGE_A_NUMBER)


def _statements(within: ast.AST, *, of_types: bool = False) -> Iterator[ast.AST]:
    """Every statement within one; by default without those that only a type checker reads."""
    waiting = [within]
    while waiting:
        node = waiting.pop()
        yield node
        blocks = ["body", "orelse", "finalbody", "handlers", "cases"]
        if not of_types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            blocks = ["orelse"]
        for block in blocks:
            waiting += getattr(node, block, [])


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in _statements(tree, of_types=True):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
