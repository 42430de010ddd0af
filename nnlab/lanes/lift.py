"""Lift one run's step to the lanes of a chunk, each categorical choice a static segment.

Lanes are sorted by task (an activation, say), and within a task by rule (an optimizer). The
forward and backward pass of a task sees the one contiguous slice that is its own. A rule gathers
its lanes from every task whose parameters have the same shapes, updates them in one go, and hands
them back. No lane computes another lane's branch, and no optimizer's state is carried for lanes
that do not use it.

`jax.vmap` keeps what lanes share unbatched, so the first layer of C lanes that read the same batch
is one [batch, in] x [in, C * out] product, forward and in the weight gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.train.loop import Measure, State, Step, apply_updates, gradient
from nnlab.train.task import Numbers, Rule, Task
from nnlab.types import Array, PRNGKey, PyTree


class Layout(NamedTuple):
    """Which lanes of a chunk belong to which task and rule; static and hashable."""

    tasks: tuple[Task, ...]
    rules: tuple[Rule, ...]
    counts: tuple[tuple[int, ...], ...]
    """counts[task][rule]: so many neighbouring lanes."""

    @property
    def lanes(self) -> int:
        return sum(map(sum, self.counts))


class Lifted(NamedTuple):
    """The three functions of one run, for all lanes of a layout.

    Params and stats are tuples with one tree per task, its leaves [lanes of the task, ...].
    """

    init: Callable[[tuple, tuple], State]
    step: Step
    measure: Measure


def split(tree: PyTree, sizes: Sequence[int]) -> list[PyTree]:
    """Static slices along the lane axis."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    if len(sizes) == 1:
        return [tree]
    return [
        trees.map(lambda a, i=end - size, j=end: a[i:j], tree)
        for size, end in zip(sizes, ends, strict=True)
    ]


def join(parts: Sequence[PyTree]) -> PyTree:
    """The inverse of `split`."""
    if len(parts) == 1:
        return parts[0]
    return trees.map(lambda *leaves: jnp.concatenate(leaves, axis=0), *parts)


def lift(
    layout: Layout,
    for_tasks: tuple[Numbers, ...],
    for_rules: tuple[Numbers, ...],
    key: PRNGKey,
) -> Lifted:
    """The step of `layout.lanes` runs of one seed; numbers are [lanes of the segment] arrays.

    `for_tasks[a]` follows the lanes of task a; `for_rules[o]` the lanes of rule o, in the order of
    the tasks they belong to. `key` is the rules' own.
    """
    tasks, rules, counts = layout
    task_numbers = [split(numbers, row) for numbers, row in zip(for_tasks, counts, strict=True)]
    rule_numbers = [
        split(numbers, [row[o] for row in counts]) for o, numbers in enumerate(for_rules)
    ]

    def parts(params) -> list[tuple[int, list[int]]]:
        """Each rule with the tasks whose lanes it updates together.

        Those are the tasks of equal shapes; one at a time if the rule evaluates the task's loss.
        """
        found = []
        for family in families(params):
            for o, rule in enumerate(rules):
                members = [a for a in family if counts[a][o]]
                together = [[a] for a in members] if rule.asks_loss else [members]
                found += [(o, some) for some in together if some]
        return found

    def init(params, stats):
        pieces = [split(p, row) for p, row in zip(params, counts, strict=True)]
        memory = [
            jax.vmap(rules[o].init, in_axes=(0, 0, None))(
                join([pieces[a][o] for a in members]),
                join([rule_numbers[o][a] for a in members]),
                key,
            )
            for o, members in parts(params)
        ]
        return State(params, stats, memory)

    def step(state, x, y, noise):
        forward = [
            jax.vmap(gradient, in_axes=(None, 0, 0, None, None, 0, None))(
                task, params, stats, x, y, numbers, noise
            )
            for task, params, stats, numbers in zip(
                tasks, state.params, state.stats, for_tasks, strict=True
            )
        ]
        values, stats, gradients = zip(*forward, strict=True)
        pieces = [
            [split(tree, row) for tree, row in zip(column, counts, strict=True)]
            for column in (gradients, state.params, values)
        ]
        updates: list[list[Any]] = [[None] * len(rules) for _ in tasks]
        memory = []
        for (o, members), old in zip(parts(state.params), state.memory, strict=True):
            g, w, value = (join([column[a][o] for a in members]) for column in pieces)
            numbers = join([rule_numbers[o][a] for a in members])
            if rules[o].asks_loss:
                (a,) = members
                mine = (split(state.stats[a], counts[a])[o], task_numbers[a][o])
                update = with_loss(rules[o], tasks[a], x, y, noise, key)
                update, kept = jax.vmap(update)(g, old, w, numbers, value, *mine)
            else:
                update, kept = jax.vmap(rules[o].update, in_axes=(0, 0, 0, 0, None, 0, None))(
                    g, old, w, numbers, key, value, None
                )
            memory.append(kept)
            sizes = [counts[a][o] for a in members]
            for a, piece in zip(members, split(update, sizes), strict=True):
                updates[a][o] = piece
        params = tuple(
            apply_updates(w, join([u for u in row if u is not None]))
            for w, row in zip(state.params, updates, strict=True)
        )
        return State(params, stats, memory), jnp.concatenate(values)

    def measure(state, x, y):
        columns = [
            jax.vmap(task.measure, in_axes=(0, 0, None, None, 0))(params, stats, x, y, numbers)
            for task, params, stats, numbers in zip(
                tasks, state.params, state.stats, for_tasks, strict=True
            )
        ]
        return join(columns)

    return Lifted(init, step, measure)


def with_loss(
    rule: Rule, task: Task, x: Array, y: Array, noise: PRNGKey, key: PRNGKey
) -> Callable[..., tuple]:
    """One run's update by a rule that evaluates its task's loss on the batch."""

    def update(gradients, memory, params, numbers, value, stats, for_task):
        def loss(params):
            return task.loss(params, stats, x, y, for_task, noise)[0]

        return rule.update(gradients, memory, params, numbers, key, value, loss)

    return update


def families(params: Sequence[PyTree]) -> list[list[int]]:
    """The tasks grouped by structure, shapes and dtypes of one lane's parameters."""

    def signature(tree: PyTree) -> tuple:
        leaves, structure = jax.tree.flatten(tree)
        return structure, tuple((leaf.shape[1:], str(leaf.dtype)) for leaf in leaves)

    groups: dict[tuple, list[int]] = {}
    for a, tree in enumerate(params):
        groups.setdefault(signature(tree), []).append(a)
    return list(groups.values())
