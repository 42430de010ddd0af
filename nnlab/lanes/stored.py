"""How weights lie in a lifted program: matrices transposed, [outputs, inputs].

The batch that all lanes share makes the first layer's gradient one product, [lanes x outputs,
batch] times [batch, inputs]. Stored in that order it is added where it is born; as [inputs,
outputs] it would be turned round at every step, in each of the optimizer's passes over it
(measured on two busy cores: 2 to 17 % of a step). Models and optimizers never see it: `store` is
its own inverse, and XLA folds the transposition into the products.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.optim.core import Sees
from nnlab.train.task import Rule, Task
from nnlab.types import PyTree


def store(params: PyTree) -> PyTree:
    """One run's parameters with every matrix transposed; others as they are."""
    return trees.map(lambda a: a.T if jnp.ndim(a) == 2 else a, params)


def stored_starts(params: PyTree) -> PyTree:
    """Parameters of many runs, numpy arrays [seeds, starts, ...], in stored order, uncopied.

    On a device every lane's would be turned round by itself, which took 1.5 % of a short training.
    """
    return trees.map(lambda a: np.swapaxes(a, 2, 3) if a.ndim == 4 else a, params)


def stored_task(task: Task) -> Task:
    """The task with parameters in stored order."""

    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, *rest: function(store(params), *rest)

    functions: Any = {name: of(f) for name, f in task._asdict().items() if name != "kin"}
    return Task(**functions)


def stored_rule(rule: Rule) -> Rule:
    """The rule with gradients, parameters and updates in stored order.

    A rule to which the axes of an array are alike has nothing to turn round.
    """
    if rule.sees < Sees.AXES:
        return rule

    def init(params: Any, *rest: Any) -> Any:
        return rule.init(store(params), *rest)

    def update(gradients, memory, params, numbers, key, step, value, loss):
        def of_logical(w: Any) -> Any:
            return loss(store(w))

        updates, memory = rule.update(
            store(gradients), memory, store(params), numbers, key, step, value, of_logical
        )
        return store(updates), memory

    def settle(memory: Any, params: Any) -> Any:
        settled = rule.settle(memory, store(params))
        return None if settled is None else store(settled)

    return rule._replace(init=init, update=update, settle=settle)
