"""flax.linen + optax, `jit(vmap(scan over epochs and steps))` on jax's default device.

All lanes of a seed read the same batches, as in nnlab. The lanes share one activation and one
optimizer: a workload that mixes them is one program for each pair, compiled and trained one after
the other, and their compile times and run times are added up.
"""

import time
from functools import partial
from typing import Any

import jax

from benchmarks.inputs import Inputs
from benchmarks.peers import MOST_PROGRAMS, Prepared, cut, gather, homogeneous
from benchmarks.peers.flax_model import (
    OPTIMIZERS,
    describe_device,
    lanes_of,
    model_of,
    on_device,
    stacked,
    train,
)
from benchmarks.workloads import Losses, Workload


def variants(work: Workload) -> tuple[int, ...]:
    """Lanes in a program."""
    return work.lanes if len(homogeneous(work)) <= MOST_PROGRAMS else ()


def prepare(work: Workload, inputs: Inputs, variant: int) -> Prepared:
    """Compile one program for each pair of activation and optimizer."""
    data = on_device(inputs)
    seconds = 0.0
    programs: list[tuple[Any, list[Any]]] = []
    order: list[int] = []
    for members in homogeneous(work):
        first = work.configs[members[0]]
        batches = [stacked(work, inputs, part) for part in cut(members, variant)]
        function = partial(train, model_of(work, first), OPTIMIZERS[first.optimizer])
        began = time.perf_counter()
        lifted = jax.jit(jax.vmap(function, in_axes=(lanes_of(work), None)))
        programs.append((lifted.lower(batches[0], data).compile(), batches))
        seconds += time.perf_counter() - began
        order += members

    def run() -> Losses:
        running = [program(batch, data) for program, batches in programs for batch in batches]
        return gather(running, order)

    return Prepared(run, lambda: seconds, tuple(sorted(order)), f"{variant}", describe_device())
