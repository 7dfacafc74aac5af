"""A campaign of attacks: damaged results, hostile params, checkpoints and journals, kills. `make attack` runs it.

Seeded: the same seed makes the same attacks. Each ends in one of three ways: refused with one line; without effect, the
results being what they were; or failed, which is a mistake of this project: a traceback, other numbers that pass for
good, a line that is none, a wait without end.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import official_files
import yaml

from mdm_prime.cli.main import main
from mdm_prime.engines.made import Made
from mdm_prime.engines.stages import stages
from mdm_prime.errors import UserError
from mdm_prime.experiment import config
from mdm_prime.official.importing import import_checkpoint
from mdm_prime.tracking import journal, pipeline

Attack = Callable[[random.Random], str | None]  # returns the line of a refusal, or None, or raises
REFUSED, WITHOUT_EFFECT, FAILED = "refused", "without effect", "failed"
PATIENCE = 120  # seconds that one attack may take
VALUES: list[Any] = [
    *(0, -1, 1, 2**31, 10**30, -(10**30), 1e308, float("nan"), float("inf"), True, None, "", "x", "x\ny", "\x1b[31m"),
    *("$(touch F)", "../x", "/etc/passwd", [], {}, [[]], {"a": {"b": 1}}, [1] * 1000, "x" * 10_000),
]


class TooSlow(BaseException):
    """Not an Exception, so that nothing under attack catches it."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(attack: Attack, chance: random.Random) -> tuple[str, str]:
    """How an attack ends, and what was said."""
    try:
        with limited():
            said = attack(chance)
    except UserError as error:
        said = str(error)
    except TooSlow:
        return FAILED, f"took more than {PATIENCE} s"
    except BaseException as error:
        return FAILED, f"{type(error).__name__}: {error}"
    if said is None:
        return WITHOUT_EFFECT, ""
    good = said.strip("\n").isprintable() and said.strip()
    return (REFUSED, said) if good else (FAILED, f"not one line: {said!r}")


def command(*words: str) -> str | None:
    """What a command that was refused says; None for one that succeeded. Raises for any other end."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main(list(words))
    if status == 0:
        return None
    lines = [line for line in said.getvalue().splitlines() if "tracking:" not in line]
    if status != 2 or len(lines) != 1:
        raise AssertionError(f"exit code {status}: {said.getvalue()[-500:]}")
    return lines[0]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """As disks, interrupted copies and hands do it."""
    place = chance.randrange(len(content)) if content else 0
    kinds: list[Callable[[], bytes]] = [
        lambda: content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :],
        lambda: content[:place],
        lambda: b"",
        lambda: chance.randbytes(max(1, len(content))),
        lambda: content + chance.randbytes(16),
        lambda: content[:place] + content[place + chance.randrange(1, 64) :],
        lambda: b"[" + content + b"]",
        lambda: b"{}",
    ]
    return chance.choice(kinds)() if content else b"x"


# ---- the kinds of attacks: each prepares a folder, and returns what makes one attack of chance ----------------------


def results(folder: Path, scale: str = "smoke") -> Attack:
    """A result is damaged, size and time as they were where that can be, and a stage that reads it is called."""
    params = Path(f"params/{scale}.yaml")
    root = shutil.copytree(f"results/{scale}", folder / scale, copy_function=shutil.copy2)
    made = Made(root, stages(config.load(params)), {})
    reading = [(stage, path) for stage in made.repetitions for path in stage.inputs]

    def attack(chance: random.Random) -> str | None:
        stage, name = chance.choice(reading)
        path = root / name
        content, times = path.read_bytes(), path.stat()
        path.write_bytes(changed := damaged(content, chance))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        try:
            said = command("--params", str(params), "--results", str(folder), *stage.command.split())
        finally:
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert said is not None or changed == content, f"{stage.command} took a damaged {name} for good"
        return said

    return attack


def forged(folder: Path, scale: str = "smoke") -> Attack:
    """A result JSON says what it should not, and every record has its new hash; a stage that reads it is called."""
    params = Path(f"params/{scale}.yaml")
    root = shutil.copytree(f"results/{scale}", folder / scale, copy_function=shutil.copy2)
    made = Made(root, stages(config.load(params)), {})
    reading: dict[str, dict[str, Any]] = {}  # by kind of file and stage, so that many runs count once
    for stage in made.repetitions:
        is_made = all((root / path).is_file() for path in stage.outputs)  # some are made only when asked for
        for path in stage.inputs if is_made else ():
            if path.endswith(".json") and not path.endswith("tokenizer.json"):
                reading.setdefault(f"{Path(path).name} {stage.stage.name}", {})[path] = stage
    records = {path: path.read_text() for path in root.glob("made/**/*.json")}

    def attack(chance: random.Random) -> str | None:
        name, stage = chance.choice(list(reading[chance.choice(list(reading))].items()))
        path = root / name
        before = {file: file.read_bytes() for file in (path, *(root / output for output in stage.outputs))}
        path.write_text(_with_a_wrong_value(json.loads(before[path]), chance))
        hashes = [hashlib.sha256(content).hexdigest() for content in (before[path], path.read_bytes())]
        for record, text in records.items():
            if hashes[0] in text:
                record.write_text(text.replace(*hashes))
        try:
            said = command("--params", str(params), "--results", str(folder), *stage.command.split())
            if said is None:
                other = [file.name for file in before if file != path and file.read_bytes() != before[file]]
                assert not other, f"{stage.command} made another {other[0]} of {name}: {path.read_text()[:500]}"
        finally:
            for file, content in before.items():
                file.write_bytes(content)
            for record, text in records.items():
                record.write_text(text)
        return said

    return attack


OPEN = ("corpus", "config")  # mappings in a result whose keys are their writer's own
UNKNOWN = ("entropy_per_token", "heldout_bytes", "classifier_accuracy", "source")  # may be null anywhere


def _with_a_wrong_value(content: Any, chance: random.Random) -> str:
    """JSON in which a key is missing or unknown, or a value is of another type or no number."""
    places = list(_places(content))
    while True:
        holder, key = chance.choice(places)
        kind = chance.choice(["missing", "unknown", "another", "another"])
        if kind == "missing" and isinstance(holder, dict):
            del holder[key]
        elif kind == "unknown" and isinstance(holder, dict):
            holder["unknown"] = 1
        elif kind == "another" and isinstance(holder[key], int | float) and chance.random() < 0.4:
            holder[key] = "NO NUMBER"
            number = chance.choice(["NaN", "Infinity", "-Infinity", "1e999"])
            return json.dumps(content).replace('"NO NUMBER"', number)
        elif kind == "another":
            value = chance.choice([None, "5", True, [5], {"a": 5}])
            if type(value) is type(holder[key]) or (value is None and key in UNKNOWN):
                continue
            holder[key] = value
        else:
            continue
        return json.dumps(content)


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every mapping and list of a file with each of its keys."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield content, key
        if key not in OPEN:
            yield from _places(value)


def params(folder: Path) -> Attack:
    """A value or a key of a params file is another, or the text itself is damaged."""
    text = Path("params/smoke.yaml").read_text(encoding="utf-8")
    path = folder / "attack.yaml"
    shutil.copy("params/base.yaml", folder)

    def attack(chance: random.Random) -> str | None:
        if chance.random() < 0.3:
            path.write_bytes(damaged(text.encode(), chance))
        else:
            path.write_text(yaml.safe_dump(_with_another_value(yaml.safe_load(text), chance)), encoding="utf-8")
        return command("--params", str(path), "check-params")

    return attack


def _with_another_value(content: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """One value of the mapping, at any depth, or one key, replaced."""
    holder = content
    while True:
        key = chance.choice(list(holder))
        if not (isinstance(holder[key], dict) and holder[key]) or chance.random() < 0.2:
            break
        holder = holder[key]
    if chance.random() < 0.2:
        holder[str(chance.choice(VALUES))] = holder.pop(key)
    else:
        holder[key] = chance.choice(VALUES)
    return content


def checkpoints(folder: Path) -> Attack:
    """A checkpoint of the authors' form, or the pickle in it, is damaged."""
    good = official_files.save(folder / "good.ckpt", official_files.text())
    path, made = folder / "attack.ckpt", folder / "made"

    def attack(chance: random.Random) -> None:
        if chance.random() < 0.3:
            path.write_bytes(damaged(good.read_bytes(), chance))
        else:
            with zipfile.ZipFile(good) as file, zipfile.ZipFile(path, "w") as other:
                for name in file.namelist():
                    content = file.read(name)
                    other.writestr(name, damaged(content, chance) if name.endswith("data.pkl") else content)
        try:
            import_checkpoint(str(path), made, layout="official-text")
        finally:
            shutil.rmtree(made, ignore_errors=True)

    return attack


def journals(folder: Path) -> Attack:
    """A line of a journal is damaged, or a field of it is another; the other journals are read."""
    lines: list[dict[str, Any]] = [
        {"event": "start", "time": 1, "stage": "x", "name": "x", "parent": None, "params": {"a": 1}, "tags": {}},
        {"event": "metrics", "time": 2, "step": 1, "values": {"loss": 0.5}},
        {"event": "artifact", "time": 3, "path": "/x", "folder": None, "sha256": "0"},
        {"event": "end", "time": 4, "status": "FINISHED"},
    ]
    (folder / "tracking").mkdir()
    (folder / "tracking" / "good.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def attack(chance: random.Random) -> None:
        changed = [dict(line) for line in lines]
        line = chance.choice(changed)
        line[chance.choice(list(line))] = chance.choice(VALUES)
        text = "".join(json.dumps(line) + "\n" for line in changed).encode()
        text = damaged(text, chance) if chance.random() < 0.3 else text
        (folder / "tracking" / "attack.jsonl").write_bytes(text)
        assert "good" in dict(journal.journals(folder))
        journal.end_dead(folder)
        journal.pipelines(folder)
        assert pipeline.waiting(folder).runs >= 1

    return attack


def kills(folder: Path) -> Attack:
    """A training is killed at any moment, twice, and goes on to the same bytes."""
    words = [shutil.which("mdm-prime") or "mdm-prime", "--params", "params/smoke.yaml", "--results", str(folder)]
    words += ["train", "toy/l1/seed0"]
    shutil.copytree("results/smoke/toy/data", folder / "smoke/toy/data")
    weights = folder / "smoke/toy/networks/l1/seed0/weights.safetensors"
    began = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    seconds, wanted = time.monotonic() - began, weights.read_bytes()

    def attack(chance: random.Random) -> None:
        shutil.rmtree(weights.parent)
        for _ in range(2):
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * seconds)
            process.kill()
            process.wait()
        subprocess.run(words, check=True, capture_output=True)
        assert weights.read_bytes() == wanted, "other weights after a kill"

    return attack


KINDS: dict[Callable[[Path], Attack], int] = {
    results: 300,
    forged: 300,
    params: 300,
    checkpoints: 200,
    journals: 300,
    kills: 5,
}


def campaign(seed: int, share: float = 1.0) -> tuple[dict[str, Counter[str]], list[str]]:
    """How often each kind of attack ended in which way, and what the failures were."""
    counts: dict[str, Counter[str]] = {}
    failures = []
    for kind, number in KINDS.items():
        ends = counts[kind.__name__] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            attack = kind(Path(folder))
            for index in range(max(1, round(share * number))):
                chance = random.Random(f"{seed} {kind.__name__} {index}")  # noqa: S311 (to be repeated, not secret)
                how, said = outcome(attack, chance)
                ends[how] += 1
                if how == FAILED:
                    failures.append(f"{kind.__name__} {index}: {said}")
    return counts, failures


def table(counts: dict[str, Counter[str]]) -> str:
    lines = ["| attack | tried | refused | without effect | failed |", "|---|---|---|---|---|"]
    for name, ends in counts.items():
        lines.append(f"| {name} | {ends.total()} | {ends[REFUSED]} | {ends[WITHOUT_EFFECT]} | {ends[FAILED]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the attacks of each kind")
    options = parser.parse_args()
    logging.disable()  # a line for each damaged journal
    found, failed = campaign(options.seed, options.share)
    sys.stdout.write("\n".join([table(found), *failed]) + "\n")
    sys.exit(bool(failed))
