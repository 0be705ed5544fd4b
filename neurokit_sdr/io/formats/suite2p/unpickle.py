"""Object arrays of ``.npy`` files, as suite2p writes them, without Python's unpickler.

A pickle is a program: to open it is to run it. Here its instructions are read by a machine of our
own that knows numbers, text, containers and the few calls with which NumPy says "an array of this
shape and these bytes". It looks up no name and calls nothing that a file names, so that a file can
only ever be data or be refused. Memory follows the size of the file: an array is built from bytes
that are there, never from a shape that is claimed.
"""

from __future__ import annotations

import datetime
import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.formats.npy import npy_header

#: What lies on the stack at one time: NumPy's own files need a few thousand.
_DEEPEST_STACK = 100_000
_DTYPE = re.compile(r"[?biufcUS]\d{0,6}|O\d?")


def load_object_array(path: Path) -> np.ndarray:
    """Return the object array of a ``.npy`` file.

    Raises
    ------
    FileFormatError
        If the file is no whole ``.npy`` file of objects, or holds more than data.
    """
    shape, dtype, _, offset = npy_header(path)
    if dtype.kind != "O":
        raise FileFormatError(
            f"Expected an array of Python objects in {path}, as suite2p saves it, got {dtype}."
        )
    try:
        found = load_data(path.read_bytes()[offset:])
    except Refused as reason:
        raise FileFormatError(
            f"{path} holds more than data: {reason}. It was not opened and nothing in it was "
            f"executed. Save it again from suite2p, or ask for the recording as NWB."
        ) from reason
    except _DAMAGE as error:
        raise FileFormatError(
            f"{path} is damaged or cut off ({type(error).__name__}: {error}): copy or download it "
            f"again."
        ) from error
    if not isinstance(found, np.ndarray) or found.dtype.kind != "O" or found.shape != shape:
        raise FileFormatError(
            f"Expected an object array of shape {shape} in {path}, as its header says, got "
            f"{type(found).__name__} of shape {getattr(found, 'shape', ())}: the file is damaged."
        )
    return found


class Refused(Exception):
    """The pickle asks for something that is not data."""


_DAMAGE = (
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
)


def load_data(program: bytes) -> Any:
    """Return what a pickle of plain data says; raise :class:`Refused` where it says more."""
    return _finish(_Machine(program).run(), {}, set())


# -- what a file may name ---------------------------------------------------------------------


class _Name:
    """A name in the file, not what Python finds under it."""

    def __init__(self, module: str, name: str) -> None:
        if module == "__builtin__":  # Python 2
            module = "builtins"
        module = module.replace("numpy._core", "numpy.core")
        self.name = f"{module}.{name}"
        if self.name not in _CALLS and self.name != "numpy.ndarray":
            raise Refused(f"it names {module}.{name}")


class _Dtype:
    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("latin-1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise Refused(f"it holds an array of type {_said(code)}")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise Refused(f"it holds a byte order {_said(order)}")
        if state[3] is not None or state[4] is not None:
            raise Refused("it holds an array with fields")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """An array to be filled in by a later instruction."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None
        self.items: list[Any] | None = None
        self.values: np.ndarray | None = None

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if dtype.dtype.kind == "O":
            if not isinstance(raw, list) or math.prod(_shape(shape)) != len(raw):
                raise ValueError("objects that do not fill their array")
            self.shape, self.items = _shape(shape), raw
        else:
            self.values = _from_bytes(raw, dtype.dtype, shape, "F" if fortran else "C")


def _shape(shape: Any) -> tuple[int, ...]:
    if len(shape) > 8 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a shape that no array has")
    return tuple(shape)


def _said(value: Any) -> str:
    """Text for an error. Of containers the type alone: shared parts can make them endless."""
    return repr(value)[:80] if isinstance(value, str) else type(value).__name__


def _keys(items: Any) -> Any:
    """The items, once all are plain: the hash of nested tuples can take for ever."""
    for item in items:
        if not isinstance(item, str | bytes | int | float | np.generic | None):
            raise Refused(f"it holds a key of type {type(item).__name__}")
    return items


def _from_bytes(raw: Any, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
    size = math.prod(_shape(shape))
    if not isinstance(raw, bytes | bytearray) or size * dtype.itemsize != len(raw):
        raise ValueError(f"bytes that do not fill their array of {dtype}")
    if size and not dtype.itemsize:
        raise ValueError("an array of empty text")
    values = np.frombuffer(raw, dtype, size) if size else np.zeros(0, dtype)
    # Files are read in either byte order; what is handed on is in the machine's.
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order=order)  # type: ignore[call-overload]


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    if dtype.dtype.kind == "O":
        raise Refused("it holds a scalar of Python objects")
    return _from_bytes(raw, dtype.dtype, (1,), "C")[0]


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused(f"it encodes text as {encoding!r}")
    return text.encode("latin-1")


def _reconstruct(cls: Any, *_: Any) -> _Array:
    if not isinstance(cls, _Name) or cls.name != "numpy.ndarray":
        raise Refused("it holds a subclass of numpy.ndarray")
    return _Array()


def _path(*parts: Any) -> str:
    return "/".join(_keys(parts)).replace("//", "/")


#: Every call that a file may ask for, and what happens instead of it.
_CALLS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": lambda raw, dtype, shape, order: _from_bytes(
        raw, dtype.dtype, shape, order
    ),
    "numpy.dtype": _Dtype,
    "_codecs.encode": _encode,
    "builtins.bytes": lambda: b"",  # how protocol 2 writes no bytes
    "builtins.set": lambda items=(): set(_keys(items)),
    "builtins.frozenset": lambda items=(): frozenset(_keys(items)),
    "collections.OrderedDict": lambda items=(): dict(
        zip(_keys([k for k, _ in items]), [v for _, v in items], strict=True)
    ),
    "datetime.datetime": datetime.datetime,
    "datetime.timedelta": datetime.timedelta,
    "datetime.timezone": datetime.timezone,
    **{
        f"pathlib{module}.{name}": _path
        for module in ("", "._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
}


class _OldText(bytes):
    """Text of Python 2, which may as well be an array's bytes."""


def _finish(item: Any, done: dict[int, Any], open_: set[int]) -> Any:
    """The same data with arrays in the places where they stood open."""
    if isinstance(item, _OldText):
        return item.decode("latin-1")
    if not isinstance(item, _Array | dict | list | tuple | set):
        if isinstance(item, _Name | _Dtype):
            raise Refused("it holds a name in the place of data")
        return item
    key = id(item)
    if key in done:
        return done[key]
    if key in open_:
        raise Refused("it holds a container inside itself")
    open_.add(key)
    found: Any
    if isinstance(item, dict):
        found = {_finish(k, done, open_): _finish(v, done, open_) for k, v in item.items()}
    elif isinstance(item, _Array):
        found = _finished_array(item, done, open_)
    else:
        found = type(item)(_finish(v, done, open_) for v in item)
    open_.discard(key)
    done[key] = found
    return found


def _finished_array(item: _Array, done: dict[int, Any], open_: set[int]) -> np.ndarray:
    if item.values is not None:
        return item.values
    if item.shape is None or item.items is None:
        raise ValueError("an array without values")
    filled = np.empty(len(item.items), dtype=object)
    for k, one in enumerate(item.items):
        filled[k] = _finish(one, done, open_)
    return filled.reshape(item.shape)


# -- the machine ------------------------------------------------------------------------------

_MARK = object()
_INT, _SHORT, _LONG, _DOUBLE = (struct.Struct(f) for f in ("<i", "<I", "<Q", ">d"))


class _Machine:
    """Reads the instructions of protocols 2 to 5 that data are made of."""

    def __init__(self, program: bytes) -> None:
        self.program, self.at = program, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        program, steps = self.program, _STEPS
        while True:
            code = program[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                (found,) = self.stack
                return found
            step = steps.get(code)
            if step is None:
                raise Refused(f"it uses the instruction {code:#04x}, which data have no need of")
            step(self)
            if len(self.stack) > _DEEPEST_STACK:
                raise ValueError("more open items than any array has")

    def take(self, size: int) -> bytes:
        stop = self.at + size
        if size < 0 or stop > len(self.program):
            raise ValueError(f"{size} bytes were announced and are not there")
        found = self.program[self.at : stop]
        self.at = stop
        return found

    def line(self) -> str:
        stop = self.program.index(b"\n", self.at)
        found = self.program[self.at : stop].decode("utf-8")
        self.at = stop + 1
        return found

    def to_mark(self) -> list[Any]:
        stack = self.stack
        for k in range(len(stack) - 1, -1, -1):
            if stack[k] is _MARK:
                found = stack[k + 1 :]
                del stack[k:]
                return found
        raise ValueError("no mark on the stack")

    def number(self, kind: struct.Struct) -> Any:
        return kind.unpack(self.take(kind.size))[0]

    # -- instructions -------------------------------------------------------------------------

    def memoize(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def last_container(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"{type(self.stack[-1]).__name__} in the place of a {kind.__name__}")
        return self.stack[-1]

    def append(self, items: list[Any]) -> None:
        self.last_container(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.last_container(dict)
        for key, value in zip(_keys(items[::2]), items[1::2], strict=True):
            target[key.decode("latin-1") if isinstance(key, _OldText) else key] = value

    def reduce(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or name.name not in _CALLS:
            raise Refused("it calls what is not a function of NumPy's own format")
        if type(arguments) is not tuple:
            raise TypeError("arguments that are no tuple")
        self.stack.append(_CALLS[name.name](*arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Array | _Dtype) or type(state) is not tuple:
            raise Refused(f"it sets the state of a {type(target).__name__}")
        target.build(state)

    def global_(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no text")
        self.stack.append(_Name(module, name))


def _push(read: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(read(m))


def _counted(kind: struct.Struct | None, make: Callable[[bytes], Any]) -> Callable[[Any], None]:
    """An instruction that is followed by a size and as many bytes."""
    if kind is None:
        return lambda m: m.stack.append(make(m.take(m.take(1)[0])))
    return lambda m: m.stack.append(make(m.take(m.number(kind))))


def _pair(machine: _Machine) -> list[Any]:
    value = machine.stack.pop()
    return [machine.stack.pop(), value]


def _tuple(size: int) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        stack = machine.stack
        if len(stack) < size:
            raise IndexError("an empty stack")
        stack[-size:] = [tuple(stack[-size:])]

    return step


def _stack_global(machine: _Machine) -> None:
    module, name = _pair(machine)
    machine.global_(module, name)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _integer(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


_STEPS: dict[int, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): _push(lambda m: _MARK),
    ord("0"): lambda m: m.stack.pop(),
    ord("1"): lambda m: m.to_mark(),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("J"): _push(lambda m: m.number(_INT)),
    ord("K"): _push(lambda m: m.take(1)[0]),
    ord("M"): _push(lambda m: int.from_bytes(m.take(2), "little")),
    0x8A: _counted(None, _integer),
    0x8B: _counted(_INT, _integer),
    ord("G"): _push(lambda m: m.number(_DOUBLE)),
    ord("U"): _counted(None, _OldText),
    ord("T"): _counted(_INT, _OldText),
    0x8C: _counted(None, _text),
    ord("X"): _counted(_SHORT, _text),
    0x8D: _counted(_LONG, _text),
    ord("C"): _counted(None, bytes),
    ord("B"): _counted(_SHORT, bytes),
    0x8E: _counted(_LONG, bytes),
    0x96: _counted(_LONG, bytes),
    ord(")"): _push(lambda m: ()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("t"): _push(lambda m: tuple(m.to_mark())),
    ord("]"): _push(lambda m: []),
    ord("l"): _push(lambda m: m.to_mark()),
    ord("a"): lambda m: m.append([m.stack.pop()]),
    ord("e"): lambda m: m.append(m.to_mark()),
    ord("}"): _push(lambda m: {}),
    ord("s"): lambda m: m.set_items(_pair(m)),
    ord("u"): lambda m: m.set_items(m.to_mark()),
    0x8F: _push(lambda m: set()),
    0x90: lambda m: (items := m.to_mark(), m.last_container(set).update(_keys(items))),
    0x91: _push(lambda m: frozenset(_keys(m.to_mark()))),
    ord("q"): lambda m: m.memoize(m.take(1)[0]),
    ord("r"): lambda m: m.memoize(m.number(_SHORT)),
    0x94: lambda m: m.memoize(len(m.memo)),
    ord("h"): _push(lambda m: m.memo[m.take(1)[0]]),
    ord("j"): _push(lambda m: m.memo[m.number(_SHORT)]),
    ord("c"): lambda m: m.global_(m.line(), m.line()),
    0x93: _stack_global,
    ord("R"): lambda m: m.reduce(),
    ord("b"): lambda m: m.build(),
}
