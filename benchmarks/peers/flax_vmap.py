"""flax.linen + optax, `jit(vmap(scan over epochs and steps))` on jax's default device.

All lanes read the same batches, as in nnlab. The lanes share one activation and one optimizer: a
workload that mixes them is one program for each pair, compiled and trained one after the other, and
their compile times and run times are added up.
"""

import time
from functools import partial
from typing import Any

import jax

from benchmarks.peers import Prepared
from benchmarks.peers.flax_model import (
    OPTIMIZERS,
    describe_device,
    gather,
    homogeneous,
    model_of,
    on_device,
    stacked,
    train,
)
from benchmarks.workloads import Inputs, Losses, Workload


def variants(work: Workload) -> tuple[int, ...]:
    """Lanes in a program."""
    return work.lanes


def prepare(work: Workload, inputs: Inputs, variant: int) -> Prepared:
    """Compile one program for each pair of activation and optimizer."""
    data = on_device(inputs)
    seconds = 0.0
    programs: list[tuple[Any, list[Any]]] = []
    order: list[int] = []
    for members in homogeneous(work):
        first = work.configs[members[0]]
        lanes = min(variant, len(members))
        if len(members) % lanes:
            raise ValueError(f"{lanes} lanes do not divide {len(members)} configs")
        cuts = [members[i : i + lanes] for i in range(0, len(members), lanes)]
        batches = [stacked(inputs, [work.configs[i] for i in cut]) for cut in cuts]
        function = partial(train, model_of(work, first), OPTIMIZERS[first.optimizer])
        began = time.perf_counter()
        lifted = jax.jit(jax.vmap(function, in_axes=(0, 0, None)))
        programs.append((lifted.lower(*batches[0], data).compile(), batches))
        seconds += time.perf_counter() - began
        order += members

    def run() -> Losses:
        running = [program(*batch, data) for program, batches in programs for batch in batches]
        return gather(running, order)

    return Prepared(run, lambda: seconds, tuple(sorted(order)), f"{variant}", describe_device())
