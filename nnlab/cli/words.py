"""What the words on the command line, or in a TOML file, mean."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.sweeps.axes import FLAGS, WHOLE, check_count, log_space
from nnlab.sweeps.choices import TABLES
from nnlab.sweeps.space import Range

SEPARATORS = re.compile(r",(?![^(]*\))")
RANGE = re.compile(r"^([^.].*?)\.\.(.+?):(\d+)(:linear)?$")
SPAN = re.compile(r"^([^.].*?)\.\.([^:]+)(:linear)?$")
LAYERS = ("channels", "hidden")
"""Knobs whose values are lists of sizes."""
MOST_LAYERS = 99
ON_OFF = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def split(text: str) -> list[str]:
    """Cut at commas outside parentheses: 'normal(0.1),he' has two parts."""
    return [part.strip() for part in SEPARATORS.split(text) if part.strip()]


def values(knob: str, text: Any) -> list[Any]:
    """The values of a knob as written: '1e-4..1:8', 'on,off', '5x100,256-256', 'sgd,adam:0.8'.

    What is not a string (a TOML number or list) is taken as it is, its strings read.
    """
    if isinstance(text, list):
        check_nets(knob, text)
        return [
            v for item in text for v in ([item] if isinstance(item, list) else values(knob, item))
        ]
    if knob in LAYERS and isinstance(text, int | float):
        text = str(text)
    if not isinstance(text, str):
        return [text]
    read = reader(knob)
    return [value for part in split(text) for value in read(knob, part)]


def check_nets(knob: str, listed: list[Any]) -> None:
    """Raise UsageError for [10, 10], two equal networks of one layer, where one of two is meant."""
    if knob in LAYERS and any(type(n) is int and listed.count(n) > 1 for n in listed):
        raise UsageError(
            f"{knob} = {listed} lists networks of one layer, some of them twice; "
            f"one network of {len(listed)} layers is [{listed}]"
        )


def reader(knob: str) -> Callable[[str, str], list[Any]]:
    """How one part of a knob's text is read."""
    if knob in TABLES or knob == "precision":
        return lambda _, part: [part]
    return sizes if knob in LAYERS else switch if knob in FLAGS else numbers


def numbers(knob: str, part: str) -> list[Any]:
    """One number, or a range 'low..high:count', log-spaced unless it ends in ':linear'."""
    if ".." in part:
        match = RANGE.match(part)
        if match is None:
            raise UsageError(f"--{option(knob)} {part!r} is no range; write 1e-4..1:8")
        low, high = number(knob, match[1]), number(knob, match[2])
        count, linear = int(match[3]), match[4]
        check_count(count)
        spaced = np.linspace(low, high, count) if linear else log_space(low, high, count)
        read = [float(f"{v:.6g}") for v in spaced]
        return [round(v) for v in read] if knob in WHOLE else read
    if part.lower() in ON_OFF:
        return switch(knob, part)
    return [number(knob, part)]


def span(knob: str, text: str) -> Range | None:
    """A range to draw from, 'low..high', log-uniform unless it ends in ':linear'; None for else.

    With a count, '1e-4..1:8', it is a list of values.
    """
    match = SPAN.match(text.strip())
    if match is None or knob in TABLES:
        return None
    if "," in text:
        raise UsageError(
            f"--{option(knob)} {text!r} mixes a range with other values; give one range, or a list"
        )
    if knob in WHOLE or knob in LAYERS:
        raise UsageError(f"--{option(knob)} {text!r}: whole numbers need a list, as 10,20,50")
    low, high = number(knob, match[1]), number(knob, match[2])
    if low > high:
        came, turned = (f"{a}..{b}" for a, b in ((match[1], match[2]), (match[2], match[1])))
        raise UsageError(
            f"--{option(knob)}: a range needs low < high, got {came}; try {turned}{match[3] or ''}"
        )
    try:
        return Range(low, high, log=not match[3])
    except UsageError as error:
        raise UsageError(f"--{option(knob)}: {error}") from None


def number(knob: str, word: str) -> int | float:
    """A whole number if it looks like one, else a float."""
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        needed, example = "numbers", "0.01, 0.001,0.01 or 1e-4..1:8"
        if knob in (*WHOLE, "seeds"):
            needed, example = "whole numbers", "3 or 0,7" if knob == "seeds" else "10 or 10,20,50"
        raise UsageError(f"--{option(knob)} needs {needed}, got {word!r}; try {example}") from None


def switch(knob: str, part: str) -> list[bool]:
    """On or off."""
    if part.lower() not in ON_OFF:
        raise UsageError(f"--{option(knob)} takes on, off or on,off, got {part!r}")
    return [ON_OFF[part.lower()]]


def sizes(knob: str, part: str) -> list[tuple[int, ...]]:
    """Layers' sizes: '5x100' is five layers of 100, '512-256' two layers, hidden 'linear' none."""
    none = ["linear"] if knob == "hidden" else []
    if part in none:
        return [()]
    layers: list[int] = []
    for word in part.split("-"):
        match = re.fullmatch(r"(?:([1-9]\d*)x)?(\d+)", word)
        if match is None:
            written = " or ".join(["5x100", "512-256", *none])
            raise UsageError(f"--{option(knob)} {part!r} is no list of layers; write {written}")
        many, size = int(match[1] or 1), int(match[2])
        if many > MOST_LAYERS:
            raise UsageError(
                f"--{option(knob)} {part!r} asks for {many} layers of {size}, and {MOST_LAYERS} "
                f"is the most; ten layers of 100 are 10x100"
            )
        layers += [size] * many
    return [tuple(layers)]


def seeds(text: Any) -> Sequence[int]:
    """How many seeds: '3' is 0, 1, 2; a list names them: '3,7', or [3] in TOML."""
    parts = split(text) if isinstance(text, str) else text if isinstance(text, list) else [text]
    found = [number("seeds", part) if isinstance(part, str) else part for part in parts]
    many = len(found) == 1 and not isinstance(text, list)
    if not all(type(n) is int and n >= 0 for n in found) or not found or (many and found == [0]):
        raise UsageError(f"--seeds needs how many (1 or more) or a list of seeds, got {text!r}")
    named = [int(n) for n in found]
    return range(named[0]) if many else named


def option(knob: str) -> str:
    """A knob's name as an option."""
    return knob.replace("_", "-")
