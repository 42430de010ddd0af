"""flax.linen + optax, one run at a time: `jit(scan over epochs and steps)`, compiled once."""

import time
from functools import partial

import jax
import numpy as np

from benchmarks.peers import Prepared
from benchmarks.peers.flax_model import (
    OPTIMIZERS,
    describe_device,
    for_one_kind,
    gather,
    model_of,
    on_device,
    some,
    train,
    variables,
)
from benchmarks.workloads import Inputs, Losses, Workload

variants = for_one_kind


def prepare(work: Workload, inputs: Inputs, variant: None) -> Prepared:
    """Compile the program of one run and train some of the configs with it."""
    del variant
    first, members, data = work.configs[0], some(work), on_device(inputs)
    starts = [variables(inputs, work.configs[i]) for i in members]
    rates = [np.float32(work.configs[i].rate) for i in members]
    began = time.perf_counter()
    function = partial(train, model_of(work, first), OPTIMIZERS[first.optimizer])
    program = jax.jit(function).lower(starts[0], rates[0], data).compile()
    seconds = time.perf_counter() - began

    def run() -> Losses:
        running = [program(*run, data) for run in zip(starts, rates, strict=True)]
        return gather([[np.asarray(a)[None] for a in one] for one in running], members)

    return Prepared(run, lambda: seconds, tuple(members), "1", describe_device())
