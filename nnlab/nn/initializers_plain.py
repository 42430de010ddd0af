"""Initializers whose scale is given outright: constants, normals, uniforms.

Each factory returns a function (key, shape, dtype=float32) -> array.  One key and shape give the
same noise whatever the numbers, so runs that differ in a scale differ in nothing else.
"""

import math
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp

from nnlab.errors import UsageError
from nnlab.types import Array, Float, Initializer, Number, PRNGKey, Shape

FAR, FAR_IN_HALF = 4.0, 2.0
"""Deviations beyond which the error function leaves a float too few numbers to draw from."""


def check_scale(name: str, value: Any) -> None:
    """Raise UsageError for a negative Python or numpy number; a traced one passes."""
    if isinstance(value, Real) and value < 0:
        raise UsageError(f"{name} is {value:g}; it needs {name} >= 0; try {-value:g}")


def zeros() -> Initializer:
    """All weights 0: for biases, as layers of equal weights stay equal."""
    return constant(0.0)


def ones() -> Initializer:
    """All weights 1: for scales."""
    return constant(1.0)


def constant(value: Number = 0.0) -> Initializer:
    """All weights equal to a value: w = value."""

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        del key
        return jnp.full(shape, value, dtype)

    return init


def normal(std: Number = 0.01, mean: Number = 0.0) -> Initializer:
    """Normal with a given standard deviation and mean: w = mean + std z, z ~ N(0, 1).

    Source: Krizhevsky et al. (2012), section 5, for 0.01.
    """
    check_scale("std", std)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        z = jax.random.normal(key, shape, dtype)
        return z * jnp.asarray(std, dtype) + jnp.asarray(mean, dtype)

    return init


def uniform(limit: Number = 0.05) -> Initializer:
    """Uniform on [-limit, limit): w = limit u, u ~ U[-1, 1), so its deviation is limit / sqrt(3).

    jax's initializer of this name draws from [0, scale), as random_uniform(0, scale) does.
    """
    check_scale("limit", limit)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * jnp.asarray(limit, dtype)

    return init


def random_normal(mean: Number = 0.0, std: Number = 0.05) -> Initializer:
    """Keras's RandomNormal, w ~ N(mean, std^2), with its order of arguments and its 0.05."""
    return normal(std, mean)


def random_uniform(low: Number = -0.05, high: Number = 0.05) -> Initializer:
    """Keras's RandomUniform: w = low + (high - low) u, u ~ U[0, 1)."""

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        a, b = jnp.asarray(low, dtype), jnp.asarray(high, dtype)
        return a + (b - a) * jax.random.uniform(key, shape, dtype)

    return init


def truncated_normal(
    std: Number = 0.01, lower: Number = -2.0, upper: Number = 2.0, mean: Number = 0.0
) -> Initializer:
    """Normal cut to [lower, upper] deviations from its mean: w = mean + std z, lower <= z <= upper.

    Not rescaled: cut at 2, the weights' deviation is 0.8796 std.  Equal to jax's, bit for bit, and
    to keras's TruncatedNormal, unless both bounds lie beyond 4 deviations on one side (2 in half
    precision), where theirs run out of numbers.
    """
    check_scale("std", std)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        z = cut_normal(key, lower, upper, shape, dtype)
        return z * jnp.asarray(std, dtype) + jnp.asarray(mean, dtype)

    return init


def trunc_normal(
    mean: Number = 0.0, std: Number = 1.0, low: Number = -2.0, high: Number = 2.0
) -> Initializer:
    """Torch's trunc_normal_: w ~ N(mean, std^2) given low <= w <= high.

    At std 0, the limit: all weights are the number between the bounds that is nearest to the mean.
    """
    check_scale("std", std)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        number = isinstance(std, float | int)
        unit = (std or 1.0) if number else jnp.where(std == 0, 1, std)
        lower, upper = (low - mean) / unit, (high - mean) / unit
        w = truncated_normal(std, lower, upper, mean)(key, shape, dtype)
        return jnp.clip(w, jnp.asarray(low, dtype), jnp.asarray(high, dtype))

    return init


def cut_normal(
    key: PRNGKey, lower: Number, upper: Number, shape: Shape, dtype: Any
) -> Float[Array, "*shape"]:
    """Standard normal numbers given lower <= z <= upper: jax's, or `tail`'s far out.

    jax's largest is sqrt(2) erfinv(1 - eps / 2), 5.4 in float32, but for a u that rounding made 1:
    from there it takes the bound, which may be infinite. Here it takes the largest.
    """
    far = FAR if jnp.finfo(dtype).bits >= 32 else FAR_IN_HALF
    beyond = (lower > far) | (upper < -far)

    def usual() -> Array:
        a, b = jnp.asarray(lower, dtype), jnp.asarray(upper, dtype)
        z = jax.random.truncated_normal(key, a, b, shape, dtype)
        below_1 = jnp.asarray(1 - float(jnp.finfo(dtype).epsneg), dtype)
        most = jnp.asarray(math.sqrt(2), dtype) * jax.lax.erf_inv(below_1)
        return jnp.clip(z, -most, most)

    if isinstance(beyond, jax.Array):  # a bound is traced, and so is the choice
        return jnp.where(beyond, tail(key, lower, upper, shape, dtype), usual())
    return tail(key, lower, upper, shape, dtype) if beyond else usual()


def tail(
    key: PRNGKey, lower: Number, upper: Number, shape: Shape, dtype: Any
) -> Float[Array, "*shape"]:
    """Standard normal numbers given lower <= z <= upper, far out on one side.

    With Q(z) = P(Z > z) = M(z) phi(z) and u uniform, z = a + t solves Q(a + t) / Q(a) = w for
    w = 1 - u (1 - Q(b) / Q(a)), that is log M(a + t) / M(a) - t (a + t / 2) = log w: by Newton's
    method from the root without M, whose first two steps reach rounding.
    """
    wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
    low, high = jnp.asarray(lower, wide), jnp.asarray(upper, wide)
    left = high < 0
    a = jnp.maximum(jnp.where(left, -high, low), 1)  # 1 where the bounds are not far, unused
    b = jnp.maximum(jnp.where(left, -low, high), a)
    missed = -jnp.expm1(jnp.log(mills(b) / mills(a)) - (b - a) * (b + a) / 2)
    log_w = jnp.log1p(-missed * jax.random.uniform(key, shape, wide))
    t = -2 * log_w / (a + jnp.sqrt(a * a - 2 * log_w))
    for _ in range(2):
        ratio = mills(a + t)
        t = t + ratio * (jnp.log(ratio / mills(a)) - t * (a + t / 2) - log_w)
    z = jnp.where(left, -(a + t), a + t).astype(dtype)
    return jnp.clip(z, jnp.asarray(lower, dtype), jnp.asarray(upper, dtype))


def mills(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """M(x) = Q(x) / phi(x) = 1 / (x + 1 / (x + 2 / (x + ...))), here to 2e-7 for x >= 4.

    Source: Laplace (1805), by Abramowitz & Stegun (1964), 26.2.14.
    """
    below = x
    for k in range(8, 0, -1):
        below = x + k / below
    return 1 / below
