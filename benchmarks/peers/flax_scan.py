"""flax.linen + optax, one run at a time: `jit(scan over epochs and steps)`, compiled once."""

import time
from functools import partial

import jax
import numpy as np

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared, gather, some
from benchmarks.peers.flax_model import (
    OPTIMIZERS,
    describe_device,
    for_one_kind,
    model_of,
    on_device,
    one_run,
    train,
)
from benchmarks.workloads import Losses, Workload

variants = for_one_kind


def prepare(work: Workload, inputs: Inputs, variant: None) -> Prepared:
    """Compile the program of one run and train some of the configs with it."""
    del variant
    first, members, data = work.configs[0], some(work), on_device(inputs)
    runs = [one_run(inputs, work.configs[i]) for i in members]
    began = time.perf_counter()
    function = partial(train, model_of(work, first), OPTIMIZERS[first.optimizer])
    program = jax.jit(function).lower(runs[0], data).compile()
    seconds = time.perf_counter() - began

    def run() -> Losses:
        running = [program(run, data) for run in runs]
        return gather([[np.asarray(a)[None] for a in one] for one in running], members)

    return Prepared(run, lambda: seconds, tuple(members), "1", describe_device())
