"""The border where names become functions: 'normal(0.01)', 'adam:beta1=0.8', your own function.

Inside nnlab functions are passed; only here are they looked up. A choice keeps apart what decides
the program (the function and its structural arguments) and what it takes as data (its numbers).
"""

import inspect
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import Any, get_args

import jax
import numpy as np
import optax

from nnlab.errors import UsageError, name_of, unknown
from nnlab.models.pretraining import FROM_DATA
from nnlab.nn.activations import ACTIVATIONS
from nnlab.nn.initializers import INITIALIZERS
from nnlab.nn.losses import LOSSES
from nnlab.nn.metrics import METRICS
from nnlab.optim import OPTIMIZERS
from nnlab.optim.around import TRANSFORMS
from nnlab.optim.schedules import SCHEDULES, Count, with_boundaries
from nnlab.optim.sgd import sgd

TABLES: dict[str, Mapping[str, Callable[..., Any]]] = {
    "init": {**INITIALIZERS, **FROM_DATA},
    "bias_init": INITIALIZERS,
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "transform": TRANSFORMS,
    "loss": LOSSES,
    "metric": {name: f for name, f in METRICS.items() if name != "accuracy"},
}
"""What is chosen by name, knobs but for the metric, with the names there are."""

DATA_ARGUMENTS = {"activation": 1, "transform": 1, "loss": 2, "metric": 2}
"""Leading parameters that are data, not hyperparameters: an activation's x."""
FROM_THE_RUN: dict[str, dict[str, Any]] = {
    "optimizer": {"learning_rate": 1.0, "key": None},
    "schedule": {"value": 1.0, "peak": 1.0, "steps": 1.0},
    "transform": {"optimizer": sgd(1.0), "learning_rate": 1.0, "key": None},
}
"""Parameters that the run itself gives, with examples: its rate, its length, its random key."""
NOT_BY_NAME = {
    "init": {"weights", "x", "activation"},
    "schedule": {"value", "peak"},
    "transform": {"learning_rate"},
    "loss": {"smoothing"},
}
"""Parameters that are data, or knobs of their own, and are not set in parentheses."""
OTHER_NAMES = {
    "mse": "squared_error", "l2": "squared_error", "mae": "absolute_error", "l1": "absolute_error",
    "bce": "binary_cross_entropy", "softmax_cross_entropy": "cross_entropy",
    "glorot": "xavier", "kaiming": "he",
}  # fmt: skip
"""What others call what has another name here; only the hint of an unknown name reads it."""
FLOAT32 = "a finite number that float32 can hold"


@dataclass(frozen=True)
class Choice:
    """One value of a categorical knob."""

    label: str
    """As the user wrote it."""
    function: Callable[..., Any]
    static: tuple[tuple[str, Any], ...] = ()
    """Structural arguments: part of the program."""
    numbers: tuple[tuple[str, float | bool], ...] = ()
    """Numeric arguments: data of the program; those not given keep the function's defaults."""

    @property
    def branch(self) -> tuple[Callable[..., Any], tuple[tuple[str, int], ...]]:
        """What decides the program; equal branches share a segment."""
        return self.function, self.static


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters a caller may name; none for built-in functions that do not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


@cache
def hyperparameters(function: Callable[..., Any], kind: str) -> dict[str, inspect.Parameter]:
    """The named arguments a choice may set, in order: numbers and flags, not masks or keys."""
    named = parameters(function)[DATA_ARGUMENTS.get(kind, 0) :]
    others = NOT_BY_NAME.get(kind, set()) | {"key"}
    return {p.name: p for p in named if takes_number(p) and p.name not in others}


def is_length(parameter: inspect.Parameter) -> bool:
    """Whether a schedule's argument is a length or a moment: in epochs when swept."""
    return parameter.annotation == Count


def takes_number(parameter: inspect.Parameter) -> bool:
    """Whether an argument is a number or flag: by its default or, if that is None, its type."""
    if parameter.default is None:
        return float in get_args(parameter.annotation)
    return parameter.default is parameter.empty or isinstance(parameter.default, Real)


def is_structural(parameter: inspect.Parameter) -> bool:
    """Whether an argument decides the program: nnlab annotates those as int."""
    return parameter.annotation is int or parameter.annotation == "int"


def resolve(kind: str, value: Any) -> Choice:
    """A knob's value as a choice: a name with arguments, a function, or {label: either}."""
    if isinstance(value, Choice):
        return value
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise UsageError(
                f"{kind} takes one {{label: function}} per value, got {len(value)} labels; "
                "write them as separate values of the axis"
            )
        ((label, inner),) = value.items()
        choice = resolve(kind, inner)
        return Choice(str(label), choice.function, choice.static, choice.numbers)
    if isinstance(value, str):
        return parse(kind, value)
    if kind == "optimizer" and isinstance(value, optax.GradientTransformation):
        return Choice("optax transformation", fixed(value))
    if not callable(value):
        raise UsageError(
            f"{kind} takes a name, a function or {{label: function}}, got {value!r}; "
            f"try {next(iter(TABLES[kind]))!r}"
        )
    name = name_of(value)
    if not isinstance(value, Hashable):
        raise UsageError(f"{kind} {name} cannot be hashed; give a plain function")
    if kind.endswith("init") or kind == "schedule":
        return Choice(name, fixed(value))
    known, given = hyperparameters(value, kind), FROM_THE_RUN.get(kind, {})
    missing = [p.name for p in known.values() if p.default is p.empty and p.name not in given]
    if missing:
        rate = "call its rate learning_rate, " if kind == "optimizer" else ""
        raise UsageError(
            f"{kind} {name} needs {', '.join(missing)}, which a run does not have; {rate}"
            "give a default, or a function that fills it in"
        )
    return Choice(name, value)


@cache
def fixed(made: Any) -> Callable[[], Any]:
    """A ready initializer or transformation, as a constructor without arguments."""
    return lambda: made


WORD = r"[^:]*[^:\s][^:]*"
SPECIFICATION = re.compile(rf"^\s*([A-Za-z_]\w*)\s*(?:\((.*)\)|:({WORD}(?::{WORD})*))?\s*$")


def parse(kind: str, text: str) -> Choice:
    """Read 'name', 'name(0.1, b=2)' or 'name:0.1:b=2'.

    Numbers without a name fill the arguments in order, those left out that the run gives (an
    optimizer's learning rate). A piecewise schedule takes boundary=scale, in epochs.
    """
    match = SPECIFICATION.match(text)
    if match is None:
        raise UsageError(f"cannot read {kind} {text!r}; write a name, name(0.1) or name:0.1:b=2")
    name, in_parentheses, after_colon = match.groups()
    table = TABLES[kind]
    if name not in table:
        raise unknown(kind, name, table, OTHER_NAMES.get(name))
    words = (in_parentheses or "").split(",") if after_colon is None else after_colon.split(":")
    function, words = piecewise(table[name], list(filter(None, map(str.strip, words))))
    known = hyperparameters(function, kind)
    given: dict[str, float | bool | int] = {}
    free = iter(name for name in known if name not in FROM_THE_RUN.get(kind, {}))
    for word in words:
        key, equals, value = word.rpartition("=")
        key = key.strip() if equals else next(free, "")
        if key not in known:
            raise _refused(kind, text, key or word, known)
        if key in given:
            raise UsageError(f"{kind} {text!r} gives {key} twice; give it once")
        given[key] = _number(kind, text, key, value.strip(), known[key])
    static = tuple((k, v) for k, v in given.items() if is_structural(known[k]))
    numbers = tuple((k, v) for k, v in given.items() if not is_structural(known[k]))
    choice = Choice(text.strip(), function, static, numbers)
    from_run = FROM_THE_RUN.get(kind, {})
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in (*given, *from_run):
            raise UsageError(f"{kind} {text!r} needs {name}; write {function.__name__}({name}=…)")
    check(kind, choice)
    return choice


def piecewise(
    function: Callable[..., Any], words: list[str]
) -> tuple[Callable[..., Any], list[str]]:
    """A piecewise schedule with as many boundaries as are written, and its words without '='."""
    if "boundaries" not in {p.name for p in parameters(function)}:
        return function, words
    pairs = [word.split("=") for word in words if word[:1].isdigit() and "=" in word]
    rest = [word for word in words if not (word[:1].isdigit() and "=" in word)]
    if not pairs:
        raise UsageError(
            f"schedule {function.__name__} needs boundaries; "
            f"write epoch=scale: {function.__name__}:5=0.1:10=0.1"
        )
    return with_boundaries(function, len(pairs)), [w for pair in pairs for w in pair] + rest


def check(kind: str, choice: Choice) -> None:
    """Let the function refuse its own arguments while they are still Python numbers."""
    arguments = dict(choice.static + choice.numbers)
    if kind == "schedule":
        check_schedule(choice, arguments)
    if not arguments or kind in ("loss", "metric") or choice.function in FROM_DATA.values():
        return
    if kind == "activation":
        pieces = arguments.get("pieces", 1)
        if pieces < 1:
            raise UsageError(f"activation {choice.label!r}: pieces counts from 1, got {pieces}")
        return
    needed = {p.name for p in parameters(choice.function)}
    from_run = {k: v for k, v in FROM_THE_RUN.get(kind, {}).items() if k in needed}
    if "key" in from_run:
        from_run["key"] = jax.random.key(0)
    try:
        choice.function(**from_run | arguments)
    except UsageError as error:
        raise UsageError(f"{kind} {choice.label!r}: {error}") from None


def check_schedule(choice: Choice, arguments: Mapping[str, Any]) -> None:
    """Every number of a schedule is at least 0, a number of cycles at least 1."""
    known = hyperparameters(choice.function, "schedule")
    for name, value in arguments.items():
        least = 1 if is_structural(known[name]) else 0
        if value < least:
            raise UsageError(
                f"schedule {choice.label!r}: {name} needs {least} or more, got {value:g}"
            )


def fits_float32(value: float) -> bool:
    """Whether float32, in which runs compute, can hold a number other than as 0 or inf."""
    known = np.finfo(np.float32)
    return value == 0 or float(known.tiny) <= abs(value) <= float(known.max)


def _refused(kind: str, text: str, word: str, known: Mapping[str, Any]) -> UsageError:
    takes = f"takes {', '.join(f'{k}=…' for k in known)}" if known else "takes no arguments"
    name = text.strip().split("(")[0].split(":")[0]
    return UsageError(f"{kind} {text!r}: {word!r} does not fit; {name} {takes}")


def _number(kind: str, text: str, key: str, word: str, parameter: inspect.Parameter) -> Any:
    if word.lower() in {"true", "false"}:
        return word.lower() == "true"
    try:
        value = int(word) if is_structural(parameter) else float(word)
    except ValueError:
        needed = "a whole number" if is_structural(parameter) else "a number, true or false"
        raise UsageError(f"{kind} {text!r}: {key} needs {needed}, got {word!r}") from None
    if not fits_float32(value):
        raise UsageError(f"{kind} {text!r}: {key} needs {FLOAT32}, got {word}")
    return value
