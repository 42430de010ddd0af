"""From axes to cells: every combination of values, and which of them need training."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.models.model import Model, reads
from nnlab.sweeps.axes import CONFIG, PROGRAM_KNOBS, structure
from nnlab.sweeps.choices import Choice
from nnlab.sweeps.labels import words
from nnlab.sweeps.recipe import FORWARD, Recipe, check_numbers, recipe

MOST_RUNS = 10_000_000


@dataclass(frozen=True)
class Grid:
    """All cells of a sweep in row-major order of its axes (the seed apart)."""

    axes: Mapping[str, Sequence[Any]]
    recipes: tuple[Recipe, ...]
    """The distinct ones."""
    cells: np.ndarray
    """[axis sizes...] -> index into recipes."""


def expand(
    model: Model,
    axes: Mapping[str, Sequence[Any]],
    knobs: Mapping[str, Any],
    given: Iterable[str] = (),
) -> Grid:
    """Every combination of the axes' values, other knobs fixed.

    A value of the axis "config" is a dictionary of several knobs that change together. Raises
    UsageError where an axis, or a fixed knob that was `given`, makes no difference, and where an
    optimizer refuses its numbers.
    """
    names = [name for name in axes if name != "seed"]
    sizes = [len(axes[name]) for name in names]
    runs = prod(sizes) * len(axes.get("seed", [0]))
    if runs > MOST_RUNS:
        raise UsageError(
            f"{runs:,} runs are more than a sweep can hold; have {MOST_RUNS:,} or fewer"
        )

    def knobs_of_cells() -> Iterator[dict[str, Any]]:
        for values in product(*(axes[name] for name in names)):
            cell = {**knobs, **dict(zip(names, values, strict=True))}
            yield {**cell, **cell.pop(CONFIG, {})}

    def is_read(name: str) -> bool:
        return any(
            recipe(model, cell) != recipe(model, {**cell, name: another(cell[name])})
            for cell in knobs_of_cells()
            if name in cell
        )

    found: dict[Recipe, int] = {}
    cells = [found.setdefault(recipe(model, cell), len(found)) for cell in knobs_of_cells()]
    grid = np.array(cells, dtype=np.int64).reshape(sizes)
    for position, name in enumerate(names):
        columns = np.moveaxis(grid, position, 0)
        if len(columns) > 1 and (columns == columns[:1]).all():
            raise UsageError(
                f"axis {name} changes nothing: {unread(name, tuple(found))}; leave it out"
            )
    single = [name for name, size in zip(names, sizes, strict=True) if size == 1]
    together = {name for config in axes.get(CONFIG, ()) for name in config}
    for name in (*single, *given, *sorted(together)):
        if name not in ("seed", CONFIG, *PROGRAM_KNOBS, *structure(model)) and not is_read(name):
            raise UsageError(f"{name} changes nothing: {unread(name, tuple(found))}; leave it out")
    for one in found:
        check_numbers(one)
    return Grid({name: axes[name] for name in names}, tuple(found), grid)


def another(value: Any) -> Any:
    """A value of a knob that differs from this one."""
    if isinstance(value, Choice):
        return replace(value, function=object(), static=(), numbers=())
    return value + 1 if value + 1 != value else value / 2


def unread(name: str, recipes: Sequence[Recipe]) -> str:
    """Why no run reads a knob."""
    if name in FORWARD and not any(name in reads(r.model) for r in recipes):
        why = "is its own loss" if name == "loss" else f"has no {name}"
        return f"{words(recipes[0].model, 60)} {why}"
    return "no run of this sweep reads it, or its values mean the same"
