"""What a run trains, as pure functions of one run.

A `Task` is the forward half (loss and metrics), a `Rule` the backward half (how gradients become
updates). Both take their numbers as an argument, so that a sweep can vary them; the functions
themselves decide the compiled program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nnlab.nn.losses import cross_entropy, squared_error
from nnlab.nn.metrics import accuracy
from nnlab.types import Array, Float, Params, PRNGKey, Scalar

Numbers = dict[str, Any]
"""Hyperparameters by name: scalars that a sweep may vary, traced inside a program."""
Stats = Any
"""What a model keeps beside its parameters (running means of batch norm); not trained."""
Apply = Callable[..., tuple[Array, Stats]]
"""apply(params, stats, x, numbers, key) -> (outputs, stats); key is None when not training."""


class Task(NamedTuple):
    """What is minimised and what is measured, for one run and one batch."""

    loss: Callable[[Params, Stats, Array, Array, Numbers, PRNGKey], tuple[Scalar, Stats]]
    """Mean loss of a training batch and the new statistics."""
    measure: Callable[[Params, Stats, Array, Array, Numbers], dict[str, Float[Array, " batch"]]]
    """Per-example metrics with the model in evaluation mode."""


Loss = Callable[[Params], Scalar]
"""The loss of the batch at hand, as a function of the parameters alone."""


class Rule(NamedTuple):
    """How one run's gradients become updates of its parameters.

    The key is the run's own, the same at every step, for rules that draw random numbers.
    """

    init: Callable[[Params, Numbers, PRNGKey], Any]
    update: Callable[[Params, Any, Params, Numbers, PRNGKey, Scalar, Loss], tuple]
    """update(gradients, memory, params, numbers, key, value, loss) -> (updates, memory)."""


def classification(apply: Apply) -> Task:
    """Cross-entropy (smoothed by `label_smoothing` where given), measured as loss and accuracy."""

    def loss(params, stats, x, y, numbers, key):
        logits, stats = apply(params, stats, x, numbers, key)
        smoothing = numbers.get("label_smoothing", 0.0)
        each = jax.vmap(cross_entropy, in_axes=(0, 0, None))(logits, y, smoothing)
        return jnp.mean(each), stats

    def measure(params, stats, x, y, numbers):
        logits, _ = apply(params, stats, x, numbers, None)
        return {
            "loss": jax.vmap(cross_entropy)(logits, y),
            "accuracy": jax.vmap(accuracy)(logits, y),
        }

    return Task(loss, measure)


def regression(apply: Apply) -> Task:
    """Squared error of one or several real outputs, measured as loss."""

    def errors(params, stats, x, y, numbers, key):
        outputs, stats = apply(params, stats, x, numbers, key)
        return jax.vmap(squared_error)(outputs, y.reshape(outputs.shape)), stats

    def loss(params, stats, x, y, numbers, key):
        each, stats = errors(params, stats, x, y, numbers, key)
        return jnp.mean(each), stats

    def measure(params, stats, x, y, numbers):
        return {"loss": errors(params, stats, x, y, numbers, None)[0]}

    return Task(loss, measure)


def rule(transform: Callable[[Numbers, PRNGKey], optax.GradientTransformation]) -> Rule:
    """The rule of an optimizer given as (numbers, key) -> `optax.GradientTransformation`.

    A transformation that asks for more gets the loss's value as `value`, the gradient as `grad`,
    and the loss as a function of the parameters as `value_fn` and `obj_fn`, optax's two names.
    """

    def init(params, numbers, key):
        return transform(numbers, key).init(params)

    def update(gradients, memory, params, numbers, key, value, loss):
        optimizer = optax.with_extra_args_support(transform(numbers, key))
        more = {"value": value, "grad": gradients, "value_fn": loss, "obj_fn": loss}
        return optimizer.update(gradients, memory, params, **more)

    return Rule(init, update)
