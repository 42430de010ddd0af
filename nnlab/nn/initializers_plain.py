"""Initializers whose scale is given outright: constants, normals, uniforms.

Each factory returns a function (key, shape, dtype=float32) -> array.  One key and shape give the
same noise whatever the numbers, so runs that differ in a scale differ in nothing else.
"""

from typing import Any

import jax
import jax.numpy as jnp

from nnlab.types import Initializer, Number, PRNGKey, Shape


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

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        z = jax.random.normal(key, shape, dtype)
        return z * jnp.asarray(std, dtype) + jnp.asarray(mean, dtype)

    return init


def uniform(limit: Number = 0.05) -> Initializer:
    """Uniform on [-limit, limit): w = limit u, u ~ U[-1, 1), so its deviation is limit / sqrt(3).

    jax's initializer of this name draws from [0, scale), as random_uniform(0, scale) does.
    """

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
    to keras's TruncatedNormal.
    """

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        a, b = jnp.asarray(lower, dtype), jnp.asarray(upper, dtype)
        z = jax.random.truncated_normal(key, a, b, shape, dtype)
        return z * jnp.asarray(std, dtype) + jnp.asarray(mean, dtype)

    return init


def trunc_normal(
    mean: Number = 0.0, std: Number = 1.0, low: Number = -2.0, high: Number = 2.0
) -> Initializer:
    """Torch's trunc_normal_: w ~ N(mean, std^2) given low <= w <= high."""

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        lower, upper = (low - mean) / std, (high - mean) / std
        return truncated_normal(std, lower, upper, mean)(key, shape, dtype)

    return init
