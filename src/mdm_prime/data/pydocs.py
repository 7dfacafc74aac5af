"""The embedded text: documentation strings and topics of Python's standard library, present on every machine.

The sources are parsed, never imported, so that nothing runs and the platform matters little. The text depends on the
version of Python, which is why meta.json records it.
"""

from __future__ import annotations

import ast
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

# Folders without prose of their own: tests, other people's packages, generated tables, test fixtures.
EXCLUDED = {"__pycache__", "dist-packages", "encodings", "idle_test", "lib2to3", "site-packages", "test", "tests"}
MIN_CHARACTERS = 300  # a shorter document teaches nothing but its separators
MIN_REPEATED = 40  # shorter paragraphs, such as "Example:", may occur again

Node = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documents(library: Path | None = None) -> list[str]:
    """One document for each help topic and each module, in the order of their names, topics first.

    A paragraph that stands in several places is kept where it comes first, so that no text of the held-out
    documents is repeated word for word in those for training.

    Args:
        library: folder of the standard library's sources; that of the running Python by default.

    Raises ValueError when the folder holds no documentation.
    """
    library = library or Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    texts = [_without_repetition(parts, seen) for parts in _parts(library)]
    kept = [text for text in texts if len(text) >= MIN_CHARACTERS]
    if not kept:
        raise ValueError(f"{library} holds no documentation strings")
    return kept


def _parts(library: Path) -> Iterator[list[str]]:
    """The texts that make up each document, in order."""
    topics = library / "pydoc_data" / "topics.py"
    if topics.is_file():
        yield from ([topic] for _, topic in sorted(_topics(topics).items()))
    for path in sorted(library.rglob("*.py"), key=lambda path: path.relative_to(library).as_posix()):
        if path != topics and not EXCLUDED.intersection(path.relative_to(library).parts):
            tree = _parse(path)
            yield [] if tree is None else list(_docstrings(tree))


def _topics(path: Path) -> dict[str, str]:
    """The value of `topics = {...}`."""
    tree = _parse(path)
    for node in tree.body if tree else []:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if [target.id for target in targets if isinstance(target, ast.Name)] == ["topics"]:
            values: dict[str, str] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            return values
    return {}


def _parse(path: Path) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old modules have escapes that newer Pythons warn of
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None


def _docstrings(node: ast.AST) -> Iterator[str]:
    """Documentation strings of a module, its classes and functions, in the order of the source."""
    if isinstance(node, Node):
        text = ast.get_docstring(node)
        if text:
            yield text
        for child in node.body:
            yield from _docstrings(child)


def _without_repetition(parts: list[str], seen: set[str]) -> str:
    """Joins the paragraphs that are not in `seen`, and adds them to it."""
    kept = []
    for part in parts:
        for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(part)):
            text = "\n".join(line.rstrip() for line in paragraph.splitlines()).strip("\n")
            words = " ".join(text.split())
            if words and words not in seen:
                kept.append(text)
                if len(words) >= MIN_REPEATED:
                    seen.add(words)
    return "\n\n".join(kept)
