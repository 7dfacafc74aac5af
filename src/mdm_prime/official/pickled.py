"""The pickle inside a torch checkpoint, read without running or importing anything that it names.

A pickle names functions and classes that are called while it is read. Here every name stands for a class of this file:
plain containers and tensors are built, tensors as handles without their numbers; everything else (omegaconf, argparse,
tokenizers, Lightning, numpy) becomes an inert `Foreign` that only remembers what it was given.
"""

from __future__ import annotations

import _compat_pickle
import builtins
import io
import math
import pickle
import pickletools
import sys
from dataclasses import dataclass
from typing import Any

import torch

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# Parts of the standard library whose objects are data. A name from any other is refused, though it would be inert too:
# no checkpoint needs it, so the file is not what it seems.
DATA_MODULES = {"_codecs", "argparse", "array", "collections", "copyreg", "dataclasses", "datetime", "decimal", "enum"}
DATA_MODULES |= {"fractions", "functools", "logging", "numbers", "pathlib", "random", "re", "types", "typing", "uuid"}
DATA_MODULES |= {"weakref"}


class RefusedError(Exception):
    """What a pickle asks for and does not get."""


@dataclass(frozen=True)
class StorageHandle:
    """Numbers in the archive: `key` is the name of their entry, `size` how many there are."""

    dtype: torch.dtype
    key: str
    size: int


@dataclass(frozen=True)
class TensorHandle:
    """A tensor whose numbers are still in the archive."""

    storage: StorageHandle
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises RefusedError for a view that leaves its storage, or is larger than it."""
        numbers = (self.offset, *self.shape, *self.stride)
        if not all(type(number) is int and number >= 0 for number in numbers) or len(self.shape) != len(self.stride):
            raise RefusedError(f"a tensor of shape {self.shape} and stride {self.stride}")
        count = math.prod(self.shape)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if count > self.storage.size or (count and last >= self.storage.size):
            raise RefusedError(f"a tensor of shape {self.shape} from {self.storage.size} numbers")


class Foreign:
    """An object, function or class of another library, as data. Nothing in it can be called.

    Attributes:
        name: its full name, such as omegaconf.dictconfig.DictConfig.
        arguments: what it would have been called with.
        state: what it would have been given as its state; None for none.
    """

    name = ""

    def __new__(cls, *arguments: Any, **_: Any) -> Foreign:
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    arguments: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Items of a foreign container are dropped."""

    def append(self, value: Any) -> None:
        """Items of a foreign container are dropped."""


class _Ordered(dict[Any, Any]):
    """collections.OrderedDict: a dictionary keeps its order; the attributes of a state_dict are dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Tensor:
    """torch's functions that build a tensor or a parameter of it: a handle."""

    def __new__(cls, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Any:
        if not isinstance(storage, StorageHandle):
            raise RefusedError(f"a tensor of {type(storage).__name__}")
        return TensorHandle(storage, offset, tuple(shape), tuple(stride))

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("a state of a function")


class _Parameter(_Tensor):
    def __new__(cls, tensor: Any, *_: Any) -> Any:
        if not isinstance(tensor, TensorHandle):
            raise RefusedError(f"a parameter of {type(tensor).__name__}")
        return tensor


_BUILT = {
    ("collections", "OrderedDict"): _Ordered,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
}


def load(content: bytes) -> Any:
    """What a checkpoint's data.pkl holds: plain containers, TensorHandle and Foreign.

    Raises RefusedError for what no checkpoint needs, and errors of any kind for a damaged pickle. Nothing is run.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise RefusedError("a place in memory that it has no use for")  # the unpickler would make room up to it
    return _Unpickler(io.BytesIO(content), encoding="utf-8").load()


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins only; nothing is imported."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) in _BUILT:
            return _BUILT[module, name]
        _refuse_code(module, name)
        return type("Foreign", (Foreign,), {"name": f"{module}.{name}"})

    def persistent_load(self, identity: Any) -> StorageHandle:
        kind, storage, key, _, size = identity
        named = isinstance(storage, type) and issubclass(storage, Foreign)
        name = storage.name.removeprefix("torch.") if named else ""
        if kind != "storage" or name not in DTYPES or type(key) is not str or type(size) is not int:
            raise RefusedError(f"numbers of an unknown kind ({name or kind})")
        return StorageHandle(DTYPES[name], key, size)


def _refuse_code(module: str, name: str) -> None:
    """Raises RefusedError for a function of Python's own, under its name of Python 2 too, as old protocols have it."""
    module = _compat_pickle.IMPORT_MAPPING.get(module, module)
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    top = module.split(".")[0]
    if top == "builtins":
        refused = not isinstance(getattr(builtins, name, None), type)
    else:
        refused = top in sys.stdlib_module_names and top not in DATA_MODULES
    if refused:
        raise RefusedError(f"{module}.{name}")
