"""A params file of another's making costs no more than a line, and the line moves no cursor."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mdm_prime.errors import LONGEST, UserError
from mdm_prime.experiment import config
from mdm_prime.experiment.sections.base import MOST

PARAMS = Path(__file__).parents[2] / "params"


def problem(tmp_path: Path, text: str) -> str:
    """What is said of a file with this text."""
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    started = time.monotonic()
    with pytest.raises(UserError) as error:
        config.load(path)
    assert time.monotonic() - started < 20
    said = str(error.value)
    assert said.isprintable()
    assert len(said) <= LONGEST + 10
    said.encode("ascii")
    return said.removeprefix(f"{path}: ")


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*{'a' if i == 0 else f'b{i - 1}'}]\n" for i in range(60))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "holds more than 20000 values, each alias written out"),
        (MERGES, "holds more than 20000 values, each alias written out"),
        ("a: &a [*a]", "'a' contains itself"),
        ("a: &a {b: [*a]}", "'a' contains itself"),
        (f"a: {'[' * 200}{']' * 200}", "nested more than 50 deep"),
        (DEEP, "nested more than 50 deep"),
        ("#" * 300_000, "has more than 262144 bytes"),
        ("a: *b", "not YAML: found undefined alias 'b'"),
        (f"a: {'9' * 5000}", "not YAML: Exceeds the limit (4300 digits)"),
        ("a: 0001-01-01 00:00:00 +23:00", "a value is neither number"),
        ('"a\\nb\\e[2J": 1', "a\\nb\\x1b[2J: unknown key"),
        ('repository: "\\ud800"', "a text has a character that Unicode has not"),
        ('"\\u202e": 1', "\\u202e: unknown key"),
    ],
)
def test_amounts_and_texts(text: str, message: str, tmp_path: Path) -> None:
    assert message in problem(tmp_path, text)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    for path in (tmp_path / "fifo.yaml", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a device, a FIFO or a socket; give a file"):
            config.load(path)


def smoke() -> dict[str, Any]:
    return config.read(PARAMS / "smoke.yaml")


def with_value(values: dict[str, Any], keys: tuple[Any, ...], value: Any) -> str:
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return yaml.safe_dump(values)


def numbers(value: Any, keys: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys of every number of a file."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, inner in items for found in numbers(inner, (*keys, key))]
    return [keys] if type(value) in (int, float) else []


def test_no_number_may_be_endless(tmp_path: Path) -> None:
    """Of one task of each kind: whatever it counts, 10^31 of it is a line with its key."""
    values = smoke()
    kept = {task["data"]["kind"]: name for name, task in values["tasks"].items()}
    values["tasks"] = {name: values["tasks"][name] for name in kept.values()}
    found = [keys for keys in numbers(values) if "variants" not in keys]
    assert len(found) > 100
    for keys in found[:: max(1, len(found) // 20)]:
        said = problem(tmp_path, with_value(smoke(), keys, 10**31))
        assert str(keys[-1] if isinstance(keys[-1], str) else keys[-2]) in said, keys


@pytest.mark.parametrize("threads", [2**10 + 1, 10**6, 10**400])
def test_threads_that_kill_the_process(threads: int, tmp_path: Path) -> None:
    said = problem(tmp_path, with_value(smoke(), ("compute", "threads"), threads))
    assert f"should be at most {MOST['threads']}" in said
    path = tmp_path / "mine.yaml"
    path.write_text(with_value(smoke(), ("compute", "threads"), MOST["threads"]))
    assert config.load(path).compute.threads == MOST["threads"]


@pytest.mark.parametrize("name", ["x$(touch F)", "a b", "a;b", "../a", "a\nb", "-a", "a'b", "a/b", "$HOME", "", "a`b`"])
def test_names_that_a_shell_would_read_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tasks, variants and models; engines put them into commands."""
    values = smoke()
    task = next(iter(values["tasks"]))
    for change in (
        lambda made: made["tasks"].update({name: made["tasks"][task]}),
        lambda made: made["tasks"][task].update(models=["l1", name]),
        lambda made: made["tasks"][task].update(variants={name: {}}),
    ):
        changed = smoke()
        change(changed)
        assert "letters, digits, - and _" in problem(tmp_path, yaml.safe_dump(changed))
    with pytest.raises(UserError, match="scale: is"):
        config.scale_name(name)
