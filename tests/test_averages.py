"""Where averages of weights are evaluated, batch norm's statistics are those of the averages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs, every_run, train_plainly

import nnlab
from nnlab.optim.core import evaluated
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.starts import Starts
from nnlab.train.keys import Stream, root, stream
from nnlab.train.loop import train_run
from nnlab.train.order import order

AVERAGED = {"optimizer": "momentum", "learning_rate": 0.1, "transform": "average_weights(0.9)"}


def test_averages_meet_the_last_epochs_batches_once_more_before_they_are_evaluated():
    sweep = nnlab.Sweep(
        nnlab.models.mlp([8]), blobs(), epochs=2, batch_size=20, batch_norm=True, **AVERAGED
    )
    (group,) = sweep.groups()
    layout, key, plan = group.layout(sweep.data), root(0), group.plan
    (task,), (rule,) = layout.tasks, layout.rules
    numbers = tuple({k: np.float32(v) for k, v in own[0].items()} for own in
                    (group.for_tasks, group.for_rules))  # fmt: skip
    start = jax.tree.map(lambda a: a[0], Starts(sweep.data, True)(group.recipes[0], [0]))
    data = jax.tree.map(jnp.asarray, program_data(sweep.data))
    run = jax.jit(train_run, static_argnums=(0, 1, 2))
    state, record = run(plan, task, rule, start, numbers, data, key)

    averages, stats = evaluated(state.memory, state.params), state.stats
    steps = data.y.shape[0] // plan.batch_size
    shuffled = order(stream(key, Stream.ORDER), jnp.int32(1), data.y.shape[0], steps, 20)
    x = (data.x.astype(jnp.float32) - data.offset[None]) * data.scale[None]
    for i, rows in enumerate(shuffled):
        noise = jax.random.fold_in(stream(key, Stream.NOISE), steps + i)
        _, stats = task.loss(averages, stats, x[rows], data.y[rows], numbers[0], noise)

    def loss(stats):
        test = data.test
        x = (test.x[0].astype(jnp.float32) - data.offset[None]) * data.scale[None]
        return float(task.measure(averages, stats, x, test.y[0], numbers[0])["loss"].mean())

    np.testing.assert_allclose(record.test["loss"], loss(stats), rtol=1e-5)
    assert abs(loss(state.stats) / loss(stats) - 1) > 0.01, "else this test tells nothing"


@pytest.mark.parametrize("lanes", [3, 64])
def test_lanes_that_average_and_lanes_that_do_not_train_beside_each_other_as_alone(lanes):
    axes = {
        "transform": ["none", "average_weights(0.9)", "lookahead"],
        "batch_norm": [False, True],
        "dropout": [0.0, 0.2],
        "activation": ["tanh", "maxout"],
    }
    sweep = nnlab.Sweep(
        nnlab.models.mlp([8]), blobs(), axes, epochs=2, batch_size=20, learning_rate=0.05
    )
    (group,) = sweep.groups(lanes=lanes)
    runs = every_run(group, sweep)
    for position in range(0, len(group.ids), 5):
        alone, run = train_plainly(sweep, group, position, 0), runs[group.ids[position], 0]
        np.testing.assert_allclose(run["val_loss"], alone.valid["loss"], rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(run["test_loss"], alone.test["loss"], rtol=2e-4, atol=2e-5)
