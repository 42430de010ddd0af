"""The lanes of one task, cut into the segments of its rules and put together again."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.train.task import Rule, Task
from nnlab.trees import Flat, flatten, unflatten
from nnlab.types import PyTree


def split(tree: PyTree, sizes: Sequence[int]) -> list[PyTree]:
    """Static slices along the lane axis."""
    if len(sizes) == 1:
        return [tree]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [
        trees.map(lambda a, i=end - size, j=end: a[i:j], tree)
        for size, end in zip(sizes, ends, strict=True)
    ]


def join(parts: Sequence[PyTree]) -> PyTree:
    """The inverse of `split`."""
    if len(parts) == 1:
        return parts[0]
    return trees.map(lambda *leaves: jnp.concatenate(leaves, axis=0), *parts)


MOST_TREES = 24
"""In programs of more segments than this, rules that can take vectors do."""


def are_many(counts: Sequence[Sequence[int]]) -> bool:
    """Whether a layout has so many segments that compiling their updates takes longest."""
    return sum(count > 0 for row in counts for count in row) > MOST_TREES


class Run(NamedTuple):
    """Neighbouring rules that all take a lane's numbers as a tree, or all as one vector."""

    flat: bool
    rules: tuple[int, ...]
    counts: tuple[int, ...]


class Segments:
    """How one task's lanes are divided among the rules: counts[o] lanes for rule o."""

    def __init__(self, rules: Sequence[Rule], counts: Sequence[int], flat: bool):
        members = [(o, count) for o, count in enumerate(counts) if count]
        self.runs = [
            Run(vector, *zip(*group, strict=True))
            for vector, group in groupby(members, lambda m: flat and rules[m[0]].flat)
        ]

    def pieces(self, tree: PyTree) -> list[tuple[int, PyTree]]:
        """(rule, its lanes) of weights or gradients, as the rule takes them."""
        one_dtype = len({leaf.dtype for leaf in jax.tree.leaves(tree)}) == 1
        found = []
        lanes = split(tree, [sum(run.counts) for run in self.runs])
        for run, part in zip(self.runs, lanes, strict=True):
            taken = flatten(part, batch_axes=1) if run.flat and one_dtype else part
            found += zip(run.rules, split(taken, run.counts), strict=True)
        return found

    def whole(self, pieces: Sequence[PyTree], like: PyTree) -> PyTree:
        """The inverse of `pieces`, as a tree like this one."""
        structure = jax.tree.structure(like)
        parts, rest = [], list(pieces)
        before = split(like, [sum(run.counts) for run in self.runs])
        for run, old in zip(self.runs, before, strict=True):
            own, rest = rest[: len(run.rules)], rest[len(run.rules) :]
            if isinstance(own[0], Flat):
                parts.append(unflatten(written_over(own, old), structure))
            else:
                parts.append(join(own))
        return join(parts)


def written_over(pieces: Sequence[Flat], old: PyTree) -> Flat:
    """Neighbouring pieces as one, each written over its lanes of the old tree.

    XLA writes them where they are computed; joined, they would be copied once more.
    """
    if len(pieces) == 1:
        return pieces[0]
    numbers, begin = flatten(old, batch_axes=1).numbers, 0
    for piece in pieces:
        numbers = jax.lax.dynamic_update_slice_in_dim(numbers, piece.numbers, begin, axis=0)
        begin += piece.numbers.shape[0]
    return Flat(numbers, pieces[0].shapes)


def of_flat(task: Task, like: PyTree) -> Task:
    """The task with a loss that also takes the weights as one vector."""
    structure = jax.tree.structure(like)

    def loss(params: Any, *rest: Any) -> Any:
        return task.loss(
            unflatten(params, structure) if isinstance(params, Flat) else params, *rest
        )

    return task._replace(loss=loss)
