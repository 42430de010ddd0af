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
    Run,
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
    programs: list[Any] = []
    kinds = [cut(members, variant) for members in homogeneous(work)]
    order = [i for parts in kinds for part in parts for i in part]

    def arrays(inputs: Inputs) -> list[list[Run]]:
        return [[stacked(work, inputs, part) for part in parts] for parts in kinds]

    ready = arrays(inputs)
    for parts, batches in zip(kinds, ready, strict=True):
        first = work.configs[parts[0][0]]
        function = partial(train, model_of(work, first), OPTIMIZERS[first.optimizer])
        began = time.perf_counter()
        lifted = jax.jit(jax.vmap(function, in_axes=(lanes_of(work), None)))
        programs.append(lifted.lower(batches[0], data).compile())
        seconds += time.perf_counter() - began

    def run(ready: list[list[Run]] = ready) -> Losses:
        pairs = zip(programs, ready, strict=True)
        return gather([program(batch, data) for program, b in pairs for batch in b], order)

    return Prepared(
        run, lambda: seconds, tuple(sorted(order)), f"{variant}", describe_device(),
        retrain=lambda inputs: run(arrays(inputs)),
    )  # fmt: skip
