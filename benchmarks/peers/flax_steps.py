"""flax.linen + optax, one run at a time: a Python loop around a jitted training step."""

import time
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.peers import Prepared
from benchmarks.peers.flax_model import (
    OPTIMIZERS,
    cross_entropy,
    describe_device,
    for_one_kind,
    gather,
    model_of,
    some,
    variables,
)
from benchmarks.workloads import Inputs, Losses, Workload

variants = for_one_kind


def prepare(work: Workload, inputs: Inputs, variant: None) -> Prepared:
    """Compile the step and the evaluation; batches are cut by numpy, as a data loader would."""
    del variant
    first, members = work.configs[0], some(work)
    model, optimizer = model_of(work, first), OPTIMIZERS[first.optimizer]
    loss = partial(cross_entropy, model)

    def step(params: Any, state: Any, rate: Any, x: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(params, x, y)
        updates, state = optimizer(rate).update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    def begin(i: int) -> tuple[Any, Any, np.float32]:
        params, rate = variables(inputs, work.configs[i]), np.float32(work.configs[i].rate)
        return jax.device_put(params), optimizer(rate).init(params), rate

    def batch(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inputs.train.x[rows], inputs.train.y[rows]

    began = time.perf_counter()
    params, state, rate = begin(members[0])
    rows = inputs.rows[0, 0]
    stepped = (
        jax.jit(step, donate_argnums=(0, 1)).lower(params, state, rate, *batch(rows)).compile()
    )
    measured = jax.jit(loss).lower(params, *inputs.valid).compile()
    tested = jax.jit(loss).lower(params, *inputs.test).compile()
    seconds = time.perf_counter() - began

    def train(i: int) -> Losses:
        params, state, rate = begin(i)
        history, held_out = [], []
        for epoch in inputs.rows:
            losses = []
            for rows in epoch:
                params, state, value = stepped(params, state, rate, *batch(rows))
                losses.append(value)
            history.append(np.mean([np.asarray(value) for value in losses]))
            held_out.append(np.asarray(measured(params, *inputs.valid)))
        test = np.asarray(tested(params, *inputs.test))
        return Losses(np.array([history]), np.array([held_out]), test[None])

    def run() -> Losses:
        return gather([train(i) for i in members], members)

    return Prepared(run, lambda: seconds, tuple(members), "1", describe_device())
