"""flax.linen + optax, one run at a time: a Python loop around a jitted training step."""

import time
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared, gather, some
from benchmarks.peers.flax_model import (
    OPTIMIZERS,
    cross_entropy,
    describe_device,
    for_one_kind,
    model_of,
    one_run,
)
from benchmarks.workloads import Losses, Workload

variants = for_one_kind


def prepare(work: Workload, inputs: Inputs, variant: None) -> Prepared:
    """Compile the step and the evaluation; batches are cut by numpy, as a data loader would."""
    del variant
    first, members = work.configs[0], some(work)
    model, optimizer = model_of(work, first), OPTIMIZERS[first.optimizer]
    loss = partial(cross_entropy, model)

    def step(carry: Any, rate: Any, noise: Any, t: Any, x: Any, y: Any) -> Any:
        params, stats, state = carry
        key = jax.random.fold_in(noise, t)
        (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(params, stats, x, y, key)
        updates, state = optimizer(rate).update(gradients, state, params)
        return (optax.apply_updates(params, updates), stats, state), value

    def evaluate(carry: Any, split: Any) -> Any:
        return loss(*carry[:2], *split)[0]

    def begin(i: int) -> tuple[Any, np.float32, Any]:
        run = one_run(inputs, work.configs[i])
        carry = run.params, run.stats, optimizer(run.rate).init(run.params)
        return jax.device_put(carry), run.rate, run.seed

    def batch(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inputs.train.x[rows], inputs.train.y[rows]

    began = time.perf_counter()
    carry, rate, seed = begin(members[0])
    example = carry, rate, seed.noise, np.int32(0), *batch(seed.rows[0, 0])
    stepped = jax.jit(step, donate_argnums=0).lower(*example).compile()
    measured = jax.jit(evaluate).lower(carry, inputs.valid).compile()
    tested = jax.jit(evaluate).lower(carry, inputs.test).compile()
    seconds = time.perf_counter() - began

    def train(i: int) -> Losses:
        carry, rate, seed = begin(i)
        history, held_out, t = [], [], 0
        for epoch in seed.rows:
            losses = []
            for rows in epoch:
                carry, value = stepped(carry, rate, seed.noise, np.int32(t), *batch(rows))
                losses.append(value)
                t += 1
            history.append(np.mean([np.asarray(value) for value in losses]))
            held_out.append(np.asarray(measured(carry, inputs.valid)))
        test = np.asarray(tested(carry, inputs.test))
        return Losses(np.array([history]), np.array([held_out]), test[None])

    def run() -> Losses:
        return gather([train(i) for i in members], members)

    return Prepared(run, lambda: seconds, tuple(members), "1", describe_device())
