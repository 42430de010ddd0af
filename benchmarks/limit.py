"""What this machine can do: one large float32 matrix product, one large copy, on all cores."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared
from benchmarks.workloads import Workload
from nnlab.lanes.devices import cores

REPEATS = 5
COPIED = 2**28
"""Bytes of the array that is copied: larger than any cache."""


def seconds(function: Callable[[], object]) -> float:
    """The median of a few runs."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


def variants(work: Workload) -> tuple[int]:
    """The size of the matrices."""
    return (work.limit,)


def prepare(work: Workload, inputs: Inputs, size: int) -> Prepared:
    """XLA's and numpy's product of [size, size] matrices, and copy of a long vector.

    The faster of the two is the limit: GFLOP/s at 2 size^3 operations, and GB/s, each byte counted
    when it is read and when it is written. Toy sizes copy as little as they multiply.
    """
    del work, inputs
    random = np.random.Generator(np.random.PCG64(0))
    a, b = random.standard_normal((2, size, size), np.float32)
    source = np.ones(min(COPIED // 4, size**3 // 32), np.float32)
    target = np.ones_like(source)
    x, y, long = jnp.asarray(a), jnp.asarray(b), jnp.asarray(source)
    began = time.perf_counter()
    product = jax.jit(jnp.matmul).lower(x, y).compile()
    negative = jax.jit(jnp.negative).lower(long).compile()
    compiling = time.perf_counter() - began
    pool = ThreadPoolExecutor(cores())
    pieces = list(
        zip(np.array_split(target, cores()), np.array_split(source, cores()), strict=True)
    )

    def copy() -> None:
        list(pool.map(lambda piece: np.copyto(*piece), pieces))

    def run() -> dict[str, dict[str, float]]:
        flops, moved = 2 * size**3 / 1e9, 2 * source.nbytes / 1e9
        return {
            "GFLOP/s": {
                "xla": flops / seconds(lambda: product(x, y).block_until_ready()),
                "numpy": flops / seconds(lambda: a @ b),
            },
            "GB/s": {
                "xla": moved / seconds(lambda: negative(long).block_until_ready()),
                "numpy": moved / seconds(copy),
            },
        }

    return Prepared(run, lambda: compiling, (), "", str(jax.devices()[0]))
