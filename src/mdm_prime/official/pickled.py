"""The pickle inside a torch checkpoint: tensors become handles without their numbers, everything else inert data.

What other libraries' objects (omegaconf, argparse, tokenizers, Lightning, numpy) were given is kept; see
mdm_prime.restricted_pickle for what keeps the file from doing anything else.
"""

from __future__ import annotations

import _compat_pickle
import builtins
import io
import math
import sys
from dataclasses import dataclass
from typing import Any

import torch

from mdm_prime import restricted_pickle
from mdm_prime.restricted_pickle import Budget, Call, Name, RefusedError, Rules

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
MOST_NUMBERS = 2**48  # of a storage
MOST_AXES = 8  # of a tensor

Foreign = Call  # an object of another library, as data


@dataclass(frozen=True)
class StorageHandle:
    """Numbers in the archive: `key` is the name of their entry, `size` how many there are."""

    dtype: torch.dtype
    key: str
    size: int

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class TensorHandle:
    """A tensor whose numbers are still in the archive."""

    storage: StorageHandle
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises RefusedError for a view that leaves its storage, or is larger than it."""
        if len(self.shape) > MOST_AXES or len(self.shape) != len(self.stride):
            raise RefusedError(f"a tensor of shape {self.shape[:MOST_AXES]} and stride {self.stride[:MOST_AXES]}")
        numbers = (self.offset, *self.shape, *self.stride)
        if not all(type(number) is int and 0 <= number < MOST_NUMBERS for number in numbers):
            raise RefusedError(f"a tensor of shape {self.shape} and stride {self.stride}")
        count = math.prod(self.shape)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if count > self.storage.size or (count and last >= self.storage.size):
            raise RefusedError(f"a tensor of shape {self.shape} from {self.storage.size} numbers")


def load(content: bytes) -> Any:
    """What a checkpoint's data.pkl holds: plain containers, TensorHandle and Foreign.

    Raises RefusedError for what no checkpoint needs, and errors of any kind for a damaged pickle. Nothing is run.
    """
    return restricted_pickle.load(io.BytesIO(content), len(content), Rules(_refuse_code, _call, _storage))


def _call(function: Name, arguments: tuple[Any, ...], budget: Budget) -> Any:
    """A dictionary, a handle, or inert data of another library."""
    name = str(function)
    if name == "collections.OrderedDict":
        return {}
    if name == "torch._utils._rebuild_parameter":
        tensor = arguments[0] if arguments else None
        if not isinstance(tensor, TensorHandle):
            raise RefusedError(f"a parameter of {type(tensor).__name__}")
        return tensor
    if name == "torch._utils._rebuild_tensor_v2":
        storage, offset, shape, stride, *_ = arguments
        if not isinstance(storage, StorageHandle) or type(shape) is not tuple or type(stride) is not tuple:
            raise RefusedError(f"a tensor of {type(storage).__name__}")
        return TensorHandle(storage, offset, shape, stride)
    return Foreign(name, arguments)


def _storage(identity: Any) -> StorageHandle:
    kind, storage, key, _, size = identity
    name = storage.name if isinstance(storage, Name) and storage.module == "torch" else ""
    if kind != "storage" or name not in DTYPES or type(key) is not str or type(size) is not int:
        raise RefusedError(f"numbers of an unknown kind ({name or kind})")
    if not 0 <= size < MOST_NUMBERS:
        raise RefusedError(f"a storage of {size} numbers")
    return StorageHandle(DTYPES[name], key, size)


def _refuse_code(named: Name) -> None:
    """Raises RefusedError for a function of Python's own, under its name of Python 2 too, as old protocols have it."""
    module = _compat_pickle.IMPORT_MAPPING.get(named.module, named.module)
    module, name = _compat_pickle.NAME_MAPPING.get((module, named.name), (module, named.name))
    top = module.split(".")[0]
    if top == "builtins":
        refused = not isinstance(getattr(builtins, name, None), type)
    else:
        refused = top in sys.stdlib_module_names and top not in DATA_MODULES
    if refused:
        raise RefusedError(f"{module}.{name}")
