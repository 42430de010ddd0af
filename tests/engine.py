"""Small sweeps for the engine's tests, and the plain loop they are held against."""

from functools import cache

import numpy as np

import nnlab
from nnlab.data.dataset import Dataset
from nnlab.lanes.devices import devices
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.execute import chunk_arrays
from nnlab.sweeps.group import Group
from nnlab.sweeps.starts import Starts
from nnlab.train.keys import root
from nnlab.train.loop import train_run


@cache
def blobs(classes: int = 3, per_class: int = 60, features: int = 5) -> Dataset:
    """A small data set of Gaussian clouds."""
    draw = np.random.default_rng(0)
    y = np.repeat(np.arange(classes), per_class)
    x = draw.normal(size=(len(y), features)) + 2 * draw.normal(size=(classes, features))[y]
    return nnlab.data.from_arrays(x.astype(np.float32), y, validation=30, test=30, name="blobs")


def mixed_sweep(**knobs) -> nnlab.Sweep:
    """Every kind of axis in one program."""
    axes = {
        "init": ["normal(0.5)", "he"],
        "activation": ["tanh", "leaky_relu(0.2)"],
        "optimizer": ["momentum(0.5)", "adam"],
        "learning_rate": [0.01, 0.1],
        "weight_decay": [0.0, 0.01],
        "dropout": [0.0, 0.2],
        "batch_norm": [False, True],
        "seed": [0, 1],
    }
    return nnlab.Sweep(
        nnlab.models.mlp([8]), blobs(), axes, **{"epochs": 2, "batch_size": 20} | knobs
    )


def train_plainly(sweep: nnlab.Sweep, group: Group, position: int, seed: int) -> dict:
    """One run of a group through `train_run`: no lanes, no segments, no chunks."""
    import jax

    layout = group.layout(sweep.data)
    a, o = next(
        (a, o)
        for a, row in enumerate(group.segments)
        for o, members in enumerate(row)
        if position in members
    )
    starts = Starts(sweep.data, group.batch_norm)(group.recipes[position], [seed])
    start = jax.tree.map(lambda a: a[0], starts)
    numbers = [
        {k: np.bool_(v) if isinstance(v, bool) else np.float32(v) for k, v in row.items()}
        for row in (group.for_tasks[position], group.for_rules[position])
    ]
    run = jax.jit(train_run, static_argnums=(0, 1, 2))
    plan, task, rule = group.plan, layout.tasks[a], layout.rules[o]
    data = jax.tree.map(np.asarray, program_data(sweep.data))
    _, record = run(plan, task, rule, start, tuple(numbers), data, root(seed))
    return jax.tree.map(np.asarray, record)


def every_run(group: Group, sweep: nnlab.Sweep) -> dict:
    """Train all chunks of a group; {(recipe, seed): {metric: array}}."""
    import jax

    from nnlab.lanes.program import Program

    layout, found = group.layout(sweep.data), devices()
    program = Program(group.plan, layout, program_data(sweep.data), found)
    starts = Starts(sweep.data, group.batch_norm)
    runs = {}
    for chunk in group.chunks():
        record = program(program.place([group.chunk(*chunk, starts)] * len(found)))
        arrays = dict(chunk_arrays(group, *chunk, jax.tree.map(lambda a: np.asarray(a)[0], record)))
        recipes, seeds = arrays.pop("recipe"), arrays.pop("seed")
        for i, seed in enumerate(seeds):
            for j, recipe in enumerate(recipes):
                runs[int(recipe), int(seed)] = {k: v[i, j] for k, v in arrays.items()}
    return runs
