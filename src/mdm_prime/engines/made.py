"""What every stage was made of, written when it succeeds, and what is out of date by it.

The command line writes the record, whichever engine or person calls it, so that both engines go by the same: values of
the params and of the code, and the content of inputs and outputs. Times decide nothing; they only spare the reading of
a file that has kept its size and time since it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mdm_prime import files
from mdm_prime.engines import settings as of_settings
from mdm_prime.engines.stages import Repetition, Stage
from mdm_prime.errors import UserError
from mdm_prime.results.made import Begun, Fingerprint, Record


class Made:
    """The records of a scale.

    Attributes:
        root: results/SCALE.
        settings: of the present params and code (settings.py).
    """

    def __init__(self, root: Path, stages: list[Stage], settings: Mapping[str, Any]) -> None:
        self.root = root
        self.settings = settings
        self.repetitions = [repetition for stage in stages for repetition in stage.repetitions()]
        self._producer = {path: repetition for repetition in self.repetitions for path in repetition.outputs}
        self._records: dict[str, Record | None] = {}
        self._hashes: dict[str, str | None] = {}

    def begin(self, repetition: Repetition) -> Begun:
        """What a stage is about to be made of: read before it runs, since params and code may change meanwhile."""
        return Begun(
            command=repetition.command,
            values=self._values(repetition),
            inputs={path: self.content(path) for path in repetition.inputs},
            outside={path: _fingerprint(Path(path)) for path in repetition.stage.outside if Path(path).is_file()},
        )

    def damaged(self, paths: Iterable[str]) -> tuple[str, Repetition] | None:
        """The first of these results that is not as its stage made it, and that; None for none.

        Every byte is read: what a disk or a hand has changed may have kept its size and time. What no record tells of
        is passed over, and so is what is missing.
        """
        for path in paths:
            producer = self._producer.get(path)
            record = self._record(producer) if producer else None
            recorded = record.outputs.get(path) if record else None
            if producer and recorded and (self.root / path).is_file():
                self._hashes[path] = files.sha256_of(self.root / path)
                if self._hashes[path] != recorded.sha256:
                    return path, producer
        return None

    def finish(self, repetition: Repetition, begun: Begun) -> None:
        """Writes the record of a stage that has succeeded."""
        outputs = {path: _fingerprint(self.root / path) for path in repetition.outputs}
        Record(**dict(begun), outputs=outputs).write(self.root / repetition.made)

    def out_of_date(self) -> dict[Repetition, str]:
        """The stages that are there but not as the present params, code and inputs would make them, each with why.

        A stage whose results are missing is left out: an engine sees that itself.
        """
        found = {}
        for repetition in self.repetitions:
            if all((self.root / path).is_file() for path in repetition.outputs) and (why := self.why(repetition)):
                found[repetition] = why
        return found

    def why(self, repetition: Repetition) -> str | None:
        """Why a stage is out of date; None where it is not."""
        record = self._record(repetition)
        if record is None:
            return "nothing says what it was made of"
        before, now = record.values, self._values(repetition)
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                return _difference(key, before.get(key), now.get(key))
        for path in dict.fromkeys([*repetition.inputs, *record.inputs]):
            if path not in record.inputs or path not in repetition.inputs:
                return f"it joins other files: {path}"
            if self.content(path) != record.inputs[path]:
                return f"{path} has changed" if (self.root / path).is_file() else f"{path} is missing"
        for path, outside in record.outside.items():
            if Path(path).is_file() and _content(Path(path), outside) != outside.sha256:
                return f"{path} has changed"
        for path in repetition.outputs:
            made = record.outputs.get(path)
            if self.content(path) != (made.sha256 if made else None):
                return f"{path} is not as it was made"
        return None

    def content(self, path: str) -> str | None:
        """Hash of a file below the root; None where there is none."""
        if path not in self._hashes:
            self._hashes[path] = self._content(path)
        return self._hashes[path]

    def _content(self, path: str) -> str | None:
        file = self.root / path
        if not file.is_file():
            return None
        producer = self._producer.get(path)
        record = self._record(producer) if producer else None
        return _content(file, record.outputs.get(path) if record else None)

    def _record(self, repetition: Repetition) -> Record | None:
        if repetition.made not in self._records:
            self._records[repetition.made] = _read(self.root / repetition.made)
        return self._records[repetition.made]

    def _values(self, repetition: Repetition) -> dict[str, Any]:
        return {key: of_settings.value(self.settings, key) for key in repetition.values}


def _read(path: Path) -> Record | None:
    """A record; None where there is none, or a damaged one."""
    try:
        return Record.read(path)
    except UserError:
        return None


def _fingerprint(file: Path) -> Fingerprint:
    found = file.stat()
    return Fingerprint(size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=files.sha256_of(file))


def _content(file: Path, recorded: Fingerprint | None) -> str:
    """Hash of a file: the recorded one where it has the size and time that it had then."""
    found = file.stat()
    if recorded and (found.st_size, found.st_mtime_ns) == (recorded.size, recorded.mtime_ns):
        return recorded.sha256
    return files.sha256_of(file)


def _difference(key: str, before: Any, now: Any) -> str:
    """The value that has changed, by its dotted key."""
    if key.startswith("code."):
        return "its code has changed"
    if isinstance(before, dict) and isinstance(now, dict):
        for inner in [*now, *(inner for inner in before if inner not in now)]:
            if before.get(inner) != now.get(inner):
                return _difference(f"{key}.{inner}", before.get(inner), now.get(inner))
    return f"{key} has changed"
