"""The lanes of one task, cut into the segments of its rules and put together again.

A single lane loses its axis: XLA sums the products of two [1, n] arrays 4 to 9 times as slowly as
of two [n] on a CPU (jax 0.10), and copies a [1, n] array that it could change where it lies.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.core import Sees
from nnlab.train.task import Rule, Task
from nnlab.trees import Flat, flatten, unflatten
from nnlab.types import PyTree


def slices(tree: PyTree, sizes: Sequence[int]) -> list[PyTree]:
    """Neighbouring lanes, leaves [size, ...]."""
    if len(sizes) == 1:
        return [tree]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [
        trees.map(lambda a, i=end - size, j=end: a[i:j], tree)
        for size, end in zip(sizes, ends, strict=True)
    ]


def concatenate(parts: Sequence[PyTree]) -> PyTree:
    """The inverse of `slices`."""
    if len(parts) == 1:
        return parts[0]
    return trees.map(lambda *leaves: jnp.concatenate(leaves, axis=0), *parts)


def split(tree: PyTree, sizes: Sequence[int]) -> list[PyTree]:
    """The lanes of each segment, a single one without its axis."""
    return [
        trees.map(lambda a: a[0], part) if size == 1 else part
        for part, size in zip(slices(tree, sizes), sizes, strict=True)
    ]


def join(parts: Sequence[PyTree], sizes: Sequence[int]) -> PyTree:
    """The inverse of `split`."""
    return concatenate(
        [
            trees.map(lambda a: jax.lax.expand_dims(a, (0,)), part) if size == 1 else part
            for part, size in zip(parts, sizes, strict=True)
        ]
    )


def over(lanes: int, function: Callable[..., Any], axes: Sequence[int | None]) -> Callable:
    """`jax.vmap` over the lanes of a segment."""
    return function if lanes == 1 else jax.vmap(function, tuple(axes))


MOST_TREES = 24
"""In programs of more segments than this, rules that can take vectors do."""


def are_many(counts: Sequence[Sequence[int]]) -> bool:
    """Whether a layout has so many segments that compiling their updates takes longest."""
    return sum(count > 0 for row in counts for count in row) > MOST_TREES


class Run(NamedTuple):
    """Neighbouring segments whose rules all take a lane's numbers as a tree, or as one vector."""

    flat: bool
    rules: tuple[int, ...]
    sizes: tuple[int, ...]


class Segments:
    """How one task's lanes are divided among the rules: counts[o] lanes for rule o."""

    def __init__(self, rules: Sequence[Rule], counts: Sequence[int], flat: bool):
        members = [(o, size) for o, size in enumerate(counts) if size]
        self.rules, self.sizes = zip(*members, strict=True)
        self._runs = [
            Run(vector, *zip(*group, strict=True))
            for vector, group in groupby(
                members, lambda m: flat and rules[m[0]].sees == Sees.NUMBERS
            )
        ]

    def pieces(self, tree: PyTree) -> list[PyTree]:
        """Each segment's lanes of weights or gradients, as its rule takes them."""
        one_dtype = len({leaf.dtype for leaf in jax.tree.leaves(tree)}) == 1
        found = []
        lanes = slices(tree, [sum(run.sizes) for run in self._runs])
        for run, part in zip(self._runs, lanes, strict=True):
            taken = flatten(part, batch_axes=1) if run.flat and one_dtype else part
            found += split(taken, run.sizes)
        return found

    def whole(self, pieces: Sequence[PyTree]) -> PyTree:
        """The inverse of `pieces`: a vector is cut before it meets its neighbours, copied once."""
        parts, rest = [], list(pieces)
        for run in self._runs:
            own, rest = rest[: len(run.sizes)], rest[len(run.sizes) :]
            parts.append(join([as_tree(piece) for piece in own], run.sizes))
        return concatenate(parts)


def as_tree(params: PyTree) -> PyTree:
    """Weights that may have come as one vector."""
    return unflatten(params) if isinstance(params, Flat) else params


def of_flat(task: Task) -> Task:
    """The task with a loss that also takes the weights as one vector."""
    return task._replace(loss=lambda params, *rest: task.loss(as_tree(params), *rest))
