"""nnlab's own engine: the planner's chunks, one program, one host device per core.

`run` is the loop of `nnlab.sweeps.execute.train_group` without the store: rounds in line, and every
chunk's record back in numpy.
"""

from collections.abc import Sequence

import jax
import numpy as np

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared
from benchmarks.workloads import Losses, Workload
from nnlab.lanes.devices import describe, devices
from nnlab.lanes.devices import prepare as use_all_cores
from nnlab.lanes.program import Program
from nnlab.lanes.rounds import train_rounds
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.execute import chunk_arrays
from nnlab.sweeps.starts import Starts
from nnlab.sweeps.sweep import Sweep

use_all_cores()  # before this process first computes


def variants(work: Workload) -> tuple[None]:  # noqa: ARG001
    """The planner chooses the lanes."""
    return (None,)


def make_sweep(work: Workload) -> Sweep:
    """The workload as a user writes it."""
    return Sweep(
        work.model,
        work.dataset,
        {
            "init": work.inits,
            "activation": work.activations,
            "optimizer": work.optimizers,
            "learning_rate": work.rates,
            "seed": work.seeds,
        },
        batch_norm=work.batch_norm,
        dropout=work.dropout,
        batch_size=work.batch,
        epochs=work.epochs,
    )


def prepare(work: Workload, inputs: Inputs | None = None, variant: int | None = None) -> Prepared:
    """Plan, with a variant's number of lanes if any; the first run compiles.

    `inputs` is not used: nnlab draws its own.
    """
    del inputs
    return prepare_sweep(make_sweep(work), variant)


def prepare_sweep(sweep: Sweep, lanes: int | None = None) -> Prepared:
    """The engine on a sweep of one program."""
    (group,) = sweep.groups(lanes)
    program = Program(
        group.plan, group.layout(sweep.data), program_data(sweep.data), devices(), group.together
    )
    starts = Starts(sweep.data, group.batch_norm)
    width = len(program.devices)
    chunks = list(group.chunks())
    rounds = [chunks[i : i + width] for i in range(0, len(chunks), width)]

    def stack(round_: Sequence[tuple[int, int]]):
        ready = [group.chunk(*chunk, starts) for chunk in round_]
        return ready + ready[-1:] * (width - len(ready))

    def run() -> Losses:
        found = {}
        for round_, (record, _) in zip(
            rounds, train_rounds(program.place, program, map(stack, rounds)), strict=True
        ):
            for device, chunk in enumerate(round_):
                one = jax.tree.map(lambda a, d=device: a[d], record)
                arrays = dict(chunk_arrays(group, *chunk, one))
                histories = [arrays[k] for k in ("train_loss", "val_loss", "test_loss")]
                for s, seed in enumerate(arrays["seed"].tolist()):
                    for lane, recipe in enumerate(arrays["recipe"].tolist()):
                        found[recipe, seed] = [a[s, lane] for a in histories]
        seeds = sweep.axes["seed"]
        rows = [found[cell, s] for cell in sweep.grid.cells.ravel().tolist() for s in seeds]
        return Losses(*map(np.stack, zip(*rows, strict=True)))

    return Prepared(
        run,
        lambda: program.compile_seconds,
        tuple(range(sweep.grid.cells.size * len(sweep.axes["seed"]))),
        f"{group.shape.lanes} on each of {width}",
        describe(),
    )
