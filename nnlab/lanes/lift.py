"""Lift one run's step to the lanes of a chunk, each categorical choice a static segment.

Lanes are sorted by task (an activation, say), and within a task by rule (an optimizer). The
forward and backward pass of a task sees the one contiguous slice that is its own, and so does
each rule within it. No lane computes another lane's branch, no optimizer's state is carried for
lanes that do not use it, and tasks may have parameters of different shapes. (Updating the lanes of
a rule across all tasks in one go compiles fewer kernels, but costs copies: measured 7 % slower.)

Where segments are many, compiling their updates takes longer than anything else. There, a rule
that treats all numbers alike gets a lane's weights as one vector: one kernel, not one for each
array. With 48 optimizers and a net of 12 arrays a program compiles in 12 s instead of 32 and runs
2 % slower; with 72 small segments in 9 s instead of 30, 2 % slower; with one segment it would run
11 % slower for the sake of a second.

`jax.vmap` keeps what lanes share unbatched, so the first layer of C lanes that read the same batch
is one [batch, in] x [in, C * out] product, forward and in the weight gradient (`nn.products`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.lanes.segments import Segments, concatenate, of_flat, over, split
from nnlab.lanes.stored import stored_rule, stored_task
from nnlab.train.loop import State, Trainer, apply_updates, gradient, propose
from nnlab.train.task import Moment, Numbers, Rule, Task
from nnlab.types import Array, PRNGKey


class Layout(NamedTuple):
    """Which lanes of a chunk belong to which task and rule; static and hashable."""

    tasks: tuple[Task, ...]
    rules: tuple[Rule, ...]
    counts: tuple[tuple[int, ...], ...]
    """counts[task][rule]: so many neighbouring lanes."""

    @property
    def lanes(self) -> int:
        return sum(map(sum, self.counts))


def lift(
    layout: Layout,
    for_tasks: tuple[Numbers, ...],
    for_rules: tuple[Numbers, ...],
    key: PRNGKey,
    flat: bool = False,
) -> tuple[Callable[[tuple, tuple], State], Trainer]:
    """How `layout.lanes` runs of one seed begin and train; numbers are [lanes of the segment].

    Params and stats are tuples with one tree per task, its leaves [lanes of the task, ...], params
    in stored order. A state keeps the params of each segment apart, where its rule updates them; a
    settled one has them as trees again.
    `for_tasks[a]` follows the lanes of task a; `for_rules[o]` the lanes of rule o, in the order of
    the tasks they belong to. `key` is the rules' own. With `flat`, rules that can take a lane's
    numbers as one vector do.
    """
    counts = layout.counts
    tasks, rules = tuple(map(stored_task, layout.tasks)), tuple(map(stored_rule, layout.rules))
    segments = [Segments(rules, row, flat) for row in counts]
    numbers = numbers_of_segments(segments, counts, for_tasks, for_rules)

    def init(params, stats):
        weights, memory = [], []
        for tree, segment, own in zip(params, segments, numbers, strict=True):
            weights.append(segment.pieces(tree))
            memory.append(
                [
                    over(size, rules[o].init, (0, 0, None))(w, for_rule, key)
                    for o, size, w, (_, for_rule) in zip(
                        segment.rules, segment.sizes, weights[-1], own, strict=True
                    )
                ]
            )
        return State(weights, stats, memory)

    def step(state, x, y, moment):
        done = []
        for a, segment in enumerate(segments):
            params, stats = segment.whole(state.params[a]), state.stats[a]
            value, after, gradients = jax.vmap(gradient, in_axes=(None, 0, 0, None, None, 0, None))(
                tasks[a], params, stats, x, y, for_tasks[a], moment.noise
            )
            task, moved, memory = of_flat(tasks[a]), [], []
            for o, size, g, old, w, kept, own, loss in zip(
                segment.rules, segment.sizes, segment.pieces(gradients), state.memory[a],
                state.params[a], split(stats, segment.sizes), numbers[a],
                split(value, segment.sizes), strict=True,
            ):  # fmt: skip
                update, new = over(
                    size, propose, (None, None, 0, 0, 0, 0, 0, 0, None, None, None, None)
                )(task, rules[o], g, old, w, kept, own, loss, x, y, moment, key)
                moved.append(apply_updates(w, update))
                memory.append(new)
            done.append((moved, after, memory, value))
        params, stats, memory, values = map(list, zip(*done, strict=True))
        return State(params, tuple(stats), memory), jnp.concatenate(values)

    def each(functions, state, *batch):
        """A function of each task on its own lanes, which share the batch."""
        axes = (0, 0, *(None for _ in batch), 0)
        columns = [
            jax.vmap(function, in_axes=axes)(params, stats, *batch, numbers)
            for function, params, stats, numbers in zip(
                functions, state.params, state.stats, for_tasks, strict=True
            )
        ]
        return concatenate(columns)

    def measure(state, x, y):
        return each([task.measure for task in tasks], state, x, y)

    def watch(state):
        return each([task.watch for task in tasks], state)

    def observe(state, x, y):
        return each([task.observe for task in tasks], state, x, y)

    def outputs(state, x):
        return each([task.outputs for task in tasks], state, x)

    settled, renewed = partial(settle, rules, segments), partial(renew, tasks, segments, for_tasks)
    return init, Trainer(step, settled, renewed, measure, watch, observe, outputs)


def numbers_of_segments(
    segments: Sequence[Segments],
    counts: Sequence[Sequence[int]],
    for_tasks: Sequence[Numbers],
    for_rules: Sequence[Numbers],
) -> list[list[tuple[Numbers, Numbers]]]:
    """The task's and the rule's numbers of every segment of every task."""
    columns = [split(numbers, [row[o] for row in counts]) for o, numbers in enumerate(for_rules)]
    return [
        [
            (for_task, columns[o][a])
            for o, for_task in zip(segment.rules, split(own, segment.sizes), strict=True)
        ]
        for a, (segment, own) in enumerate(zip(segments, for_tasks, strict=True))
    ]


def settle(
    rules: Sequence[Rule], segments: Sequence[Segments], state: State
) -> tuple[State, list[list[bool]]]:
    """The state to evaluate, its params one tree per task, and which segments of each average."""
    done, averages = [], []
    for segment, params, memory in zip(segments, state.params, state.memory, strict=True):
        found = [
            over(size, rules[o].settle, (0, 0))(old, w)
            for o, size, old, w in zip(segment.rules, segment.sizes, memory, params, strict=True)
        ]
        averages.append([average is not None for average in found])
        chosen = [w if new is None else new for new, w in zip(found, params, strict=True)]
        done.append(segment.whole(chosen))
    return state._replace(params=tuple(done)), averages


def renew(
    tasks: Sequence[Task],
    segments: Sequence[Segments],
    for_tasks: Sequence[Numbers],
    state: State,
    averages: Sequence[Sequence[bool]],
    x: Array,
    y: Array,
    moment: Moment,
) -> State:
    """The settled state with the statistics of averages after one more batch."""
    done = []
    for task, segment, numbers, params, old, averaged in zip(
        tasks, segments, for_tasks, state.params, state.stats, averages, strict=True
    ):
        if not any(averaged):
            done.append(old)
            continue
        of_lanes = jax.vmap(task.loss, in_axes=(0, 0, None, None, 0, None))
        _, new = of_lanes(params, old, x, y, numbers, moment.noise)
        lanes = np.repeat(averaged, segment.sizes)
        done.append(trees.map(partial(choose, lanes), new, old))
    return state._replace(stats=tuple(done))


def choose(lanes: np.ndarray, new: Array, old: Array) -> Array:
    """The rows of `new` where lanes is true, of `old` elsewhere; lanes is known when compiling."""
    if lanes.all():
        return new
    return jnp.where(lanes.reshape(-1, *(1 for _ in new.shape[1:])), new, old)
