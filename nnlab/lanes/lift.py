"""Lift one run's step to the lanes of a chunk, each categorical choice a static segment.

Lanes are sorted by task (an activation, say), and within a task by rule (an optimizer). The
forward and backward pass of a task sees the one contiguous slice that is its own, and so does
each rule within it. No lane computes another lane's branch, no optimizer's state is carried for
lanes that do not use it, and tasks may have parameters of different shapes. (Updating the lanes of
a rule across all tasks in one go compiles fewer kernels, but costs copies: measured 7 % slower.)

`jax.vmap` keeps what lanes share unbatched, so the first layer of C lanes that read the same batch
is one [batch, in] x [in, C * out] product, forward and in the weight gradient.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.train.loop import Measure, State, Step, apply_updates, gradient, propose
from nnlab.train.task import Numbers, Rule, Task
from nnlab.types import PRNGKey, PyTree


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
    segments = [(a, [o for o, count in enumerate(row) if count]) for a, row in enumerate(counts)]

    def init(params, stats):
        pieces = [split(w, row) for w, row in zip(params, counts, strict=True)]
        memory = [
            [
                jax.vmap(rules[o].init, in_axes=(0, 0, None))(pieces[a][o], rule_numbers[o][a], key)
                for o in members
            ]
            for a, members in segments
        ]
        return State(params, stats, memory)

    def step(state, x, y, noise):
        done = []
        for a, members in segments:
            params, stats = state.params[a], state.stats[a]
            value, after, gradients = jax.vmap(gradient, in_axes=(None, 0, 0, None, None, 0, None))(
                tasks[a], params, stats, x, y, for_tasks[a], noise
            )
            pieces = [split(tree, counts[a]) for tree in (gradients, params, value, stats)]
            updates, memory = [], []
            for o, old in zip(members, state.memory[a], strict=True):
                g, w, loss, kept = (column[o] for column in pieces)
                numbers = task_numbers[a][o], rule_numbers[o][a]
                batch = x, y, noise, key
                update, new = jax.vmap(
                    propose, in_axes=(None, None, 0, 0, 0, 0, 0, 0, None, None, None, None)
                )(tasks[a], rules[o], g, old, w, kept, numbers, loss, *batch)
                updates.append(update)
                memory.append(new)
            done.append((apply_updates(params, join(updates)), after, memory, value))
        params, stats, memory, values = zip(*done, strict=True)
        return State(params, stats, list(memory)), jnp.concatenate(values)

    def measure(state, x, y):
        columns = [
            jax.vmap(task.measure, in_axes=(0, 0, None, None, 0))(params, stats, x, y, numbers)
            for task, params, stats, numbers in zip(
                tasks, state.params, state.stats, for_tasks, strict=True
            )
        ]
        return join(columns)

    return Lifted(init, step, measure)
