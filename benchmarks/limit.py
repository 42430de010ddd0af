"""What this machine can do: the rate of one large float32 matrix product on all cores."""

import time
from collections.abc import Callable
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import Prepared
from benchmarks.workloads import Inputs, Workload

REPEATS = 5


def rate(product: Callable[[], object], size: int) -> float:
    """GFLOP/s, the median of a few products."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        product()
        times.append(time.perf_counter() - began)
    return 2 * size**3 / median(times) / 1e9


def variants(work: Workload) -> tuple[int]:
    """The size of the matrices."""
    return (work.limit,)


def prepare(work: Workload, inputs: Inputs, size: int) -> Prepared:
    """XLA's product and numpy's BLAS on [size, size] matrices; the faster is the limit."""
    del work, inputs
    random = np.random.Generator(np.random.PCG64(0))
    a, b = random.standard_normal((2, size, size), np.float32)
    x, y = jnp.asarray(a), jnp.asarray(b)
    began = time.perf_counter()
    product = jax.jit(jnp.matmul).lower(x, y).compile()
    seconds = time.perf_counter() - began

    def run() -> dict[str, float]:
        return {
            "xla": rate(lambda: product(x, y).block_until_ready(), size),
            "numpy": rate(lambda: a @ b, size),
        }

    return Prepared(run, lambda: seconds, (), "", str(jax.devices()[0]))
