"""From recipes to what a program is built of: tasks, rules, and the numbers they read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nnlab.errors import UsageError
from nnlab.models.hidden import is_random
from nnlab.models.model import Problem, Settings
from nnlab.models.pretraining import FROM_DATA
from nnlab.nn.elementwise import elementwise
from nnlab.nn.losses import LOSSES
from nnlab.nn.losses_regression import squared_error
from nnlab.nn.metrics import METRICS, accuracy
from nnlab.optim import OPTIMIZERS_SEE
from nnlab.optim.around import TRANSFORMS_SEE
from nnlab.optim.core import Sees
from nnlab.optim.transforms import l2, penalised
from nnlab.sweeps.blame import blamed, came
from nnlab.sweeps.choices import Choice, hyperparameters, is_length, parameters
from nnlab.sweeps.recipe import CONSTANT, Branch, Pairs, Recipe
from nnlab.train.task import Rule, Task, minimise, rule, supervised
from nnlab.types import Activation, Array, PRNGKey, Scalar

OF_NUMBERS = "ndcg for lists to rank, or your own: {'mine': function}; squared_error comes anyway"
Cost = Callable[..., Scalar]
"""A loss of one example: (output, target, numbers) -> scalar."""


def own(numbers: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The numbers whose names begin with 'prefix.', without it."""
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in numbers.items()
        if name.startswith(f"{prefix}.")
    }


Chosen = Callable[[Mapping[str, Any]], Activation | None]
"""The activation of a run with these numbers; None where its model has none."""


def build_task(
    recipe: Recipe,
    classes: int,
    always: frozenset[str] = frozenset(),
    activation: Chosen | None = None,
    metrics: Sequence[Choice] = (),
) -> Task:
    """The forward half of a recipe's segment: a problem's own loss, or a network's with a cost.

    The flags named by `always` are on in all its runs, whatever their numbers say; `activation`
    stands in for the recipe's own; `metrics` are measured beside the loss and the accuracy.
    """
    model = recipe.model
    if isinstance(model, Problem):
        return minimise(model.loss, model.measures)
    on = dict.fromkeys(always, True)

    def apply(params, stats, x, numbers, key):
        settings = run_settings(recipe, {**numbers, **on}, activation)
        return model.apply(params, stats, x, settings, key)

    cost = build_cost(recipe.loss, classes)

    def plain(output, target, numbers):
        return cost(output, target, {k: v for k, v in numbers.items() if k != "label_smoothing"})

    def right(output, target, numbers):
        del numbers
        return accuracy(output, target)

    def error(output, target, numbers):
        del numbers
        return squared_error(output, target.reshape(output.shape))

    common = {"accuracy": right} if classes else {"squared_error": error}
    more = {choice.label: build_metric(choice, classes) for choice in metrics}
    return supervised(apply, cost, {"loss": plain} | common | more)


def build_cost(loss: Branch, classes: int) -> Cost:
    """The loss of one example."""
    function, static = loss
    fitting = fitted(function, classes, "loss", "squared_error")

    def cost(output: Array, target: Array, numbers: Mapping[str, Any]) -> Scalar:
        more = dict(static) | own(numbers, "loss")
        if "label_smoothing" in numbers:
            more["smoothing"] = numbers["label_smoothing"]
        return function(output, fitting(output, target), **more)

    return cost


def build_metric(choice: Choice, classes: int) -> Cost:
    """A metric of one example, which reads none of a run's numbers."""
    function, more = choice.function, dict(choice.static + choice.numbers)
    fitting, what = fitted(function, classes, "metric", OF_NUMBERS), f"metric {choice.label}"

    def metric(output: Array, target: Array, numbers: Mapping[str, Any]) -> Scalar:
        del numbers
        with blamed(what):
            value = function(output, fitting(output, target), **more)
        if jnp.shape(value) != ():
            raise UsageError(f"{what} returns {came(value)} for one example; it needs one number")
        return jnp.asarray(value, jnp.float32)

    return metric


def fitted(
    function: Callable[..., Any], classes: int, kind: str, other: str
) -> Callable[[Array, Array], Array]:
    """A target as a loss or metric reads it: nnlab's of vectors get a class as a one-hot vector."""
    ours = function in (*LOSSES.values(), *METRICS.values())
    of_labels = ours and parameters(function)[1].name == "label"
    if of_labels and not classes:
        raise UsageError(
            f"{kind} {function.__name__} needs classes, and the data have numbers; try {other}"
        )
    one_hot = classes and ours and not of_labels

    def fitting(output: Array, target: Array) -> Array:
        if one_hot:
            return jax.nn.one_hot(target, classes, dtype=output.dtype)
        return target if classes else target.reshape(output.shape)

    return fitting


def activation_of(recipe: Recipe) -> Chosen:
    """A recipe's activation, which reads its own of the numbers there are."""
    function, static = recipe.activation
    known = {p.name for p in parameters(function)} if function is not None else set()

    def chosen(numbers: Mapping[str, Any]) -> Activation | None:
        if function is None:
            return None
        read = {k: v for k, v in own(numbers, "activation").items() if k in known}
        return partial(function, **dict(static), **read)

    return chosen


@lru_cache(maxsize=256)
def takes_turns(recipe: Recipe) -> bool:
    """Whether a recipe's activation may take turns with others in what is compiled for one."""
    activation = activation_of(recipe)(dict(recipe.for_task))
    return activation is not None and elementwise(activation) and not is_random(activation)


def run_settings(
    recipe: Recipe, numbers: Mapping[str, Any], activation: Chosen | None = None
) -> Settings:
    """What a model reads in a run whose task has these numbers; `activation` as in `build_task`."""
    read = {k: numbers[k] for k in ("dropout", "batch_norm") if k in numbers}
    of_activation = {k: v for k, v in numbers.items() if k.startswith("activation.")}
    chosen = (activation or activation_of(recipe))(of_activation)
    return Settings(**read) if chosen is None else Settings(activation=chosen, **read)


def start_settings(recipe: Recipe, batch_norm: bool) -> Settings:
    """What a model needs to draw a recipe's initial parameters."""
    function, static = recipe.activation
    chosen = {
        k: make(**dict(arguments))
        for k, (make, arguments) in recipe.start
        if make not in FROM_DATA.values()
    }
    if function is not None:
        numbers = own(dict(recipe.for_task), "activation")
        chosen["activation"] = partial(function, **dict(static), **numbers)
    return Settings(**chosen, batch_norm=True if batch_norm else None)


def build_rule(recipe: Recipe, schedules: Sequence[Branch], steps_per_epoch: int) -> Rule:
    """The backward half of a recipe's segment: L2 penalty, optimizer, what stands around it.

    The learning rate at each step is the run's own times the factor of its schedule.
    """
    make, static = recipe.optimizer
    around, fixed = recipe.transform

    def transform(
        numbers: Mapping[str, Any], key: PRNGKey, step: Array
    ) -> optax.GradientTransformation:
        mine = {k: v for k, v in numbers.items() if "." not in k and k not in ("l2", "schedule")}
        if "learning_rate" in mine:
            factor = rate_factor(numbers, schedules, steps_per_epoch, step)
            mine["learning_rate"] = factor * mine["learning_rate"]
        optimizer = make(**dict(static), **mine, **asked(make, {"key": key}))
        if "l2" in numbers:
            optimizer = penalised(optimizer, l2(numbers["l2"]))
        told = asked(around, {"key": key, "learning_rate": mine.get("learning_rate", 1.0)})
        return around(optimizer, **dict(fixed), **own(numbers, "transform"), **told)

    return rule(transform, sees(recipe.rule))


def sees(branches: tuple[Branch, Branch]) -> Sees:
    """What an optimizer and what stands around it tell apart; a user's own is taken to see all."""
    known = OPTIMIZERS_SEE | TRANSFORMS_SEE
    return max(known.get(function, Sees.AXES) for function, _ in branches)


def asked(function: Callable[..., Any], offers: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the offers that a function has parameters for."""
    names = {p.name for p in parameters(function)}
    return {name: value for name, value in offers.items() if name in names}


def rate_factor(
    numbers: Mapping[str, Any], schedules: Sequence[Branch], steps_per_epoch: int, step: Array
) -> Any:
    """What a run's schedule makes of a rate of 1 at this step.

    All kinds of the program are computed, scalars that they are, and `schedule` selects: kinds mix
    without segments of their own. Lengths come in epochs.
    """

    def factor(branch: Branch) -> Scalar:
        make, static = branch
        known = hyperparameters(make, "schedule")
        given = {
            name: steps_per_epoch * value if is_length(known[name]) else value
            for name, value in own(numbers, make.__name__).items()
        }
        one: dict[str, Any] = {"value": 1.0, "peak": 1.0}
        rate = make(**dict(static), **given, **asked(make, one))(step)
        return jnp.asarray(rate, jnp.float32)

    if list(schedules) == [CONSTANT]:
        return 1.0
    factors = [factor(branch) for branch in schedules]
    if len(factors) == 1:
        return factors[0]
    return jnp.select([numbers["schedule"] == i for i in range(len(factors))], factors)


def numbers_of_tasks(
    recipes: Sequence[Recipe], lanes: Iterable[Sequence[int]], without: Iterable[str]
) -> dict[int, dict[str, Any]]:
    """By recipe, its task's numbers; `lanes` are the recipes of each task."""
    found: dict[int, dict[str, Any]] = {}
    for members in lanes:
        activation, loss = recipes[members[0]].task
        defaults = numeric_defaults(activation, "activation", "activation.")
        defaults |= numeric_defaults(loss, "loss", "loss.")
        filled = fill([recipes[i].for_task for i in members], defaults, without)
        found |= zip(members, filled, strict=True)
    return found


def share_names(numbers: Mapping[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Numbers of activations that take turns: the same names in all, 0 where nobody reads it."""
    names = {name for row in numbers.values() for name in row if name.startswith("activation.")}
    return {i: dict.fromkeys(names, 0.0) | row for i, row in numbers.items()}


def numbers_of_rules(
    recipes: Sequence[Recipe], lanes: Iterable[Sequence[int]], without: Iterable[str]
) -> dict[int, dict[str, Any]]:
    """By recipe, its rule's numbers and its schedule's; `lanes` are the recipes of each rule."""
    found: dict[int, dict[str, Any]] = {}
    for members in lanes:
        optimizer, transform = recipes[members[0]].rule
        defaults = numeric_defaults(optimizer, "optimizer")
        defaults |= numeric_defaults(transform, "transform", "transform.")
        mixed = [recipes[i] for i in members]
        filled = fill([r.for_rule for r in mixed], defaults, without)
        times = schedule_numbers(mixed, schedules_of(mixed))
        found |= {i: row | time for i, row, time in zip(members, filled, times, strict=True)}
    return found


def schedules_of(recipes: Iterable[Recipe]) -> tuple[Branch, ...]:
    """The kinds of schedules that the runs of a rule have."""
    return tuple(dict.fromkeys(recipe.schedule for recipe in recipes))


def schedule_numbers(
    recipes: Sequence[Recipe], schedules: Sequence[Branch]
) -> list[dict[str, Any]]:
    """Each recipe's numbers for all schedules of its rule, and which of them is its own."""
    names = sorted({name for recipe in recipes for name, _ in recipe.for_schedule})
    defaults = {}
    for branch in schedules:
        defaults[branch] = numeric_defaults(branch, "schedule", f"{branch[0].__name__}.")
    unread = {k: v if isinstance(v, Real) else 1.0 for d in defaults.values() for k, v in d.items()}
    rows = []
    for recipe in recipes:
        row = complete(dict(recipe.for_schedule), names, unread | defaults[recipe.schedule])
        if len(schedules) > 1:
            row["schedule"] = float(schedules.index(recipe.schedule))
        rows.append(row)
    return rows


def fill(
    rows: Iterable[Pairs], defaults: Mapping[str, Any], without: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Rows of numbers with the same names in each: those missing take the function's default."""
    read = [{k: v for k, v in row if k not in without} for row in rows]
    names = sorted({name for row in read for name in row})
    return [complete(row, names, defaults) for row in read]


def complete(
    row: Mapping[str, Any], names: Iterable[str], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """A row of numbers with exactly these names."""
    for name in names:
        if name not in row and not isinstance(defaults.get(name), Real):
            raise UsageError(
                f"{name} is set for some values of an axis and has no numeric default; "
                "set it for all of them"
            )
    return {name: row[name] if name in row else defaults[name] for name in names}


def numeric_defaults(branch: Branch, kind: str, prefix: str = "") -> dict[str, Any]:
    """The defaults of a branch's arguments, by the names of the numbers."""
    function, _ = branch
    if function is None:
        return {}
    return {f"{prefix}{k}": p.default for k, p in hyperparameters(function, kind).items()}
