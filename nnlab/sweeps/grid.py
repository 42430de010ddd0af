"""From axes to recipes: what each cell of a sweep trains, and which cells share a program.

A recipe holds only what a run reads. Cells that differ in a knob their run does not read (the
momentum of plain SGD) have the same recipe and are trained once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import optax

from nnlab.errors import UsageError
from nnlab.models.model import Model, Settings
from nnlab.optim.transforms import l2
from nnlab.sweeps.axes import PROGRAM_KNOBS, structure
from nnlab.sweeps.choices import Choice, hyperparameters, is_structural
from nnlab.train.loop import Plan
from nnlab.train.task import Rule, Task, classification, regression, rule

Pairs = tuple[tuple[str, Any], ...]
SETTINGS = frozenset(Settings._fields)


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


def expand(model: Model, axes: Mapping[str, Sequence[Any]], knobs: Mapping[str, Any]) -> Grid:
    """Every combination of the axes' values, other knobs fixed.

    Raises UsageError where an axis makes no difference to any run.
    """
    names = [name for name in axes if name != "seed"]
    found: dict[Recipe, int] = {}
    cells = [
        found.setdefault(recipe(model, {**knobs, **dict(zip(names, values, strict=True))}), len(found))
        for values in product(*(axes[name] for name in names))
    ]
    grid = np.array(cells, dtype=np.int64).reshape([len(axes[name]) for name in names])
    for position, name in enumerate(names):
        columns = np.moveaxis(grid, position, 0)
        if len(columns) > 1 and (columns == columns[:1]).all():
            raise UsageError(
                f"axis {name} changes nothing: no run of this sweep reads it; leave it out"
            )
    return Grid({name: axes[name] for name in names}, tuple(found), grid)


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
    static = tuple(sorted((k, int(v)) for k, v in given.items() if is_structural(parameters[k])))
    numbers = {k: v for k, v in given.items() if not is_structural(parameters[k])}
    if "weight_decay" not in parameters:
        numbers["l2"] = knobs["weight_decay"]
    return (choice.function, static), numbers


def build_task(recipe: Recipe, classes: int) -> Task:
    """The forward half of a recipe's segment."""
    function, static = recipe.activation

    def settings(numbers: Mapping[str, Any]) -> Settings:
        read = {k: numbers[k] for k in ("dropout", "batch_norm") if k in numbers}
        if function is None:
            return Settings(**read)
        own = {k.partition(".")[2]: v for k, v in numbers.items() if k.startswith("activation.")}
        return Settings(activation=partial(function, **dict(static), **own), **read)

    def apply(params, stats, x, numbers, key):
        return recipe.model.apply(params, stats, x, settings(numbers), key)

    return classification(apply) if classes else regression(apply)


def build_rule(recipe: Recipe) -> Rule:
    """The backward half of a recipe's segment: the L2 penalty, then the optimizer."""
    constructor, static = recipe.optimizer

    def transform(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
        own = {k: v for k, v in numbers.items() if k != "l2"}
        optimizer = constructor(**dict(static), **own)
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
