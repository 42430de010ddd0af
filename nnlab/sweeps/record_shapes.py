"""What recorded arrays are: their axes and sizes, known before training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.models.signals import LayerStatistics
from nnlab.sweeps.arrays import outputs_of
from nnlab.sweeps.blame import blamed
from nnlab.sweeps.build import activation_of
from nnlab.sweeps.labels import words
from nnlab.sweeps.recipe import Recipe
from nnlab.sweeps.record import PREFIX, Recording, layers
from nnlab.sweeps.rehearse import start, traced
from nnlab.train.loop import equal_batches
from nnlab.train.task import Task, unasked

if TYPE_CHECKING:
    from nnlab.sweeps.group import Group

DIMS = {f"layer_{name}": ("layer",) for name in LayerStatistics._fields} | {
    "layer_percentiles": ("layer", "percentile"),
    "layer_histogram": ("layer", "value"),
}
"""What the axes of built-in arrays mean."""


LABELS = ("epoch", "layer", "percentile", "value")
"""Axes of recorded arrays that have labels."""


class Variable(NamedTuple):
    """A recorded array of one run: what its axes are, and how long they are at most."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]


def variables(
    recording: Recording, groups: "Sequence[Group]", data: Dataset
) -> dict[str, Variable]:
    """What a sweep will record, tried on shapes alone.

    Networks of different depth share a variable: what a run does not have is missing. Raises
    UsageError for functions that do not work, or whose arrays differ in rank, or within a program
    in shape.
    """
    found: dict[str, Variable] = {}
    epochs = max(group.plan.epochs for group in groups)
    for group in groups:
        if recording.metrics:
            try_metrics(group, data)
        shapes = shapes_of(recording, group, data)
        for name, shape in shapes.items():
            dims = DIMS.get(name) or tuple(f"{name}_{i}" for i in range(len(shape)))
            new = Variable(("epoch", *dims), (epochs + 1, *shape))
            found[name] = longest(name, found.get(name, new), new)
    if ("layers", layers) in recording.functions and not set(DIMS) & set(found):
        raise UsageError(
            f"record layers: {words(groups[0].recipes[0].model, 60)} has no layer that reads the "
            "sweep's activation; leave it out"
        )
    examples = {"val": len(data.valid.y), "test": len(data.test.y)}
    for name in recording.keep:
        dims, shape = (f"{name}_example", "output"), (examples[name], outputs_of(data))
        found[f"{name}_outputs"] = Variable(dims, shape)
    return found


def shapes_of(recording: Recording, group: "Group", data: Dataset) -> dict[str, tuple[int, ...]]:
    """The shapes of what the runs of one program observe."""
    first: dict[str, tuple[int, ...]] = {}
    if not recording.functions:
        return first
    one_each = {recipe.task: i for i, recipe in enumerate(group.recipes)}
    for place, i in enumerate(one_each.values()):
        shapes = observed(recording, group.recipes[i], group.for_tasks[i], data)
        name = next((k for k in shapes if place and shapes[k] != first[k]), None)
        if name is not None:
            raise UsageError(
                f"recorded {name} has shape {first[name]} with one activation and {shapes[name]} "
                "with another; record what does not depend on the layers' sizes"
            )
        first = shapes
    return first


def observed(
    recording: Recording, recipe: Recipe, numbers: dict[str, Any], data: Dataset
) -> dict[str, tuple[int, ...]]:
    """The shapes of what one run observes."""
    params, stats = start(recipe, "batch_norm" in numbers, data)
    x, y = validation_batch(data)
    task = recording.task(Task(unasked, unasked), recipe)
    with blamed(f"record {', '.join(label for label, _ in recording.functions)}"):
        found = jax.eval_shape(task.observe, params, stats, x, y, traced(numbers))
    return trees.map(lambda a: a.shape, found)


def validation_batch(data: Dataset) -> tuple[Any, Any]:
    """The shapes of the first batch (x, y) that validation is measured with."""
    _, batch = equal_batches(len(data.valid.y))
    x = jax.ShapeDtypeStruct((batch, *data.shape), jnp.float32)
    return x, jax.ShapeDtypeStruct((batch, *data.valid.y.shape[1:]), data.valid.y.dtype)


def try_metrics(group: "Group", data: Dataset) -> None:
    """Raise UsageError for a metric that does not work, or gives more than a number."""
    recipe, numbers = group.recipes[0], group.for_tasks[0]
    task = group.make_task(recipe, data.classes, activation_of(recipe))
    params, stats = start(recipe, "batch_norm" in numbers, data)
    jax.eval_shape(task.measure, params, stats, *validation_batch(data), traced(numbers))


def longest(name: str, one: Variable, other: Variable) -> Variable:
    """A variable with room for both."""
    if len(one.shape) != len(other.shape):
        raise UsageError(
            f"recorded {name} has {len(one.shape) - 1} axes for some networks and "
            f"{len(other.shape) - 1} for others; return arrays of one rank"
        )
    return one._replace(shape=tuple(map(max, one.shape, other.shape)))


def rooms(described: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of each recorded array of a run, by its name in a chunk."""
    return {f"{PREFIX}{name}": tuple(v["shape"]) for name, v in described.items()}
