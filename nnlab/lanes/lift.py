"""Lift one run's step to the lanes of a chunk, each categorical choice a static segment.

Lanes are sorted by task (an activation, say), and within a task by rule (an optimizer). The
forward and backward pass of a task sees the one contiguous slice that is its own, and so does
each rule within it. No lane computes another lane's branch, no optimizer's state is carried for
lanes that do not use it, and tasks may have parameters of different shapes. (Updating the lanes of
a rule across all tasks in one go compiles fewer kernels, but costs copies: measured 7 % slower.)

Where segments are many, compiling their updates takes longer than anything else. There, a rule
that treats all numbers alike gets a lane's weights as one vector: one kernel, not one for each
array. With 48 optimizers and a net of 12 arrays it compiles in 20 s instead of 56 and runs 11 %
faster; with 72 small segments in 20 s instead of 59, about as fast; with one segment it would run
11 % slower for the sake of a second.

`jax.vmap` keeps what lanes share unbatched, so the first layer of C lanes that read the same batch
is one [batch, in] x [in, C * out] product, forward and in the weight gradient (`nn.products`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.lanes.segments import Segments, join, of_flat, split
from nnlab.lanes.stored import store, stored_rule, stored_task
from nnlab.train.loop import State, Trainer, apply_updates, gradient, propose
from nnlab.train.task import Numbers, Rule, Task
from nnlab.types import PRNGKey


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

    Params and stats are tuples with one tree per task, its leaves [lanes of the task, ...]; a
    state's params are in stored order.
    `for_tasks[a]` follows the lanes of task a; `for_rules[o]` the lanes of rule o, in the order of
    the tasks they belong to. `key` is the rules' own. With `flat`, rules that can take a lane's
    numbers as one vector do.
    """
    counts = layout.counts
    tasks, rules = tuple(map(stored_task, layout.tasks)), tuple(map(stored_rule, layout.rules))
    task_numbers = [split(numbers, row) for numbers, row in zip(for_tasks, counts, strict=True)]
    rule_numbers = [
        split(numbers, [row[o] for row in counts]) for o, numbers in enumerate(for_rules)
    ]
    segments = [Segments(rules, row, flat) for row in counts]

    def init(params, stats):
        params = tuple(jax.vmap(store)(tree) for tree in params)
        memory = [
            [
                by_lane(rules[o].init, (0, 0, None))(w, rule_numbers[o][a], key)
                for o, w in segment.pieces(params[a])
            ]
            for a, segment in enumerate(segments)
        ]
        return State(params, stats, memory)

    def step(state, x, y, moment):
        done = []
        for a, segment in enumerate(segments):
            params, stats = state.params[a], state.stats[a]
            value, after, gradients = jax.vmap(gradient, in_axes=(None, 0, 0, None, None, 0, None))(
                tasks[a], params, stats, x, y, for_tasks[a], moment.noise
            )
            columns = segment.pieces(params), segment.pieces(gradients)
            losses, kept = split(value, counts[a]), split(stats, counts[a])
            moved, memory = [], []
            for (o, w), (_, g), old in zip(*columns, state.memory[a], strict=True):
                numbers = task_numbers[a][o], rule_numbers[o][a]
                update, new = by_lane(
                    propose, (None, None, 0, 0, 0, 0, 0, 0, None, None, None, None)
                )(
                    of_flat(tasks[a], params), rules[o], g, old, w, kept[o], numbers, losses[o],
                    x, y, moment, key,
                )  # fmt: skip
                moved.append(apply_updates(w, update))
                memory.append(new)
            done.append((segment.whole(moved, params), after, memory, value))
        params, stats, memory, values = zip(*done, strict=True)
        return State(params, stats, list(memory)), jnp.concatenate(values)

    def each(functions, state, *batch):
        """A function of each task on its own lanes, which share the batch."""
        axes = (0, 0, *(None for _ in batch), 0)
        columns = [
            jax.vmap(function, in_axes=axes)(params, stats, *batch, numbers)
            for function, params, stats, numbers in zip(
                functions, state.params, state.stats, for_tasks, strict=True
            )
        ]
        return join(columns)

    def measure(state, x, y):
        return each([task.measure for task in tasks], state, x, y)

    def watch(state):
        return each([task.watch for task in tasks], state)

    def observe(state, x, y):
        return each([task.observe for task in tasks], state, x, y)

    def outputs(state, x):
        return each([task.outputs for task in tasks], state, x)

    return init, Trainer(step, partial(settle, rules, segments), measure, watch, observe, outputs)


def by_lane(function: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
    """`jax.vmap`, but a single lane loses its axis and gets it back.

    XLA sums the products of two [1, n] arrays 4 to 9 times as slowly as of two [n] on a CPU (jax
    0.10), and a sweep over many optimizers has many segments of one lane.
    """

    def call(*arguments: Any) -> Any:
        own = [x for x, axis in zip(arguments, axes, strict=True) if axis is not None]
        if jax.tree.leaves(own)[0].shape[0] > 1:
            return jax.vmap(function, axes)(*arguments)
        alone = [
            x if axis is None else trees.map(lambda a: a[0], x)
            for x, axis in zip(arguments, axes, strict=True)
        ]
        return trees.map(lambda a: jnp.asarray(a)[None], function(*alone))

    return call


def settle(rules: Sequence[Rule], segments: Sequence[Segments], state: State) -> State:
    """The state to evaluate: where a rule averages the weights of its lanes, with the averages."""
    done = []
    for segment, params, memory in zip(segments, state.params, state.memory, strict=True):
        trained = segment.pieces(params)
        averages = [
            by_lane(rules[o].settle, (0, 0))(old, w)
            for (o, w), old in zip(trained, memory, strict=True)
        ]
        if all(average is None for average in averages):
            done.append(params)
            continue
        chosen = [
            w if average is None else average
            for (_, w), average in zip(trained, averages, strict=True)
        ]
        done.append(segment.whole(chosen, params))
    return state._replace(params=tuple(done))
