"""Knobs and axes: what may be swept, and what the words and numbers a person writes mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np
import optax

from nnlab.errors import UsageError, unknown
from nnlab.models.model import Model, Settings
from nnlab.optim.checks import number
from nnlab.sweeps.choices import TABLES, Choice, hyperparameters, resolve

DEFAULTS: dict[str, Any] = {
    "init": "he",
    "bias_init": "zeros",
    "activation": "relu",
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "batch_norm": False,
    "label_smoothing": 0.0,
    "batch_size": 100,
    "epochs": 15,
    "seed": 0,
}
"""Every knob of a sweep with the value it has when nobody sets it."""

RANGES = {
    "learning_rate": (lambda v: v > 0, "a number above 0"),
    "weight_decay": (lambda v: v >= 0, "a number of 0 or more"),
    "dropout": (lambda v: 0 <= v < 1, "a probability from 0 up to, not including, 1"),
    "label_smoothing": (lambda v: 0 <= v < 1, "a number from 0 up to, not including, 1"),
}
WHOLE = {"batch_size": 1, "epochs": 1, "seed": 0}
PROGRAM_KNOBS = ("batch_size", "epochs")
"""Knobs that shape the program itself: each value is a group of its own."""


def log_space(low: float, high: float, count: int) -> np.ndarray:
    """`count` numbers from low to high at equal ratios, rounded to six digits."""
    if not (isfinite(low) and isfinite(high) and 0 < low <= high):
        raise UsageError(f"a log range needs 0 < low <= high, got {low:g}..{high:g}; try 1e-4..1")
    if count < 1:
        raise UsageError(f"a range needs 1 or more values, got {count}; try {low:g}..{high:g}:5")
    return np.array([float(f"{v:.6g}") for v in np.geomspace(low, high, count)])


def structure(model: Model) -> tuple[str, ...]:
    """The fields of a model that a sweep may vary, each value a program of its own."""
    return tuple(f.name for f in fields(model)) if is_dataclass(model) else ()


def known_knobs(model: Model, optimizers: Iterable[Choice]) -> set[str]:
    """Every name an axis may have for this model and these optimizers."""
    names = set(DEFAULTS) | set(structure(model))
    for choice in optimizers:
        names |= set(hyperparameters(choice.function, "optimizer"))
    return names


def read_axes(model: Model, axes: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The axes with every value checked and every name resolved.

    Raises UsageError for an unknown knob, an empty axis, a repeated or impossible value.
    """
    read: dict[str, list[Any]] = {}
    ordered = sorted(axes, key=lambda name: name != "optimizer")
    for name in ordered:
        values = values_of(name, axes[name])
        optimizers = read.get("optimizer") or [resolve("optimizer", DEFAULTS["optimizer"])]
        known = known_knobs(model, optimizers)
        if name not in known:
            raise _unknown_knob(name, known, optimizers)
        if name in Settings._fields and name not in model.knobs:
            raise UsageError(
                f"{name} does nothing: {type(model).__name__} has no {name}; leave it out"
            )
        read[name] = [check_value(name, value, model) for value in values]
        labels = [label(value) for value in read[name]]
        repeated = sorted({str(x) for x in labels if labels.count(x) > 1})
        if repeated:
            raise UsageError(f"axis {name} repeats {', '.join(repeated)}; give each value once")
    return {name: read[name] for name in axes}


def _unknown_knob(name: str, known: set[str], optimizers: Sequence[Choice]) -> UsageError:
    owners = [o for o, make in TABLES["optimizer"].items() if name in hyperparameters(make, "optimizer")]
    if owners:
        chosen = ", ".join(choice.label for choice in optimizers)
        return UsageError(
            f"{name} does nothing for optimizer {chosen}; "
            f"it belongs to {', '.join(owners[:6])}"
        )
    return unknown("knob", name, known)


def values_of(name: str, values: Any) -> list[Any]:
    """An axis as a list: a sequence of values, a {label: function} mapping, or one value."""
    if isinstance(values, Mapping):
        values = [{key: value} for key, value in values.items()]
    elif isinstance(values, np.ndarray):
        values = values.tolist()
    elif isinstance(values, str | optax.GradientTransformation) or not isinstance(values, Iterable):
        values = [values]
    values = list(values)
    if not values:
        raise UsageError(f"axis {name} has no values; give one or more, or leave the axis out")
    return values


def check_value(name: str, value: Any, model: Model) -> Any:
    """One value of a knob, as nnlab uses it."""
    if name in TABLES:
        return resolve(name, value)
    if name in WHOLE:
        return _whole(name, value, WHOLE[name])
    if name == "batch_norm":
        return _flag(name, value)
    if name in structure(model) and name not in DEFAULTS:
        return tuple(value) if isinstance(value, list | tuple) else value
    return _number(name, value)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name} needs a whole number of {least} or more, got {value!r}")
    return int(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{name} is on or off, got {value!r}; try [False, True]")
    return bool(value)


def _number(name: str, value: Any) -> float | bool:
    if isinstance(value, bool | np.bool_):
        if name in RANGES:
            raise UsageError(f"{name} needs {RANGES[name][1]}, got {value!r}")
        return bool(value)
    if not isinstance(value, int | float | np.number) or not isfinite(float(value)):
        raise UsageError(f"{name} needs a finite number, got {value!r}")
    number(name, value)
    inside, needed = RANGES.get(name, (lambda _: True, ""))
    if not inside(value):
        raise UsageError(f"{name} needs {needed}, got {value:g}")
    return float(value)


def label(value: Any) -> Any:
    """The coordinate a value has on its axis."""
    if isinstance(value, Choice):
        return value.label
    if isinstance(value, tuple):
        return size_label(value) if all(isinstance(v, int) for v in value) else str(value)
    return value


def size_label(sizes: Sequence[int]) -> str:
    """Hidden sizes in words: (100, 100, 50) is '2x100-50', () is 'linear'."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][1] == size:
            runs[-1][0] += 1
        else:
            runs.append([1, size])
    return "-".join(f"{n}x{size}" if n > 1 else str(size) for n, size in runs) or "linear"
