"""Files that are there whole or not at all; one reader for each format, for which a damaged file is one line."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mdm_prime import hints
from mdm_prime.errors import UserError

if TYPE_CHECKING:
    from io import BufferedReader

    import numpy as np
    from numpy.typing import NDArray

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
RANDOM = "?" * 8  # what mkstemp puts into a name


# ---- writing --------------------------------------------------------------------------------------------------------


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, with the same suffix; moved onto `path` when the block succeeds.

    The folder is made. On an exception the temporary file is removed and `path` is untouched. Whatever is on the disk
    is there before `path` is replaced. What a killed writer of `path` has left is removed.

    Raises OSError with the name of `path` for a disk that is full.
    """
    path = Path(path)
    temporary = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        with _locked_temporary(path) as temporary:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
            _sync(temporary)
            temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        if error.filename is None and (error.errno in OF_THE_DISK or (type(error) is OSError and error.errno is None)):
            mine = True  # Python names no file in what a write raises; Pillow gives no number either
        else:
            mine = error.filename is not None and os.fsdecode(error.filename) == str(temporary)
        if mine:
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None
        raise


@contextmanager
def _locked_temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path`, which a lock tells from one that a killed process has left; removed at the end."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # another writer may have taken it for a leftover before it was locked
            break
        os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    for name in path.parent.glob(f".{glob.escape(path.stem)}-{RANDOM}{glob.escape(path.suffix)}"):
        try:
            with name.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                name.unlink()
        except OSError:  # it is being written, or somebody else has removed it
            continue


def _sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk; raises OSError for what the disk did not take."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes indented JSON with keys in the order given; NaN and infinity are refused with ValueError."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """What `write_json` writes."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def save_array(path: str | Path, array: NDArray[Any]) -> None:
    """Writes one .npy file of plain numbers."""
    import numpy as np

    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(_Writer(file), array, allow_pickle=False)


class _Writer:
    """What numpy takes for no file of C: of such a file it never learns that the last bytes did not fit on the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def save_arrays(path: str | Path, **arrays: NDArray[Any]) -> None:
    """Writes one .npz file of plain numbers, by name."""
    import numpy as np

    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


# ---- reading --------------------------------------------------------------------------------------------------------


@contextmanager
def reading(path: str | Path) -> Iterator[BufferedReader]:
    """Opens a regular file; what is none would never end, or never begin. Raises OSError and UserError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # which waits for no writer of a FIFO
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UserError(f"{path}: is a device, a FIFO or a socket; give a file")
        yield file


def read_json(path: str | Path, again: str | None = None) -> Any:
    """Raises UserError when the file is missing, not JSON, or holds NaN or infinity, which nothing here writes.

    `again` is the command that makes the file. Results are read by mdm_prime.results, which also says what they hold.
    """
    with one_line(path, "not JSON", again), reading(path) as file:
        return json.loads(file.read().decode("utf-8"), parse_constant=_refuse, parse_float=_finite)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:20]} is beyond the largest float")
    return value


def load_array(path: str | Path, again: str | None = None) -> NDArray[Any]:
    """A .npy file of plain numbers, memory-mapped. Raises UserError; `again` is the command that makes the file."""
    import numpy as np

    with one_line(path, "no array", again):
        with reading(path):
            pass
        found: np.memmap[Any, Any] = np.lib.format.open_memmap(Path(path), mode="r")
        return found


def load_arrays(path: str | Path, again: str | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file by name. Raises UserError; `again` is the command that makes the file."""
    import numpy as np

    with one_line(path, "no arrays", again), reading(path) as file:
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise ValueError("one array without a name")
        return dict(found)


@contextmanager
def one_line(path: str | Path, problem: str, again: str | None = None) -> Iterator[None]:
    """What goes wrong in reading a file as a UserError: it cannot be read, or holds `problem`.

    `again` is the command that makes the file; by default that of a result of the pipeline.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); make it with: {again or hints.target(path)}"
        ) from None
    except Exception as error:  # the readers of a damaged file raise errors of any kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        todo = f"make it with: {again}" if again else f"delete it and run the pipeline again: {hints.target(path)}"
        raise UserError(f"{path}: {problem} ({reason}); {todo}") from None


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
