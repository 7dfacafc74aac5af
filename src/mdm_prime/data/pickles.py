"""Pickled dictionaries of numpy arrays, read without running or trusting anything in them.

numpy's own functions would believe the flags and fields of a type in the file, and so read memory that the file points
to; here an array is the bytes of numbers of a plain type. See mdm_prime.restricted_pickle for the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm_prime import restricted_pickle
from mdm_prime.errors import UserError
from mdm_prime.restricted_pickle import Budget, Call, Name, RefusedError, Rules

DTYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
BYTE_ORDERS = frozenset({"<", ">", "|", "="})
CORES = ("numpy.core", "numpy._core")  # before numpy 2, and from then on
ARRAY = frozenset(f"{core}.multiarray._reconstruct" for core in CORES)  # its content comes as its state
ARRAY_OF_BUFFER = frozenset(f"{core}.numeric._frombuffer" for core in CORES)  # of protocol 5
SCALAR = frozenset(f"{core}.multiarray.scalar" for core in CORES)
BYTES = frozenset({"_codecs.encode", "__builtin__.bytes"})  # how protocol 2 writes bytes
DTYPE = "numpy.dtype"
ALLOWED = ARRAY | ARRAY_OF_BUFFER | SCALAR | BYTES | {DTYPE, "numpy.ndarray"}  # the last is only mentioned


def load_dictionary(path: Path) -> dict[str, Any]:
    """The dictionary that a pickle of any protocol holds; protocol 2 of Python 2 too.

    Its values are numpy arrays of numbers, numbers (of numpy too), text, bytes, None and lists, tuples and
    dictionaries of those. An array inside a container does not become one.

    Raises UserError, before anything is run, when the file asks for something else; also when it is missing,
    truncated or damaged, and when it holds no dictionary.
    """
    try:
        if not path.is_file() and path.exists():
            raise UserError(f"{path}: is no regular file; give the file")
        size = path.stat().st_size
        budget = Budget(size)
        with path.open("rb") as file:
            value = restricted_pickle.load(file, size, Rules(_refuse, _call))
        if isinstance(value, dict):
            return {key: _array(item, budget) if _is_array(item) else item for key, item in value.items()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the file") from None
    except UserError:
        raise
    except RefusedError as error:
        raise UserError(
            f"{path}: not read, because it asks for {error}; allowed: arrays of numbers and plain containers"
        ) from None
    except Exception as error:  # a damaged pickle raises errors of any kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: no whole pickle ({reason}); get the file again") from None
    kind = "array" if _is_array(value) else type(value).__name__.lower()
    raise UserError(f"{path}: holds {kind}, not a dictionary; give another file")


def _refuse(name: Name) -> None:
    if str(name) not in ALLOWED:
        raise RefusedError(str(name))


def _call(function: Name, arguments: tuple[Any, ...], budget: Budget) -> Any:
    """Bytes and numbers at once; of a type or an array what it is made of, until its state has come."""
    name = str(function)
    if name == "numpy.ndarray":
        raise RefusedError("a call of numpy.ndarray")
    if name in BYTES:
        text, encoding = (*arguments, "latin1")[:2] if arguments else ("", "latin1")
        if encoding != "latin1" or type(text) is not str:
            raise RefusedError(f"an encoding {encoding!r}")
        budget.spend(len(text))
        return text.encode("latin1")
    if name in SCALAR:
        dtype, content = arguments
        return _numbers(content, dtype, (1,), "C", budget).tolist()[0]
    return Call(name, arguments)


def _is_array(value: Any) -> bool:
    return isinstance(value, Call) and value.name in ARRAY | ARRAY_OF_BUFFER


def _array(found: Call, budget: Budget) -> NDArray[Any]:
    if found.name in ARRAY_OF_BUFFER:
        content, dtype, shape, order, *_ = found.arguments
        return _numbers(content, dtype, shape, "F" if order == "F" else "C", budget)
    if found.state is None:
        return np.empty(0)
    _, shape, dtype, fortran, content = found.state
    return _numbers(content, dtype, shape, "F" if fortran else "C", budget)


def _numbers(content: Any, dtype: Any, shape: Any, order: Any, budget: Budget) -> NDArray[Any]:
    """The array of a shape that bytes hold, without a copy; text of Python 2 is bytes."""
    plain = _dtype(dtype)
    if type(content) is str:
        budget.spend(len(content))
        content = content.encode("latin1")
    if type(content) is not bytes:
        raise RefusedError(f"an array of {type(content).__name__}")
    if type(shape) is not tuple or len(shape) > 8:
        raise RefusedError(f"an array whose shape is a {type(shape).__name__}")
    return np.frombuffer(content, plain).reshape(shape, order=order)


def _dtype(found: Any) -> np.dtype[Any]:
    """A type of numbers, never an object or a record; its state tells the order of bytes only."""
    if not isinstance(found, Call) or found.name != DTYPE:
        raise RefusedError(f"an array of type {type(found).__name__}")
    code = found.arguments[0] if found.arguments else None
    if type(code) is not str or code not in DTYPES:
        raise RefusedError(f"an array of type {str(code)[:20]!r}")
    dtype = np.dtype(code)
    if found.state is None:
        return dtype
    if type(found.state) is not tuple or found.state[1] not in BYTE_ORDERS:
        raise RefusedError("a type with a state of its own")
    return dtype.newbyteorder(found.state[1])
