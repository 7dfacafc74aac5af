"""Pickled dictionaries of numpy arrays, read without running or trusting anything in them.

A pickle names functions that are called while it is read. Here every name that is allowed stands for a class of this
file, which takes the bytes of a plain array and nothing else; numpy's own functions would believe the flags and fields
of a type in the file, and so read memory that the file points to.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm_prime.errors import UserError

DTYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
BYTE_ORDERS = frozenset({"<", ">", "|", "="})


def load_dictionary(path: Path) -> dict[str, Any]:
    """The dictionary that a pickle of any protocol holds; protocol 2 of Python 2 too.

    Its values are numpy arrays of numbers, numbers (of numpy too), text, bytes, None and lists, tuples and
    dictionaries of those. An array inside a container does not become one.

    Raises UserError, before anything is run, when the file asks for something else; also when it is missing,
    truncated or damaged, and when it holds no dictionary.
    """
    try:
        with path.open("rb") as file:
            value = _Unpickler(file, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the file") from None
    except _RefusedError as error:
        raise UserError(
            f"{path}: not read, because it asks for {error}; allowed: arrays of numbers and plain containers"
        ) from None
    except Exception as error:  # a damaged pickle raises errors of any kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: no whole pickle ({reason}); get the file again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds {type(value).__name__.strip('_').lower()}, not a dictionary; give another file")
    return {key: content.array() if isinstance(content, _Array) else content for key, content in value.items()}


class _RefusedError(Exception):
    """What a pickle asks for and does not get."""


class _StandIn:
    """Base of the classes that a pickle may call. The class itself cannot be changed by it (opcode BUILD)."""

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"a state of {type(self).__name__}")


class _NdArray(_StandIn):
    """numpy.ndarray: only mentioned, never made."""

    def __init__(self, *_: Any) -> None:
        raise _RefusedError("a call of numpy.ndarray")


class _Dtype(_StandIn):
    """numpy.dtype: a number, never an object or a record."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in DTYPES:
            raise _RefusedError(f"an array of type {code!r}")
        self._dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] not in BYTE_ORDERS:
            raise _RefusedError(f"a byte order {state[1]!r}")
        self._dtype = self._dtype.newbyteorder(state[1])

    def read(self, content: Any) -> NDArray[Any]:
        """The numbers (N,) in bytes, without a copy."""
        return np.frombuffer(_as_bytes(content), self._dtype)


class _Array(_StandIn):
    """numpy's `_reconstruct`: an array whose content comes as its state."""

    def __init__(self, *_: Any) -> None:
        self._array: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        self._array = _numbers(content, dtype, shape, "F" if fortran else "C")

    def array(self) -> NDArray[Any]:
        return self._array


class _ArrayOfBuffer(_Array):
    """numpy's `_frombuffer` (protocol 5): an array whose content comes as an argument."""

    def __init__(self, content: Any, dtype: _Dtype, shape: Any, order: Any, *_: Any) -> None:
        self._array = _numbers(content, dtype, shape, "F" if order == "F" else "C")


class _Scalar(_StandIn):
    """numpy's `scalar`: becomes a number of Python."""

    def __new__(cls, dtype: _Dtype, content: Any) -> Any:
        return _numbers(content, dtype, (1,), "C").tolist()[0]


class _Bytes(_StandIn):
    """`_codecs.encode`, and `bytes` without arguments: how protocol 2 writes bytes."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> Any:
        if encoding != "latin1":
            raise _RefusedError(f"an encoding {encoding!r}")
        return text.encode("latin1")


def _numbers(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype):
        raise _RefusedError(f"an array of type {type(dtype).__name__}")
    return dtype.read(content).reshape(shape, order=order)


def _as_bytes(content: Any) -> bytes | bytearray:
    if isinstance(content, str):  # of Python 2
        return content.encode("latin1")
    if not isinstance(content, bytes | bytearray):
        raise _RefusedError(f"an array of {type(content).__name__}")
    return content


_NUMPY = {("multiarray", "_reconstruct"): _Array, ("multiarray", "scalar"): _Scalar}
_NUMPY[("numeric", "_frombuffer")] = _ArrayOfBuffer
ALLOWED: dict[tuple[str, str], type[_StandIn]] = {
    ("numpy", "ndarray"): _NdArray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,
    **{
        (f"numpy.{core}.{part}", name): stand_in
        for (part, name), stand_in in _NUMPY.items()
        for core in ("core", "_core")
    },
}


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins only; nothing is imported."""

    def find_class(self, module: str, name: str) -> type[_StandIn]:
        if (module, name) not in ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return ALLOWED[module, name]
