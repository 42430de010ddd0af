"""What a lane takes of a device's memory, told from shapes: nothing is computed."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.sweeps.build import build_rule, build_task
from nnlab.sweeps.recipe import Branch, Recipe
from nnlab.sweeps.rehearse import shapes_of_batch, traced
from nnlab.sweeps.starts import Starts
from nnlab.train.keys import root
from nnlab.train.loop import equal_batches
from nnlab.types import Array, PyTree

MANY = 64
"""Lanes among whom what they share is little."""


def footprint(recipe: Recipe, numbers: dict[str, Any], data: Dataset) -> tuple[int, int]:
    """Bytes of one lane: its parameters, and what a step keeps of its forward pass on a batch."""
    params, stats = Starts(data, "batch_norm" in numbers).outline(recipe)
    task = build_task(recipe, data.classes)

    def backward(params: Any, stats: Any, x: Array, y: Array) -> Any:
        """The backward pass, whose leaves are what it keeps."""

        def loss(params: Any):
            return task.loss(params, stats, x, y, numbers, root(0))

        return jax.vjp(loss, params, has_aux=True)[1]

    kept = jax.eval_shape(backward, params, stats, *shapes_of_batch(recipe, data))
    return size(params), size(kept)


def evaluation(recipe: Recipe, numbers: dict[str, Any], data: Dataset) -> int:
    """Bytes of one of many lanes in the largest operation of an evaluation: operands and results.

    Validation and test data are evaluated by batches of their own, often larger than training's,
    which all lanes share.
    """
    params, stats = Starts(data, "batch_norm" in numbers).outline(recipe)
    batch = max(equal_batches(len(part.y))[1] for part in (data.valid, data.test))
    plan = recipe.plan._replace(batch_size=batch)
    x, y = shapes_of_batch(recipe._replace(plan=plan), data)

    def lanes(tree: PyTree) -> PyTree:
        return trees.map(lambda a: jax.ShapeDtypeStruct((MANY, *a.shape), a.dtype), tree)

    measure = jax.vmap(build_task(recipe, data.classes).measure, (0, 0, None, None, 0))
    program = jax.make_jaxpr(measure)(lanes(params), lanes(stats), x, y, lanes(traced(numbers)))
    return largest(program) // MANY


def remembered(
    recipes: Sequence[Recipe],
    lanes: Sequence[Sequence[int]],
    schedules: Sequence[Sequence[Branch]],
    numbers: Sequence[dict[str, Any]],
    params: PyTree,
) -> int:
    """Bytes that a rule remembers of a lane from step to step, on average over the recipes.

    `lanes` are the recipes of each rule, `numbers` each recipe's for its rule.
    """
    total = 0
    for own, kinds in zip(lanes, schedules, strict=True):
        rule = build_rule(recipes[own[0]], kinds, 1)
        memory = jax.eval_shape(rule.init, params, traced(numbers[own[0]]), root(0))
        total += len(own) * size(memory)
    return total // len(recipes)


def largest(program: Jaxpr | ClosedJaxpr) -> int:
    """Bytes of the operands and results of that operation which has most of them."""
    most = 0
    for equation in program.eqns:
        within = [largest(inner) for inner in functions(equation.params)]
        own = size([v.aval for v in (*equation.invars, *equation.outvars)])
        most = max(most, own, *within)
    return most


def functions(parameters: dict[str, Any]) -> Iterator[Jaxpr | ClosedJaxpr]:
    """The functions that an operation calls."""
    for value in parameters.values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Jaxpr | ClosedJaxpr):
                yield inner


def size(tree: PyTree) -> int:
    """Bytes of all of a tree's arrays."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
