"""Try what a person brought (a function, a model, an optimizer) on shapes alone, before anything is
compiled or written, so that a mistake in it is one line about it.

jax.eval_shape runs a function's Python and computes nothing: milliseconds each.
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError, name_of
from nnlab.models.model import Problem
from nnlab.sweeps.arrays import outputs_of
from nnlab.sweeps.blame import blamed, came
from nnlab.sweeps.build import build_rule, build_task, run_settings, start_settings
from nnlab.sweeps.choices import TABLES, parameters
from nnlab.sweeps.labels import words
from nnlab.sweeps.recipe import Branch, Recipe
from nnlab.sweeps.starts import looks_at_data, pretrain
from nnlab.train.keys import root

OURS = {kind: set(table.values()) for kind, table in TABLES.items()}
FORWARD = ("activation", "loss")
BACKWARD = ("optimizer", "transform", "schedule")


def rehearse(
    recipes: Sequence[Recipe],
    for_tasks: Sequence[dict[str, Any]],
    for_rules: Sequence[dict[str, Any]],
    schedules: Sequence[Sequence[Branch]],
    data: Dataset,
) -> None:
    """Raise UsageError for the first part of a group's recipes that cannot work.

    Every initializer starts once; the model, and whatever is not nnlab's own, makes one step.
    """
    first: dict[Any, int] = {}
    begun: dict[int, tuple[Any, Any]] = {}
    tried: set[int] = set()
    for i, recipe in enumerate(recipes):
        chosen = [(kind, getattr(recipe, kind)) for kind in (*FORWARD, *BACKWARD)]
        for part in (*recipe.start, *chosen):
            first.setdefault(part, i)
    for (kind, (function, _)), i in first.items():
        recipe = watch(recipes[i])
        brought = function is not None and function not in OURS[kind]
        if kind in (*BACKWARD, "activation") and not brought:
            continue
        if i not in begun:
            begun[i] = start(recipe, "batch_norm" in for_tasks[i], data)
        params, stats = begun[i]
        if i not in tried and (i == 0 or (kind in FORWARD and brought)):
            tried.add(i)
            trial = objective if isinstance(recipe.model, Problem) else forward
            trial(recipe, params, stats, for_tasks[i], data)
        if kind == "loss" and function is not None:
            cost(recipe, params, stats, for_tasks[i], data)
        if kind in BACKWARD:
            step(recipe, params, for_rules[i], schedules[i])


def start(recipe: Recipe, batch_norm: bool, data: Dataset) -> tuple[Any, Any]:
    """The shapes of a recipe's initial (params, stats)."""
    settings = start_settings(recipe, batch_norm)
    settings = settings._replace(
        init=initializer("init", settings.init),
        bias_init=initializer("bias_init", settings.bias_init),
    )
    with blamed(f"model {words(recipe.model, 60)} on examples of shape {data.shape}"):
        params, stats = jax.eval_shape(
            lambda key: recipe.model.start(key, data.shape, outputs_of(data), settings), root(0)
        )
    if looks_at_data(recipe):
        function, _ = dict(recipe.start)["init"]
        x = jax.ShapeDtypeStruct((recipe.plan.batch_size, *data.shape), jnp.float32)
        with blamed(f"init {name_of(function)}"):
            params = jax.eval_shape(
                lambda key, params, x: pretrain(recipe, key, params, settings, x),
                root(0),
                params,
                x,
            )
    return params, stats


def forward(
    recipe: Recipe, params: Any, stats: Any, numbers: dict[str, Any], data: Dataset
) -> None:
    """One training batch forward and back, one evaluation: outputs and statistics as needed."""
    assert not isinstance(recipe.model, Problem)  # noqa: S101 - problems have no outputs
    model, batch = recipe.model, recipe.plan.batch_size
    wanted, what = (batch, outputs_of(data)), f"model {words(model, 60)}"
    x = jax.ShapeDtypeStruct((batch, *data.shape), jnp.float32)

    def apply(params, stats, x, numbers, key):
        outputs, stats = model.apply(params, stats, x, run_settings(recipe, numbers), key)
        if getattr(outputs, "shape", None) != wanted:
            raise UsageError(
                f"{what} returns {came(outputs)} for a batch of shape {x.shape}; data {data.name} "
                f"needs [batch, outputs] {wanted}; give its last layer {wanted[1]} outputs"
            )
        return jnp.sum(outputs), stats

    known = traced(numbers)
    with blamed(f"{what} on a batch of shape {x.shape}"):
        train = jax.grad(apply, has_aux=True)
        _, after = jax.eval_shape(train, params, stats, x, known, root(0))
        jax.eval_shape(partial(apply, key=None), params, stats, x, known)
    if shapes(after) != shapes(stats):
        raise UsageError(
            f"{what} changes the structure or shapes of its statistics; keep them as begun"
        )


def objective(
    recipe: Recipe, params: Any, stats: Any, numbers: dict[str, Any], data: Dataset
) -> None:
    """A problem's start must be floats, its loss of a batch and each of its measures one float."""
    problem, task = recipe.model, build_task(recipe, data.classes)
    assert isinstance(problem, Problem)  # noqa: S101 - networks go forward
    what = f"model {words(problem, 60)}"
    for leaf in jax.tree.leaves(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise UsageError(f"{what} starts from {came(leaf)}; its parameters need to be floats")

    def one(value: Any, of: str) -> Any:
        if getattr(value, "shape", None) != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise UsageError(f"{of} returns {came(value)}; it needs one float")
        return value

    def train(params, x, y):
        value, _ = task.loss(params, stats, x, y, numbers, root(0))
        return one(value, f"the loss of {what}")

    x, y = shapes_of_batch(recipe, data)
    with blamed(f"{what} on a batch of shape {x.shape}"):
        jax.eval_shape(jax.grad(train), params, x, y)
        jax.eval_shape(task.measure, params, stats, x, y, numbers)
    for word, measure in problem.measures.items():
        with blamed(f"measure {word}"):
            jax.eval_shape(lambda w, m=measure, of=f"measure {word}": one(m(w), of), params)


def shapes_of_batch(recipe: Recipe, data: Dataset) -> tuple[Any, Any]:
    """The shapes of a training batch (x, y)."""
    batch, targets = recipe.plan.batch_size, data.train.y
    x = jax.ShapeDtypeStruct((batch, *data.shape), jnp.float32)
    return x, jax.ShapeDtypeStruct((batch, *targets.shape[1:]), targets.dtype)


def cost(recipe: Recipe, params: Any, stats: Any, numbers: dict[str, Any], data: Dataset) -> None:
    """The loss of a batch must be one number."""
    task = build_task(recipe, data.classes)
    x, y = shapes_of_batch(recipe, data)
    with blamed(f"loss {name_of(recipe.loss[0])}"):
        jax.eval_shape(task.loss, params, stats, x, y, traced(numbers), root(0))


def check_cost(what: str, value: Any, *_: Any, **__: Any) -> None:
    """A loss of one example must be one real number."""
    if getattr(value, "shape", None) != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise UsageError(f"{what} returns {came(value)} for one example; it needs one float")


def step(recipe: Recipe, params: Any, numbers: dict[str, Any], schedules: Sequence[Branch]) -> None:
    """One step of an optimizer: updates like the parameters, a memory that keeps its structure."""
    kinds = [(watched_schedule(make), static) for make, static in schedules]
    rule, what = build_rule(recipe, kinds, 1), f"optimizer {name_of(recipe.optimizer[0])}"
    known, loss = traced(numbers), jax.ShapeDtypeStruct((), jnp.float32)

    def update(gradients, memory, params, known, loss):
        now = jnp.zeros((), jnp.int32)
        return rule.update(gradients, memory, params, known, root(0), now, loss, squares)

    def squares(params):
        return trees.dot(params, params)

    with blamed(what):
        memory = jax.eval_shape(rule.init, params, known, root(0))
        updates, after = jax.eval_shape(update, params, memory, params, known, loss)
    if shapes(updates) != shapes(params):
        raise UsageError(f"{what} returns updates unlike the parameters; return one of each shape")
    if shapes(after) != shapes(memory):
        raise UsageError(
            f"{what} changes the structure, shapes or dtypes of its state; keep them as begun"
        )


def watch(recipe: Recipe) -> Recipe:
    """The recipe with those of its functions watched that a person brought."""
    checks = {
        "activation": check_activation,
        "loss": check_cost,
        "optimizer": check_transformation,
        "transform": check_transformation,
    }
    found = {}
    for kind, check in checks.items():
        function, static = getattr(recipe, kind)
        if function is not None and function not in OURS[kind]:
            found[kind] = watched(kind, function, check), static
    return recipe._replace(**found)


def watched_schedule(make: Callable[..., Any]) -> Callable[..., Any]:
    """The constructor of a schedule; a person's own must return one number for each step."""
    if parameters(make):
        return make

    def check(what: str, rate: Any, *_: Any) -> None:
        if jnp.shape(rate) != ():
            raise UsageError(f"{what} returns {came(rate)}; it needs one number for each step")

    return lambda: watched("schedule", make(), check)


def initializer(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """An initializer that must return floats of the shape it was asked for."""

    def check(what: str, array: Any, key: Any, shape: Sequence[int], *_: Any) -> None:
        del key
        if callable(array):
            raise UsageError(
                f"{what} returns a function; call it first: {kind}={name_of(function)}()"
            )
        floats = hasattr(array, "dtype") and jnp.issubdtype(array.dtype, jnp.floating)
        if not floats or array.shape != tuple(shape):
            raise UsageError(
                f"{what} returns {came(array)}; it needs floats of shape {tuple(shape)}"
            )

    return watched(kind, function, check)


def check_activation(what: str, y: Any, *_: Any, **__: Any) -> None:
    """An activation must return an array; its shape is the model's affair."""
    if not hasattr(y, "shape"):
        raise UsageError(f"{what} returns {came(y)}; it needs an array of the shape it was given")


def check_transformation(what: str, made: Any, *_: Any, **__: Any) -> None:
    """An optimizer, and what stands around one, must return a transformation."""
    if not (hasattr(made, "init") and hasattr(made, "update")):
        raise UsageError(
            f"{what} returns {came(made)}; it needs an optax.GradientTransformation; "
            "try lambda learning_rate: optax.adam(learning_rate)"
        )


def watched(
    kind: str, function: Callable[..., Any], check: Callable[..., None] | None
) -> Callable[..., Any]:
    """The same function; what goes wrong in it, or with what it returns, is its own fault."""
    what = f"{kind} {name_of(function)}"

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with blamed(what):
            result = function(*args, **kwargs)
        if check is not None:
            check(what, result, *args, **kwargs)
        return result

    return call


def traced(numbers: dict[str, Any]) -> dict[str, Any]:
    """Numbers as a program sees them: known by dtype only."""
    return {
        name: jax.ShapeDtypeStruct((), jnp.bool_ if isinstance(value, bool) else jnp.float32)
        for name, value in numbers.items()
    }


def shapes(tree: Any) -> Any:
    """A tree's structure with the shape and dtype of each leaf."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]
