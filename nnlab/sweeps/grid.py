"""From axes to recipes: what each cell of a sweep trains, and which cells share a program.

A recipe holds only what a run reads. Cells that differ in a knob their run does not read (the
momentum of plain SGD) have the same recipe and are trained once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import prod
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import optax

from nnlab.errors import UsageError
from nnlab.models.model import Model, Settings
from nnlab.optim.transforms import l2
from nnlab.sweeps.axes import PROGRAM_KNOBS, structure, words
from nnlab.sweeps.choices import Choice, hyperparameters, is_structural, parameters
from nnlab.train.loop import Plan
from nnlab.train.task import Rule, Task, classification, regression, rule
from nnlab.types import PRNGKey

Pairs = tuple[tuple[str, Any], ...]
SETTINGS = frozenset(Settings._fields)
MOST_RUNS = 10_000_000


class Recipe(NamedTuple):
    """What one run reads, apart from its seed; hashable."""

    model: Model
    plan: Plan
    activation: tuple[Any, Pairs]
    """The activation's branch: part of the program."""
    optimizer: tuple[Any, Pairs]
    """The optimizer's branch: part of the program."""
    for_task: Pairs
    for_rule: Pairs
    start: Pairs
    """The initializers, as (knob, (function, arguments))."""

    def activation_numbers(self) -> dict[str, Any]:
        """The activation's own numbers, by its parameter names."""
        numbers = dict(self.for_task)
        return {k.partition(".")[2]: v for k, v in numbers.items() if k.startswith("activation.")}


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

    Raises UsageError where an axis, or a fixed knob that was `given`, makes no difference.
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
            yield {**knobs, **dict(zip(names, values, strict=True))}

    def is_read(name: str) -> bool:
        return any(
            recipe(model, cell) != recipe(model, {**cell, name: another(cell[name])})
            for cell in knobs_of_cells()
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
    single = (name for name, size in zip(names, sizes, strict=True) if size == 1)
    for name in (*single, *given):
        if name not in ("seed", *PROGRAM_KNOBS, *structure(model)) and not is_read(name):
            raise UsageError(f"{name} changes nothing: {unread(name, tuple(found))}; leave it out")
    return Grid({name: axes[name] for name in names}, tuple(found), grid)


def another(value: Any) -> Any:
    """A value of a knob that differs from this one."""
    if isinstance(value, Choice):
        return replace(value, function=object(), static=(), numbers=())
    return value + 1


def unread(name: str, recipes: Sequence[Recipe]) -> str:
    """Why no run reads a knob."""
    if name in SETTINGS and not any(name in r.model.knobs for r in recipes):
        return f"{words(recipes[0].model, 60)} has no {name}"
    return "no run of this sweep reads it, or its values mean the same"


def recipe(model: Model, knobs: Mapping[str, Any]) -> Recipe:
    """What a run with these knobs reads."""
    fields = {k: v for k, v in knobs.items() if k in structure(model) and k not in SETTINGS}
    if fields:
        model = replace(model, **fields)  # type: ignore[type-var]
    activation, optimizer = knobs["activation"], knobs["optimizer"]
    for_task: dict[str, Any] = {"label_smoothing": knobs["label_smoothing"]}
    if "activation" in model.knobs:
        for_task |= {f"activation.{k}": v for k, v in activation.numbers}
    for_task |= {k: knobs[k] for k in ("dropout", "batch_norm") if k in model.knobs}
    branch, for_rule = read_optimizer(optimizer, knobs)
    return Recipe(
        model=model,
        plan=Plan(**{k: knobs[k] for k in PROGRAM_KNOBS}),
        activation=activation.branch if "activation" in model.knobs else (None, ()),
        optimizer=branch,
        for_task=tuple(sorted(for_task.items())),
        for_rule=tuple(sorted(for_rule.items())),
        start=tuple(
            (k, (knobs[k].function, knobs[k].static + knobs[k].numbers))
            for k in ("init", "bias_init")
            if k in model.knobs
        ),
    )


def read_optimizer(choice: Choice, knobs: Mapping[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """An optimizer's branch and numbers: its own arguments first, then knobs of the same name.

    Weight decay goes to optimizers that have their own; for the others it is an L2 penalty.
    """
    parameters = hyperparameters(choice.function, "optimizer")
    given = dict(choice.static + choice.numbers)
    given = {k: knobs[k] for k in parameters if k in knobs and k not in given} | given
    missing = [k for k, p in parameters.items() if p.default is p.empty and k not in given]
    if missing:
        raise UsageError(
            f"optimizer {choice.label} needs {missing[0]}; set it as a knob, or give it a default"
        )
    static = tuple(sorted((k, int(v)) for k, v in given.items() if is_structural(parameters[k])))
    numbers = {k: v for k, v in given.items() if not is_structural(parameters[k])}
    if "weight_decay" not in parameters:
        numbers["l2"] = knobs.get("weight_decay", 0.0)
    return (choice.function, static), numbers


def build_task(recipe: Recipe, classes: int) -> Task:
    """The forward half of a recipe's segment."""

    def apply(params, stats, x, numbers, key):
        return recipe.model.apply(params, stats, x, run_settings(recipe, numbers), key)

    return classification(apply) if classes else regression(apply)


def run_settings(recipe: Recipe, numbers: Mapping[str, Any]) -> Settings:
    """What a model reads in a run whose task has these numbers."""
    function, static = recipe.activation
    read = {k: numbers[k] for k in ("dropout", "batch_norm") if k in numbers}
    if function is None:
        return Settings(**read)
    own = {k.partition(".")[2]: v for k, v in numbers.items() if k.startswith("activation.")}
    return Settings(activation=partial(function, **dict(static), **own), **read)


def build_rule(recipe: Recipe) -> Rule:
    """The backward half of a recipe's segment: the L2 penalty, then the optimizer."""
    constructor, static = recipe.optimizer
    asks_key = "key" in {p.name for p in parameters(constructor)}

    def transform(numbers: Mapping[str, Any], key: PRNGKey) -> optax.GradientTransformation:
        own = {k: v for k, v in numbers.items() if k != "l2"}
        optimizer = constructor(**dict(static), **own, **({"key": key} if asks_key else {}))
        return optax.chain(l2(numbers["l2"]), optimizer) if "l2" in numbers else optimizer

    return rule(transform)


def start_settings(recipe: Recipe, batch_norm: bool) -> Settings:
    """What a model needs to draw a recipe's initial parameters."""
    function, static = recipe.activation
    chosen = {k: make(**dict(arguments)) for k, (make, arguments) in recipe.start}
    if function is not None:
        own = recipe.activation_numbers()
        chosen["activation"] = partial(function, **dict(static), **own)
    return Settings(**chosen, batch_norm=True if batch_norm else None)


def fill(
    rows: Iterable[Pairs], defaults: Mapping[str, Any], without: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Rows of numbers with the same names in each: those missing take the function's default."""
    read = [{k: v for k, v in row if k not in without} for row in rows]
    names = sorted({name for row in read for name in row})

    def default(name: str) -> Any:
        value = defaults.get(name)
        if not isinstance(value, Real):
            raise UsageError(
                f"{name} is set for some values of an axis and has no numeric default; "
                "set it for all of them"
            )
        return value

    return [{k: row[k] if k in row else default(k) for k in names} for row in read]
