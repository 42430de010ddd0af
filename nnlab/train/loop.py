"""The training loop: epochs of shuffled batches, a record per epoch, a test at the end.

The loop knows nothing of lanes. `train_run` closes it over one run; `nnlab.lanes` closes the same
loop over many. Sums over examples and steps are ordered by the data, never by the lanes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.train.keys import Stream, stream
from nnlab.train.order import order
from nnlab.train.task import Moment, Numbers, Rule, Stats, Task
from nnlab.types import AnyArray, Array, Int, Params, PRNGKey, Scalar

PRECISIONS = {
    "float32": "float32",
    "tensorfloat32": "TF32_TF32_F32",
    "bfloat16": "BF16_BF16_F32",
}
"""How factors of float32 matrix products may be rounded, with jax's names; sums are float32, but
results of an accelerator's bfloat16 convolutions are rounded too."""


class Plan(NamedTuple):
    """What shapes the loop; hashable: a new plan compiles a new program."""

    batch_size: int
    epochs: int
    precision: str = "float32"
    """One of `PRECISIONS`."""
    reshuffle: bool = True
    """Whether every epoch has an order of its own; False replays the first one's."""
    keep: tuple[str, ...] = ()
    """Sets whose outputs are kept once training ends: of "val" and "test"."""
    fit: bool = False
    """Whether the training set is measured after every epoch, as the validation set is."""


class Examples(NamedTuple):
    """A set to evaluate on, cut into equal batches; `weight` is 0 on what fills the last."""

    x: AnyArray
    y: AnyArray
    weight: AnyArray


EVALUATION_BATCH = 1000
"""The most examples evaluated at once; it bounds memory, not results."""


def equal_batches(examples: int) -> tuple[int, int]:
    """How many equal batches of at most 1,000, and their size."""
    count = ceil(examples / EVALUATION_BATCH)
    return count, ceil(examples / count)


def in_batches(x: AnyArray, y: AnyArray) -> Examples:
    """The fewest equal batches of at most 1,000; copies of weight 0 fill the last one.

    Of the last example: on its target a loss is defined, on zeros it may be infinite.
    """
    examples = y.shape[0]
    count, size = equal_batches(examples)

    def cut(array, mode):
        pad = np.pad if isinstance(array, np.ndarray) else jnp.pad
        padding = [(0, count * size - examples)] + [(0, 0)] * (array.ndim - 1)
        return pad(array, padding, mode).reshape(count, size, *array.shape[1:])

    weight = cut(np.ones(examples, np.float32), "constant")
    return Examples(cut(x, "edge"), cut(y, "edge"), weight)


class Data(NamedTuple):
    """The arrays a program reads; `x` keeps its storage dtype (uint8 images stay uint8).

    The network sees (x - offset) * scale, computed in float32 inside the program.
    """

    x: AnyArray
    y: AnyArray
    valid: Examples
    test: Examples
    offset: AnyArray
    scale: AnyArray


class State(NamedTuple):
    """What the next step needs: parameters, model statistics, optimizer memory."""

    params: Any
    stats: Any
    memory: Any


class Record(NamedTuple):
    """What a person looks at: at the start, per epoch, and once at the end."""

    train_loss: AnyArray
    """Mean over the epoch's batches, each taken before its update."""
    valid: dict[str, AnyArray]
    test: dict[str, AnyArray]
    fit: dict[str, AnyArray]
    """Of the training set after every epoch, where the plan says so."""
    watched: Mapping[str, AnyArray]
    begun: Mapping[str, AnyArray]
    """What is watched, before the first step."""
    observed: dict[str, AnyArray]
    """What the task observes: at the start, then after every epoch."""
    outputs: dict[str, AnyArray]
    """Of each set that the plan keeps: [..., examples, outputs], padding at the end."""


class Trainer(NamedTuple):
    """What the loop does to a state, of one run or of many."""

    step: Callable[[State, Array, Array, Moment], tuple[State, Array]]
    """step(state, x, y, moment) -> (state, loss before the update)."""
    settle: Callable[[State], tuple[State, Any]]
    """The state to evaluate, and which of its weights are averages: a tree of bools."""
    renew: Callable[[State, Any, Array, Array, Moment], State]
    """renew(settled state, averages, x, y, moment): statistics of averages after one more batch."""
    measure: Callable[[State, Array, Array], dict[str, Array]]
    """measure(settled state, x, y) -> metrics of every example, the batch as last axis."""
    watch: Callable[[State], Mapping[str, AnyArray]]
    """watch(settled state) -> what its parameters alone say."""
    observe: Callable[[State, Array, Array], dict[str, Array]]
    """observe(settled state, x, y) -> whatever else is recorded, of the batch as a whole."""
    outputs: Callable[[State, Array], Array]
    """outputs(settled state, x) -> [..., batch, outputs]."""


def train(
    plan: Plan, trainer: Trainer, state: State, data: Data, key: PRNGKey
) -> tuple[State, Record]:
    """Train `plan.epochs` epochs; one run or many, as the trainer decides.

    Every epoch visits the training set in a new order, unless the plan replays the first, and drops
    the remainder that does not fill a batch. Noise of step t (counted from the start) comes from
    fold_in(noise, t). What is observed is observed on one fixed batch: the first with which
    validation is measured. Statistics belong to the weights that trained: where averages are
    evaluated, theirs come from the epoch's batches again (Izmailov et al., UAI 2018, section 3.2).
    """
    over_batches = partial(scan_batches, plan, data, key)

    def measure(settled, batch):
        return trainer.measure(settled, decode(data, batch.x), batch.y)

    def evaluate(settled, examples):
        def add(sums, batch):
            def weighted(s, v):  # no product of matrices, whose precision may be low
                return s + jnp.sum(v * jnp.broadcast_to(batch.weight, v.shape), -1)

            return trees.map(weighted, sums, measure(settled, batch)), None

        first = trees.map(lambda a: a[0], examples)
        shapes = jax.eval_shape(measure, settled, first)
        zeros = trees.map(lambda s: jnp.zeros(s.shape[:-1], s.dtype), shapes)
        sums, _ = jax.lax.scan(add, zeros, examples)
        return trees.map(lambda s: s / jnp.sum(examples.weight), sums)

    def observe(settled):
        batch = trees.map(lambda a: a[0], data.valid)
        return trainer.observe(settled, decode(data, batch.x), jnp.asarray(batch.y))

    def answers(settled, examples):
        found = jax.lax.map(lambda x: trainer.outputs(settled, decode(data, x)), examples.x)
        found = jnp.moveaxis(found, 0, -3)
        return found.reshape(*found.shape[:-3], -1, found.shape[-1])

    whole = in_batches(data.x, data.y) if plan.fit else None

    def settle(state, number):
        settled, averages = trainer.settle(state)
        if not (any(jax.tree.leaves(averages)) and jax.tree.leaves(state.stats)):
            return settled

        def one(settled, x, y, moment):
            return trainer.renew(settled, averages, x, y, moment), None

        return over_batches(one, settled, number)[0]

    def epoch(state, number):
        state, losses = over_batches(trainer.step, state, number)
        settled = settle(state, number)
        fit = {} if whole is None else evaluate(settled, whole)
        now = evaluate(settled, data.valid), fit, trainer.watch(settled), observe(settled)
        return state, (jnp.mean(losses, axis=0), *now)

    with jax.default_matmul_precision(PRECISIONS[plan.precision]):
        (settled, _), sets = trainer.settle(state), {"val": data.valid, "test": data.test}
        begun, first = trainer.watch(settled), observe(settled)
        state, history = jax.lax.scan(epoch, state, jnp.arange(plan.epochs))
        train_loss, valid, fit, watched, later = history
        settled = settle(state, jnp.asarray(plan.epochs - 1))
        observed = trees.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)
        outputs: dict[str, AnyArray] = {name: answers(settled, sets[name]) for name in plan.keep}
        test = evaluate(settled, data.test)
        return state, Record(train_loss, valid, test, fit, watched, begun, observed, outputs)


def decode(data: Data, x: AnyArray) -> Array:
    """Stored examples as the network sees them."""
    return (jnp.asarray(x).astype(jnp.float32) - data.offset[None]) * data.scale[None]


def scan_batches(
    plan: Plan,
    data: Data,
    key: PRNGKey,
    one: Callable[[Any, Array, Array, Moment], tuple[Any, Any]],
    state: Any,
    number: Int[Array, ""],
) -> tuple[Any, Any]:
    """Scan one(state, x, y, moment) over the batches of epoch `number`."""
    steps = data.y.shape[0] // plan.batch_size
    shuffle = number if plan.reshuffle else jnp.zeros_like(number)
    rows = order(stream(key, Stream.ORDER), shuffle, data.y.shape[0], steps, plan.batch_size)
    noise = stream(key, Stream.NOISE)

    def next_batch(state, now):
        t, rows = now
        x, y = decode(data, jnp.asarray(data.x)[rows]), jnp.asarray(data.y)[rows]
        return one(state, x, y, Moment(t, jax.random.fold_in(noise, t)))

    return jax.lax.scan(next_batch, state, (number * steps + jnp.arange(steps), rows))


def gradient(
    task: Task, params: Params, stats: Stats, x: Array, y: Array, numbers: Numbers, key: PRNGKey
) -> tuple[Scalar, Stats, Params]:
    """Loss, new statistics and gradient of one run on one batch."""

    def loss(params):
        return task.loss(params, stats, x, y, numbers, key)

    (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    return value, stats, gradients


def propose(
    task: Task,
    rule: Rule,
    gradients: Params,
    memory: Any,
    params: Params,
    stats: Stats,
    numbers: tuple[Numbers, Numbers],
    value: Scalar,
    x: Array,
    y: Array,
    moment: Moment,
    key: PRNGKey,
) -> tuple[Params, Any]:
    """Updates and new memory of one run; a line search may ask for the batch's loss again."""
    for_task, for_rule = numbers

    def loss(params):
        return task.loss(params, stats, x, y, for_task, moment.noise)[0]

    return rule.update(gradients, memory, params, for_rule, key, moment.step, value, loss)


def apply_updates(params: Params, updates: Params) -> Params:
    """The parameters after a step: w + u, in the dtype of w."""
    return trees.map(lambda w, u: (w + u).astype(w.dtype), params, updates)


def train_run(
    plan: Plan,
    task: Task,
    rule: Rule,
    start: tuple[Params, Stats],
    numbers: tuple[Numbers, Numbers],
    data: Data,
    key: PRNGKey,
) -> tuple[State, Record]:
    """One run, alone: the plain program that `nnlab.lanes` must reproduce.

    `start` is the initial (params, stats); `numbers` the task's and the rule's hyperparameters.
    """
    for_task, for_rule = numbers
    own = stream(key, Stream.UPDATES)

    def step(state, x, y, moment):
        params, stats, memory = state
        value, after, gradients = gradient(task, params, stats, x, y, for_task, moment.noise)
        updates, memory = propose(
            task, rule, gradients, memory, params, stats, numbers, value, x, y, moment, own
        )
        return State(apply_updates(params, updates), after, memory), value

    def settle(state):
        settled = rule.settle(state.memory, state.params)
        return (state, False) if settled is None else (state._replace(params=settled), True)

    def renew(state, averages, x, y, moment):
        del averages
        _, stats = task.loss(state.params, state.stats, x, y, for_task, moment.noise)
        return state._replace(stats=stats)

    def measure(state, x, y):
        return task.measure(state.params, state.stats, x, y, for_task)

    def watch(state):
        return task.watch(state.params, state.stats, for_task)

    def observe(state, x, y):
        return task.observe(state.params, state.stats, x, y, for_task)

    def outputs(state, x):
        return task.outputs(state.params, state.stats, x, for_task)

    params, stats = start
    state = State(params, stats, rule.init(params, for_rule, own))
    trainer = Trainer(step, settle, renew, measure, watch, observe, outputs)
    return train(plan, trainer, state, data, key)
