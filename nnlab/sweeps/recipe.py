"""What one run reads, apart from its seed.

A recipe holds only what a run reads. Cells of a sweep that differ in a knob their run does not read
(the momentum of plain SGD) have the same recipe and are trained once.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from nnlab.errors import UsageError, name_of
from nnlab.models.model import OF_LOSS, Model, Settings, draws, reads
from nnlab.optim import OPTIMIZERS
from nnlab.optim.core import Constant
from nnlab.optim.schedules import constant
from nnlab.sweeps.axes import DEFAULTS, PROGRAM_KNOBS, structure
from nnlab.sweeps.choices import (
    Choice,
    check,
    hyperparameters,
    is_length,
    is_structural,
    parameters,
)
from nnlab.train.loop import Plan

Pairs = tuple[tuple[str, Any], ...]
"""Numbers by name, sorted: a dictionary that can be hashed."""
Branch = tuple[Any, Pairs]
"""A choice's function (None: the model has no such part) and structural arguments."""
NONE: Branch = (None, ())
SETTINGS = frozenset(Settings._fields)
FORWARD = SETTINGS | OF_LOSS
"""Knobs of the forward half, which a model may read or not."""
CONSTANT: Branch = (constant, ())
NOT_OPTIMIZERS = ({*DEFAULTS, "loss"} | SETTINGS) - {"learning_rate"}
"""Knobs that are no optimizer's, even if one has an argument of that name."""


class Recipe(NamedTuple):
    """What one run reads, apart from its seed; hashable."""

    model: Model
    plan: Plan
    activation: Branch
    loss: Branch
    optimizer: Branch
    transform: Branch
    schedule: Branch
    for_task: Pairs
    for_rule: Pairs
    for_schedule: Pairs
    start: Pairs
    """The initializers, as (knob, (function, arguments))."""
    draw: int = 0
    """Which of a seed's draws of initial weights; 0 where the model draws nothing."""

    @property
    def task(self) -> tuple[Branch, Branch]:
        """What makes a task a segment of its own."""
        return self.activation, self.loss

    @property
    def rule(self) -> tuple[Branch, Branch]:
        """What makes a rule a segment of its own."""
        return self.optimizer, self.transform


def recipe(model: Model, knobs: Mapping[str, Any]) -> Recipe:
    """What a run with these knobs reads."""
    fields = {k: v for k, v in knobs.items() if k in structure(model) and k not in SETTINGS}
    if fields:
        model = replace(model, **fields)  # type: ignore[type-var]
    plan = Plan(**{k: knobs[k] for k in PROGRAM_KNOBS})
    known = reads(model)
    chosen = {k: knobs[k] for k in ("activation", "loss") if k in known}
    for_task = {k: v for kind, choice in chosen.items() for k, v in prefixed(kind, choice).items()}
    for_task |= {k: knobs[k] for k in ("dropout", "batch_norm") if k in known}
    if "loss" in chosen and "smoothing" in {p.name for p in parameters(chosen["loss"].function)}:
        for_task["label_smoothing"] = knobs["label_smoothing"]
    optimizer, for_rule = read_optimizer(knobs["optimizer"], knobs)
    schedule, for_schedule = read_schedule(knobs["schedule"], knobs["optimizer"], plan)
    return Recipe(
        model=model,
        plan=plan,
        activation=chosen["activation"].branch if "activation" in chosen else NONE,
        loss=chosen["loss"].branch if "loss" in chosen else NONE,
        optimizer=optimizer,
        transform=knobs["transform"].branch,
        schedule=schedule,
        for_task=pairs(for_task),
        for_rule=pairs(for_rule | prefixed("transform", knobs["transform"])),
        for_schedule=pairs(for_schedule),
        start=tuple(
            (k, (knobs[k].function, knobs[k].static + knobs[k].numbers))
            for k in ("init", "bias_init")
            if k in known
        ),
        draw=int(knobs["draw"]) if draws(model) else 0,
    )


def pairs(numbers: Mapping[str, Any]) -> Pairs:
    """Numbers in a form that can be hashed and compared."""
    return tuple(sorted(numbers.items()))


def prefixed(prefix: str, choice: Choice) -> dict[str, Any]:
    """A choice's numbers, under names of their own."""
    return {f"{prefix}.{name}": value for name, value in choice.numbers}


def read_optimizer(choice: Choice, knobs: Mapping[str, Any]) -> tuple[Branch, dict[str, Any]]:
    """An optimizer's branch and numbers: its own arguments first, then knobs of the same name.

    Knobs of the network and of the loop keep out: `seed` in an optimizer is its own number.
    Weight decay goes to optimizers that have their own; for the others it is an L2 penalty.
    """
    known = hyperparameters(choice.function, "optimizer")
    given = dict(choice.static + choice.numbers)
    given = {k: knobs[k] for k in known if k in knobs and k not in NOT_OPTIMIZERS} | given
    missing = [k for k, p in known.items() if p.default is p.empty and k not in given]
    if missing:
        raise UsageError(
            f"optimizer {choice.label} needs {missing[0]}; set it as a knob, or give it a default"
        )
    static = tuple(sorted((k, int(v)) for k, v in given.items() if is_structural(known[k])))
    numbers = {k: v for k, v in given.items() if not is_structural(known[k])}
    if "weight_decay" not in known:
        numbers["l2"] = knobs.get("weight_decay", 0.0)
    return (choice.function, static), numbers


def check_numbers(recipe: Recipe) -> None:
    """Let nnlab's own optimizer refuse a run's numbers, whichever knobs they come from."""
    optimizer, static = recipe.optimizer
    if optimizer in OPTIMIZERS.values():
        own = hyperparameters(optimizer, "optimizer").keys() - {"learning_rate"}  # a knob's check
        accepted(optimizer, static + tuple((k, v) for k, v in recipe.for_rule if k in own))


@cache
def accepted(optimizer: Callable[..., Any], given: Pairs) -> None:
    check("optimizer", Choice(name_of(optimizer), optimizer, numbers=given))


def read_schedule(choice: Choice, optimizer: Choice, plan: Plan) -> tuple[Branch, dict[str, Any]]:
    """A schedule's branch and numbers, lengths in epochs.

    It lasts the whole run unless it says otherwise. An optimizer without a learning rate, or that
    reads it once, has none.
    """
    rate = hyperparameters(optimizer.function, "optimizer").get("learning_rate")
    if rate is None or rate.annotation == Constant:
        return CONSTANT, {}
    name = getattr(choice.function, "__name__", "")
    known = hyperparameters(choice.function, "schedule")
    lengths = {k: p.default for k, p in known.items() if is_length(p) and p.default is not p.empty}
    if "steps" in known:
        lengths["steps"] = plan.epochs
    unset = {k: float(v) for k, v in lengths.items() if k not in dict(choice.numbers)}
    given = unset | dict(choice.numbers)
    return choice.branch, {f"{name}.{k}": v for k, v in given.items()}
