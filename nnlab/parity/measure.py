"""What an optimizer costs beside gradient descent: memory per parameter, and time per step."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nnlab import trees
from nnlab.parity.case import construct, told
from nnlab.types import Params, Scalar

REPEATS = 7
LONG, SHORT = 200, 10
"""Steps per timing; the fewer where the more would take longer than PATIENCE, in seconds."""
PATIENCE = 0.25
SHAPES = ((220, 220), (1600,))
"""A matrix and a vector, 50,000 weights."""
CURVATURES = [np.logspace(-4, 0, np.prod(n, dtype=int), dtype=np.float32) for n in SHAPES]

Clock = Callable[[int], float]
"""Steps -> seconds."""


def state_bytes_per_parameter(name: str) -> float:
    """The bytes that an optimizer keeps for each float32 weight of a 256 x 256 matrix."""
    w = jax.ShapeDtypeStruct((256, 256), jnp.float32)
    state = jax.eval_shape(construct(name).init, w)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)) / w.size


def parabola(w: Params) -> Scalar:
    """sum_i h_i w_i^2 / 2 with curvatures h from 1e-4 to 1 in every array."""
    sums = [jnp.sum(h.reshape(x.shape) * x**2) for h, x in zip(CURVATURES, w, strict=True)]
    return 0.5 * jnp.stack(sums).sum()


def clock(name: str) -> Clock:
    """An optimizer's stopwatch, compiled: the time of some steps on the parabola."""
    tx = optax.with_extra_args_support(construct(name))
    rng = np.random.default_rng(0)
    w = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in SHAPES]

    def step(_: Any, carry: Any) -> Any:
        w, state = carry
        value, g = jax.value_and_grad(parabola)(w)
        u, state = tx.update(g, state, w, **told(name, parabola, value, g))
        return trees.map(jnp.add, w, u), state

    @jax.jit
    def run(carry: Any, steps: Any) -> Any:
        return jax.lax.fori_loop(0, steps, step, carry)

    warm = jax.block_until_ready(run((w, tx.init(w)), SHORT))

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        jax.block_until_ready(run(warm, steps))
        return time.perf_counter() - began

    return seconds


def update_cost(optimizer: Clock, sgd: Clock) -> float:
    """The time of a step relative to gradient descent's: the median of interleaved repeats.

    A step is the gradient of a parabola, the update and its addition to 50,000 float32 weights.
    """
    steps = LONG if optimizer(SHORT) * LONG / SHORT < PATIENCE else SHORT
    return median(optimizer(steps) / steps / (sgd(LONG) / LONG) for _ in range(REPEATS))
