"""What a run trains, as pure functions of one run.

A `Task` is the forward half (loss and metrics), a `Rule` the backward half (how gradients become
updates). Both take their numbers as an argument, so that a sweep can vary them; the functions
themselves decide the compiled program.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nnlab.optim.core import Sees, evaluated
from nnlab.types import Array, Float, Int, Params, PRNGKey, Scalar

Numbers = dict[str, Any]
"""Hyperparameters by name: scalars that a sweep may vary, traced inside a program."""
Stats = Any
"""What a model keeps beside its parameters (running means of batch norm); not trained."""
Apply = Callable[..., tuple[Array, Stats]]
"""apply(params, stats, x, numbers, key) -> (outputs, stats); key is None when not training."""


class Kin(NamedTuple):
    """Tasks of one `make` differ in one function: make(function) is the task."""

    make: Callable[[Callable[..., Any]], "Task"]
    function: Callable[..., Any]
    """function(numbers) -> an elementwise function."""


def unasked(*_: Any) -> Any:
    """Nothing, at no cost."""
    return {}


class Task(NamedTuple):
    """What is minimised, measured and watched, for one run and one batch."""

    loss: Callable[[Params, Stats, Array, Array, Numbers, PRNGKey], tuple[Scalar, Stats]]
    """Mean loss of a training batch and the new statistics."""
    measure: Callable[[Params, Stats, Array, Array, Numbers], dict[str, Float[Array, " batch"]]]
    """Per-example metrics with the model in evaluation mode."""
    watch: Callable[[Params, Stats, Numbers], dict[str, Scalar]] = unasked
    """Numbers of the parameters alone, recorded at the start and after every epoch."""
    observe: Callable[[Params, Stats, Array, Array, Numbers], dict[str, Array]] = unasked
    """What else is recorded of a batch as a whole."""
    outputs: Callable[[Params, Stats, Array, Numbers], Float[Array, "batch outputs"]] = unasked
    """What the model answers in evaluation mode; only a plan that keeps outputs asks."""
    kin: Kin | None = None
    """Where tasks of a program that are related may take turns in what is compiled for one."""


Loss = Callable[[Params], Scalar]
"""The loss of the batch at hand, as a function of the parameters alone."""


class Moment(NamedTuple):
    """When a step happens, and its randomness."""

    step: Int[Array, ""]
    """Counted from 0 at the start of the run."""
    noise: PRNGKey


class Rule(NamedTuple):
    """How one run's gradients become updates of its parameters.

    The key is the run's own, the same at every step, for rules that draw random numbers.
    """

    init: Callable[[Params, Numbers, PRNGKey], Any]
    update: Callable[[Params, Any, Params, Numbers, PRNGKey, Int[Array, ""], Scalar, Loss], tuple]
    """update(gradients, memory, params, numbers, key, step, value, loss) -> (updates, memory)."""
    settle: Callable[[Any, Params], Params | None]
    """settle(memory, params): the weights to evaluate, or None where they are those trained."""
    sees: Sees = Sees.AXES
    """What it must be shown; a rule that sees numbers may be given a vector (`trees.Flat`)."""


def supervised(
    apply: Apply,
    cost: Callable[[Array, Array, Numbers], Scalar],
    metrics: Mapping[str, Callable[[Array, Array, Numbers], Scalar]],
) -> Task:
    """Minimise the mean of cost(output, target, numbers) over a batch; measure `metrics`.

    Costs and metrics are functions of one example.
    """

    def each(function, outputs, y, numbers):
        return jax.vmap(function, in_axes=(0, 0, None))(outputs, y, numbers)

    def loss(params, stats, x, y, numbers, key):
        outputs, stats = apply(params, stats, x, numbers, key)
        return jnp.mean(each(cost, outputs, y, numbers)), stats

    def measure(params, stats, x, y, numbers):
        outputs, _ = apply(params, stats, x, numbers, None)
        return {name: each(metric, outputs, y, numbers) for name, metric in metrics.items()}

    def outputs(params, stats, x, numbers):
        return apply(params, stats, x, numbers, None)[0]

    return Task(jax.jit(loss), jax.jit(measure), outputs=outputs)


def minimise(
    loss: Callable[[Params, Any], Scalar], measures: Mapping[str, Callable[[Params], Scalar]]
) -> Task:
    """Minimise loss(params, batch), the mean over a batch's examples; watch `measures`.

    A batch is x, or the pair (x, y) where the data have targets. An example's metric is the loss
    of a batch of one.
    """

    def of(params, x, y):
        return loss(params, (x, y) if y.size else x)

    def train(params, stats, x, y, numbers, key):
        del numbers, key
        return of(params, x, y), stats

    def measure(params, stats, x, y, numbers):
        del stats, numbers
        each = jax.vmap(lambda x, y: of(params, x[None], y[None]))
        return {"loss": each(x, y)}

    def watch(params, stats, numbers):
        del stats, numbers
        return {name: jnp.asarray(measure(params)) for name, measure in measures.items()}

    return Task(jax.jit(train), jax.jit(measure), watch)


def rule(
    transform: Callable[[Numbers, PRNGKey, Int[Array, ""]], optax.GradientTransformation],
    sees: Sees = Sees.AXES,
) -> Rule:
    """The rule of an optimizer given as (numbers, key, step) -> `optax.GradientTransformation`.

    A transformation that asks for more gets the loss's value as `value`, the gradient as `grad`,
    and the loss as a function of the parameters as `value_fn` and `obj_fn`, optax's two names.
    """

    def init(params, numbers, key):
        return transform(numbers, key, jnp.zeros((), jnp.int32)).init(params)

    def update(gradients, memory, params, numbers, key, step, value, loss):
        optimizer = optax.with_extra_args_support(transform(numbers, key, step))
        more = {"value": value, "grad": gradients, "value_fn": loss, "obj_fn": loss}
        return optimizer.update(gradients, memory, params, **more)

    return Rule(init, update, evaluated, sees)
