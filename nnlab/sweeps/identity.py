"""What a function is, in a few letters: the same tomorrow, another as soon as it computes another.

A directory continues only its own sweep, and two functions of one name may be two experiments. What
is taken for a function is its code, its defaults, what it closes over, and whatever its code names
in its module or in other modules of its writer's. Installed libraries stand for themselves by name.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

LETTERS = 12
PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
PYTHON = sys.stdlib_module_names - {"__main__"} | {"builtins"}
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def identity(value: Any) -> str:
    """A digest of what a value is made of, functions by what they compute."""
    digest = hashlib.sha256()
    for part in parts(value, {}):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:LETTERS]


def parts(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """What a value is made of, in order; what has been met before is named by its number."""
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
        return
    if id(value) in seen:
        yield f"again {list(seen).index(id(value))}"
        return
    seen[id(value)] = value  # kept, so that no other value gets its id
    if isinstance(value, FunctionType):
        yield from of_function(value, seen)
    elif not isinstance(value, type) and hasattr(value, "__array__") and hasattr(value, "dtype"):
        array = np.asarray(value)
        yield f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    else:
        yield f"{type(value).__name__} {full_name(value)}"
        yield from of_many(inside(value), seen)


def inside(value: Any) -> Iterable[Any]:
    """The values that a value is made of, beside its name."""
    if isinstance(getattr(value, "__wrapped__", None), FunctionType):  # as jax.jit leaves it
        return (value.__wrapped__,)
    match value:
        case type():
            return () if installed(value) else of_class(value)
        case property():
            return value.fget, value.fset
        case staticmethod() | classmethod():
            return (value.__func__,)
        case ModuleType() | BuiltinFunctionType():
            return ()
        case MethodType():
            return value.__func__, value.__self__
        case partial():
            return value.func, value.args, value.keywords
        case Mapping():
            return [x for pair in value.items() for x in pair]
        case list() | tuple():
            return value
        case set() | frozenset():
            return sorted(map(identity, value))
    return of_instance(value)


def of_instance(value: Any) -> Iterable[Any]:
    """What an instance of some class holds, and the class."""
    if of_python(type(value)):  # a logger, a path, a lock
        return () if " at 0x" in repr(value) else (repr(value),)
    if is_dataclass(value):
        return type(value), *(getattr(value, f.name) for f in own(value))
    return type(value), getattr(value, "__dict__", {})


def own(value: Any) -> list[Any]:
    """The fields of a dataclass that are its own: a flax module's parent and name are not."""
    return [f for f in fields(value) if f.name not in ("parent", "name") and hasattr(value, f.name)]


def of_many(values: Iterable[Any], seen: dict[int, Any]) -> Iterator[str]:
    """The parts of several values, between brackets."""
    yield "("
    for value in values:
        yield from parts(value, seen)
    yield ")"


def of_function(function: FunctionType, seen: dict[int, Any]) -> Iterator[str]:
    """A function by its code and all that the code reads; a library's by its name for the code."""
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # a name that has no value yet
            cells.append(None)
    yield from of_many((function.__defaults__, function.__kwdefaults__, cells), seen)
    if installed(function):
        yield full_name(function)
        return
    yield from of_code(function.__code__, function.__doc__, seen)
    names = list(dict.fromkeys(names_in(function.__code__)))
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if isinstance(value, ModuleType) and not installed(value):
            for attribute in names:
                if hasattr(value, attribute):
                    yield f"{name}.{attribute}"
                    yield from parts(getattr(value, attribute), seen)
        elif not isinstance(value, ModuleType):
            yield name
            yield from parts(value, seen)


def names_in(code: CodeType) -> Iterator[str]:
    """The names that code looks up, those of the functions inside it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def of_class(value: type) -> list[Any]:
    """What a person's class and its bases hold, by name: methods, properties, numbers."""
    own = [base for base in value.__mro__ if not installed(base)]
    return [
        (name, part)
        for base in own
        for name, part in vars(base).items()
        if not name.startswith("__") or isinstance(part, FunctionType)
    ]


def of_code(code: CodeType, doc: str | None, seen: dict[int, Any]) -> Iterator[str]:
    """Compiled code without its docstring and without the lines where it was written."""
    yield hashlib.sha256(code.co_code).hexdigest()
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from of_code(constant, None, seen)
        elif doc is None or constant != doc:
            yield from parts(constant, seen)


def full_name(value: Any) -> str:
    """The module and name of a function or class; nothing for what has none."""
    name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    return f"{getattr(value, '__module__', '')}.{name}" if isinstance(name, str) else ""


def installed(value: Any) -> bool:
    """Whether a function, class or module belongs to nnlab, an installed library or Python."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    name = name or ""
    root = name.partition(".")[0]
    if root == "nnlab" or root in PYTHON:
        return True
    path = getattr(sys.modules.get(root), "__file__", None)
    return path is not None and path.startswith(INSTALLED)


def of_python(kind: type) -> bool:
    """Whether a class belongs to Python itself."""
    return kind.__module__.partition(".")[0] in PYTHON
