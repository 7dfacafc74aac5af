"""Pickles of others, read without running, importing or trusting anything in them, at a cost bounded by their size.

A pickle is a program: it names functions, calls them and changes what they returned. Here a name is a `Name` and a call
is a `Call`, unless the reader of a format makes a plain value of it; nothing that was made, or has been checked, can be
changed afterwards.
"""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partialmethod
from typing import Any, BinaryIO

MOST_ITEMS = 2**20  # instructions of a file; the labels of ImageNet's batches are 130,000
MOST_DEPTH = 100  # marks, and tuples in tuples: what is deeper costs the C stack when it is hashed or freed
MOST_BITS = 256  # of an integer; generators' states have 128
MOST_KEY = 16  # texts in a tuple that is a key
_KEYS = (str, bytes, float, bool, type(None))


class RefusedError(Exception):
    """What a pickle asks for and does not get."""


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names: `module.name`, which is not looked for."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Call:
    """What a call would have returned, as data. Nothing in it can be called.

    Attributes:
        name: the full name of the function or class.
        arguments: what it would have been called with.
        state: what it would have been given as its state, at most once; None for none.
    """

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None


@dataclass(frozen=True)
class Rules:
    """What a format makes of names.

    Attributes:
        name: called with every name; raises RefusedError for one that the format has no use for.
        call: the value of a call: a Call, or a plain value that nothing changes any more.
        number: the value of a persistent identity, as torch writes numbers that lie elsewhere.
    """

    name: Callable[[Name], None]
    call: Callable[[Name, tuple[Any, ...], Budget], Any]
    number: Callable[[Any], Any] | None = None


class Budget:
    """Bytes that reading a file may still make beside those of the file itself."""

    def __init__(self, size: int) -> None:
        self._left = 4 * size + 2**20

    def spend(self, count: int) -> None:
        """Raises RefusedError when it is spent: small calls that make much of one text again and again."""
        self._left -= count
        if self._left < 0:
            raise RefusedError("more memory than its size explains")


def load(file: BinaryIO, size: int, rules: Rules) -> Any:
    """The value of a pickle of `size` bytes: plain containers, Name, Call, and what the rules make.

    Raises RefusedError for what it asks for and does not get, and errors of any kind for a damaged one.
    """
    return _Machine(rules, Budget(size)).run(_Bounded(file, size))


class _Bounded:
    """A file that is asked for no more bytes than it has left; a reader would make room for them first."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        if count > self._left:
            raise ValueError(f"{count} bytes wanted, {self._left} left")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line


_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}


class _Machine:
    """The stack and memory of a pickle; a method for each instruction, by the name that pickletools has for it."""

    def __init__(self, rules: Rules, budget: Budget) -> None:
        self._rules, self._budget = rules, budget
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._depths: dict[int, int] = {}  # of tuples, by id; they are kept alive in `_tuples`
        self._tuples: list[Any] = []

    def run(self, file: Any) -> Any:
        for _ in range(MOST_ITEMS):
            opcode = _OPCODES[file.read(1).decode("latin1")]
            name = opcode.name
            argument: Any
            if name == "STRING":  # the reader of pickletools knows no bytes of Python 2
                argument = codecs.escape_decode(file.readline().strip()[1:-1])[0].decode("latin1")
            else:
                argument = None if opcode.arg is None else opcode.arg.reader(file)
            if name == "STOP":
                return self._stack.pop()
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in _FRESH:
                self._stack.append(_FRESH[name]())
            elif name in _LITERALS:
                self._stack.append(_bounded(argument))
            elif name not in _IGNORED:
                instruction = getattr(self, f"_{name.lower()}", None)
                if instruction is None:
                    raise RefusedError(f"an extension ({name})")
                instruction(argument)
        raise RefusedError(f"more than {MOST_ITEMS} instructions")

    def _mark(self, _: Any) -> None:
        if len(self._marks) >= MOST_DEPTH:
            raise RefusedError(f"more than {MOST_DEPTH} levels")
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, argument: Any) -> None:
        self._memo[int(argument)] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, argument: Any) -> None:
        self._stack.append(self._memo[int(argument)])

    _binget = _long_binget = _get

    def _list(self, _: Any) -> None:
        self._stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._add_items(items)

    def _frozenset(self, _: Any) -> None:
        self._stack.append(frozenset(_key(item) for item in self._since_mark()))

    def _tuple(self, _: Any) -> None:
        self._push_tuple(tuple(self._since_mark()))

    def _last_as_tuple(self, count: int, _: Any) -> None:
        if len(self._stack) < count:
            raise IndexError("an empty stack")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push_tuple(items)

    _tuple1 = partialmethod(_last_as_tuple, 1)
    _tuple2 = partialmethod(_last_as_tuple, 2)
    _tuple3 = partialmethod(_last_as_tuple, 3)

    def _push_tuple(self, made: tuple[Any, ...]) -> None:
        depth = 1 + max((self._depths.get(id(item), 0) for item in made if type(item) is tuple), default=0)
        if depth > MOST_DEPTH:
            raise RefusedError(f"more than {MOST_DEPTH} levels")
        self._tuples.append(made)
        self._depths[id(made)] = depth
        self._stack.append(made)

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is list:
            target.extend(items)
        elif type(target) is not Call:  # the items of another library's container are dropped
            raise RefusedError(f"items for {_kind(target)}")

    def _additems(self, _: Any) -> None:
        items = self._since_mark()
        target = self._stack[-1]
        if type(target) is set:
            target.update(_key(item) for item in items)
        elif type(target) is not Call:
            raise RefusedError(f"items for {_kind(target)}")

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._add_items([key, value])

    def _setitems(self, _: Any) -> None:
        self._add_items(self._since_mark())

    def _add_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is dict:
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[_key(key)] = value
        elif type(target) is not Call:
            raise RefusedError(f"items for {_kind(target)}")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")  # as pickletools has them
        self._push_name(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise RefusedError("a name that is no text")
        self._push_name(module, name)

    def _push_name(self, module: str, name: str) -> None:
        found = Name(module, name)
        self._rules.name(found)
        self._stack.append(found)

    def _reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self._stack.pop()  # arguments by name
        self._reduce(None)

    def _obj(self, _: Any) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _inst(self, argument: str) -> None:
        arguments = self._since_mark()
        self._global(argument)
        self._call(self._stack.pop(), tuple(arguments))

    def _call(self, function: Any, arguments: Any) -> None:
        if type(function) is not Name or type(arguments) is not tuple:
            raise RefusedError(f"a call of {_kind(function)}, which is not callable")
        self._stack.append(self._rules.call(function, arguments, self._budget))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if type(target) is Call and target.state is None:
            target.state = state
        elif type(target) is not dict:  # the attributes of a state_dict are dropped
            raise RefusedError(f"a state of {_kind(target)}")

    def _binpersid(self, _: Any) -> None:
        identity = self._stack.pop()
        if self._rules.number is None:
            raise RefusedError("numbers from elsewhere")
        self._stack.append(self._rules.number(identity))


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_FRESH: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}
_IGNORED = {"PROTO", "FRAME"}
_LITERALS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_LITERALS |= {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_LITERALS |= {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}


def _bounded(value: Any) -> Any:
    """A number or text as it is; a bytearray as bytes, which nothing changes."""
    if type(value) is int and value.bit_length() > MOST_BITS:
        raise RefusedError(f"an integer of {value.bit_length()} bits")
    return bytes(value) if type(value) is bytearray else value


def _key(value: Any) -> Any:
    """A key of a dictionary or an item of a set: of those whose hash is cheap and not the file's to choose."""
    simple = type(value) in _KEYS or (type(value) is int and abs(value) < 2**62) or isinstance(value, Name | Call)
    if not simple and not (type(value) is tuple and len(value) <= MOST_KEY and all(type(x) is str for x in value)):
        raise RefusedError(f"a key of type {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    return f"{value}" if isinstance(value, Name) else value.name if isinstance(value, Call) else type(value).__name__
