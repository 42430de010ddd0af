"""Knobs and axes: what may be swept, and what the words and numbers a person writes mean."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass, replace
from itertools import islice
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import optax

from nnlab.errors import UsageError, unknown
from nnlab.models.model import Model
from nnlab.optim.checks import number
from nnlab.sweeps.choices import (
    FLOAT32,
    TABLES,
    Choice,
    fits_float32,
    hyperparameters,
    is_structural,
    resolve,
)
from nnlab.sweeps.labels import label, words
from nnlab.train.loop import PRECISIONS

DEFAULTS: dict[str, Any] = {
    "init": "he",
    "bias_init": "zeros",
    "activation": "relu",
    "optimizer": "adam",
    "transform": "none",
    "schedule": "constant",
    "learning_rate": 1e-3,
    "dropout": 0.0,
    "batch_norm": False,
    "label_smoothing": 0.0,
    "batch_size": 100,
    "epochs": 15,
    "precision": "float32",
    "reshuffle": True,
    "draw": 0,
    "seed": 0,
}
"""The knobs of a sweep with the values they have when nobody sets them.

Two are not here. The loss is the data's: cross-entropy for classes, squared error for numbers.
Weight decay, unless it is set, is an optimizer's own default.
"""
CONFIG = "config"
"""The axis whose values are dictionaries of knobs that change together."""

RANGES = {
    "learning_rate": (lambda v: v > 0, "a number above 0"),
    "weight_decay": (lambda v: v >= 0, "a number of 0 or more"),
    "dropout": (lambda v: 0 <= v < 1, "a probability from 0 up to, not including, 1"),
    "label_smoothing": (lambda v: 0 <= v < 1, "a number from 0 up to, not including, 1"),
}
WHOLE = {
    "batch_size": range(1, 2**31), "epochs": range(1, 2**31), "seed": range(2**32),
    "draw": range(2**31),
}  # fmt: skip
FLAGS = ("batch_norm", "reshuffle")
MOST_VALUES = 1_000_000
PROGRAM_KNOBS = ("batch_size", "epochs", "precision", "reshuffle")
"""Knobs that shape the program itself: each value is a group of its own."""


def log_space(low: float, high: float, count: int) -> np.ndarray:
    """`count` numbers from low to high at equal ratios, rounded to six digits."""
    numbers = all(isinstance(end, Real) and isfinite(end) for end in (low, high))
    if not numbers or not 0 < low <= high:
        turned = numbers and 0 < high < low
        hint = f"{high}..{low}" if turned else "1e-4..1, or in a shell 0..1:5:linear"
        raise UsageError(f"a log range needs 0 < low <= high, got {low}..{high}; try {hint}")
    check_count(count)
    return np.array([float(f"{v:.6g}") for v in np.geomspace(low, high, count)])


def check_count(count: Any) -> None:
    """Raise UsageError for a number of values that is not whole, below 1 or absurd."""
    if not isinstance(count, int | np.integer) or not 1 <= count <= MOST_VALUES:
        raise UsageError(
            f"a range needs from 1 to {MOST_VALUES:,} values, got {count}; try 1e-4..1:5"
        )


def structure(model: Model) -> tuple[str, ...]:
    """The fields of a model that a sweep may vary, each value a program of its own."""
    return tuple(f.name for f in fields(model)) if is_dataclass(model) else ()


def known_knobs(model: Model, optimizers: Iterable[Choice]) -> set[str]:
    """Every name an axis may have for this model and these optimizers."""
    names = {*DEFAULTS, "loss", "weight_decay", *structure(model)}
    for choice in optimizers:
        names |= set(hyperparameters(choice.function, "optimizer"))
    return names


def read_axes(
    model: Model, axes: Mapping[str, Any], among: Sequence[Choice] = ()
) -> dict[str, list[Any]]:
    """The axes with every value checked and every name resolved.

    Their hyperparameters may belong to any optimizer `among` those given, by default the axes' own.
    Raises UsageError for an unknown knob, an empty axis, a repeated or impossible value.
    """
    read: dict[str, list[Any]] = {}
    ordered = sorted(axes, key=lambda name: name != "optimizer")
    for name in ordered:
        if name == CONFIG:
            read[name] = read_configs(model, axes[name], set(axes), read.get("optimizer"))
            continue
        values = values_of(name, axes[name])
        optimizers = among or read.get("optimizer") or default_optimizers(axes)
        known = known_knobs(model, optimizers)
        if name not in known:
            raise _unknown_knob(name, known, optimizers)
        read[name] = [check_value(name, value, model) for value in values]
        if name not in (*DEFAULTS, "loss", "weight_decay", *structure(model)):
            for value in read[name]:
                check_kind(name, value, optimizers)
        counted = Counter(label(value) for value in read[name])
        repeated = [str(x) for x, count in counted.items() if count > 1]
        if repeated:
            functions = "; name functions: {'mine': function, ...}" if name in TABLES else ""
            raise UsageError(
                f"axis {name} repeats {', '.join(repeated[:5])}; give each value once{functions}"
            )
    return {name: read[name] for name in axes}


def default_optimizers(axes: Mapping[str, Any]) -> list[Choice]:
    """The optimizers of a sweep that has no axis of them: those of its configs, or the default."""
    configs = axes.get(CONFIG, ())
    named = [c["optimizer"] for c in configs if isinstance(c, Mapping) and "optimizer" in c]
    return [resolve("optimizer", value) for value in named or [DEFAULTS["optimizer"]]]


def read_configs(
    model: Model, configs: Any, others: Set[str], optimizers: Sequence[Choice] | None
) -> list[dict[str, Any]]:
    """The values of the axis "config": dictionaries of the same knobs, each checked."""
    needs = "axis config needs a list of dictionaries of knobs, as [{'learning_rate': 0.1}, ...]"
    if not isinstance(configs, Sequence) or not all(isinstance(c, Mapping) for c in configs):
        raise UsageError(f"{needs}; got {words(configs, 60)}")
    if not configs or not configs[0]:
        raise UsageError(f"{needs}; got none")
    names = list(configs[0])
    for config in configs:
        if set(config) != set(names):
            raise UsageError(
                f"the configs of a sweep set the same knobs; one sets {', '.join(names)}, "
                f"another {', '.join(map(str, config)) or 'none'}"
            )
    twice = [name for name in names if name in others or name in ("seed", CONFIG)]
    if twice:
        raise UsageError(f"{twice[0]} is in config and an axis or fixed as well; give it once")
    among = optimizers or default_optimizers({CONFIG: configs})
    found = []
    for config in configs:
        own = read_axes(model, {name: [value] for name, value in config.items()}, among)
        found.append({name: own[name][0] for name in names})
    return found


def _unknown_knob(name: str, known: set[str], optimizers: Sequence[Choice]) -> UsageError:
    owners = [
        o for o, make in TABLES["optimizer"].items() if name in hyperparameters(make, "optimizer")
    ]
    if owners:
        chosen = ", ".join(dict.fromkeys(choice.label for choice in optimizers))
        return UsageError(
            f"{name} does nothing for optimizer {chosen}; it belongs to {', '.join(owners[:6])}"
        )
    return unknown("knob", name, known)


def values_of(name: str, values: Any) -> list[Any]:
    """An axis as a list: a sequence of values, a {label: function} mapping, or one value."""
    if isinstance(values, Set):
        raise UsageError(f"axis {name} is a set, which has no order; give a list")
    if isinstance(values, Mapping):
        values = [{key: value} for key, value in values.items()]
    elif hasattr(values, "__array__"):
        values = np.atleast_1d(np.asarray(values)).tolist()
    elif isinstance(values, str | optax.GradientTransformation) or not isinstance(values, Iterable):
        values = [values]
    values = list(islice(values, MOST_VALUES + 1))
    if len(values) > MOST_VALUES:
        raise UsageError(f"axis {name} has more than {MOST_VALUES:,} values; give fewer")
    if not values:
        raise UsageError(f"axis {name} has no values; give one or more, or leave the axis out")
    return values


def check_value(name: str, value: Any, model: Model) -> Any:
    """One value of a knob, as nnlab uses it."""
    if name in TABLES:
        return resolve(name, value)
    if hasattr(value, "__array__") and np.ndim(value) == 0:
        value = np.asarray(value).item()
    if name in WHOLE:
        return whole(name, value, WHOLE[name])
    if name in FLAGS:
        return _flag(name, value)
    if name == "precision":
        if not isinstance(value, str) or value not in PRECISIONS:
            raise unknown(name, value, PRECISIONS)
        return value
    if name in structure(model) and name not in DEFAULTS:
        value = tuple(value) if isinstance(value, list | tuple) else value
        return getattr(replace(model, **{name: value}), name)  # type: ignore[type-var]
    return _number(name, value)


def whole(name: str, value: Any, allowed: range) -> int:
    """A whole number in a range, or the error that says so."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        low, high = allowed[0], allowed[-1]
        raise UsageError(
            f"{name} needs a whole number from {low} to {high}, got {words(value, 60)}; "
            f"try {DEFAULTS.get(name, max(low, 1))}"
        )
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is on or off, got {words(value, 60)}; try [False, True]")
    return value


def _number(name: str, value: Any) -> float | bool:
    inside, needed = RANGES.get(name, (lambda _: True, FLOAT32))
    if isinstance(value, bool) and name not in RANGES:
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or not fits_float32(float(value)):
        raise UsageError(
            f"{name} needs {FLOAT32}, got {words(value, 60)}; try {DEFAULTS.get(name, 0.5)}"
        )
    number(name, value)
    if not inside(value):
        raise UsageError(f"{name} needs {needed}, got {value:g}; try {DEFAULTS.get(name, 0):g}")
    return float(value)


def check_kind(name: str, value: Any, optimizers: Iterable[Choice]) -> None:
    """Raise UsageError for a switch where optimizers have a number, or a part of a whole number."""
    all_known = (hyperparameters(choice.function, "optimizer") for choice in optimizers)
    asked = [known[name] for known in all_known if name in known]
    if any(map(is_structural, asked)):
        if isinstance(value, bool) or value != int(value):
            raise UsageError(f"{name} needs a whole number, got {value}; try {int(value) or 1}")
    elif asked and isinstance(value, bool) != any(isinstance(p.default, bool) for p in asked):
        needs = "needs a number" if isinstance(value, bool) else "is on or off"
        example = asked[0].default if isinstance(asked[0].default, Real) else 0.5
        raise UsageError(f"{name} {needs}, got {value}; try {example}")
