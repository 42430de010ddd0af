"""How the values of a sweep read: in axes, in results, in errors."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from nnlab.errors import unknown
from nnlab.sweeps.choices import Choice


def label(value: Any) -> Any:
    """The coordinate a value has on its axis."""
    if isinstance(value, Choice):
        return value.label
    if isinstance(value, Mapping):
        return {name: label(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return size_label(value) if all(isinstance(v, int) for v in value) else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return brief(value)
    return value if isinstance(value, bool | int | float | str) else words(value)


def place_of(value: Any, labels: np.ndarray, axis: str) -> int:
    """Where among an axis's labels a value is; numbers match to a relative 1e-6."""
    value = label(value) if isinstance(value, tuple) else value
    numeric = np.issubdtype(labels.dtype, np.number) and isinstance(value, int | float | np.number)
    same = np.isclose(labels, value, rtol=1e-6, atol=0) if numeric else labels == value
    if not np.any(same):
        raise unknown(axis.replace("_", " "), value, [str(label) for label in labels])
    return int(np.flatnonzero(same)[0])


def brief(value: Any) -> str:
    """A dataclass, such as a flax module, by its name and what is not at its default."""
    shown = [f for f in fields(value) if f.repr and f.name not in ("parent", "name")]
    given = {f.name: words(getattr(value, f.name, None)) for f in shown}
    said = [f"{f.name}={given[f.name]}" for f in shown if given[f.name] != words(f.default)]
    return f"{type(value).__name__}({', '.join(said)})"


def words(value: Any, most: int | None = None) -> str:
    """A value's repr on one line, cut at `most` letters, without memory addresses."""
    text = " ".join(re.sub(r" at 0x[0-9a-f]+", "", repr(value)).split())
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def size_label(sizes: Sequence[int]) -> str:
    """Hidden sizes in words: (100, 100, 50) is '2x100-50', () is 'linear'."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][1] == size:
            runs[-1][0] += 1
        else:
            runs.append([1, size])
    return "-".join(f"{n}x{size}" if n > 1 else str(size) for n, size in runs) or "linear"
