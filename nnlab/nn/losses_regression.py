"""Losses of one example with real outputs, averaged over its outputs; e = prediction - target."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.errors import UsageError
from nnlab.types import Number, Scalar

Outputs = Float[Array, "outputs"]


def squared_error(prediction: Outputs, target: Outputs) -> Scalar:
    """Mean of e^2, least at the mean.  Source: Legendre (1805)."""
    return jnp.mean(jnp.square(prediction - target))


def half_squared_error(prediction: Outputs, target: Outputs) -> Scalar:
    """Mean of e^2 / 2, whose gradient is e / outputs.  Source: Bishop, PRML (2006), eq. 3.12."""
    return squared_error(prediction, target) / 2


def absolute_error(prediction: Outputs, target: Outputs) -> Scalar:
    """Mean of |e|, least at the median.  Source: Laplace (1774)."""
    return jnp.mean(jnp.abs(prediction - target))


def huber(prediction: Outputs, target: Outputs, delta: Number = 1.0) -> Scalar:
    """Mean of e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond.  Source: Huber (1964)."""
    e = prediction - target
    beyond = jnp.abs(e) > delta
    near = jnp.where(beyond, 0, e)
    slope = jnp.where(beyond, delta, 0)  # where an infinite delta is no NaN
    return jnp.mean(jnp.square(near) / 2 + slope * (jnp.abs(e) - slope / 2))


def log_cosh(prediction: Outputs, target: Outputs) -> Scalar:
    """Mean of log cosh e: e^2 / 2 near 0, |e| - log 2 far out.  Source: Green (1990).

    As log(1 + 2 sinh(e / 2)^2) for |e| < 1, where the other form is a difference of equals.
    """
    e = prediction - target
    size = jnp.abs(e)
    near = jnp.log1p(2 * jnp.square(jnp.sinh(jnp.clip(e, -1, 1) / 2)))
    far = size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2)
    return jnp.mean(jnp.where(size < 1, near, far))


def quantile(prediction: Outputs, target: Outputs, level: Number = 0.5) -> Scalar:
    """Mean of level d for d = target - prediction >= 0, (level - 1) d below: least at the quantile.

    Source: Koenker & Bassett (1978).  Raises UsageError for a level outside 0 to 1.
    """
    if isinstance(level, float | int) and not 0 <= level <= 1:
        raise UsageError(f"a quantile's level of {level} came; it lies from 0 to 1: try 0.9")
    d = target - prediction
    return jnp.mean(jnp.maximum(level * d, (level - 1) * d))


def generalized_kl(prediction: Outputs, target: Outputs) -> Scalar:
    """Mean of t log(t / r) - t + r for targets t >= 0 and rates r = exp(prediction).

    Half of the Poisson deviance, so it suits counts, and the Kullback-Leibler divergence where both
    sum to 1.  Its gradient is (r - t) / outputs; r overflows float32 above 88.7.
    Sources: Csiszár (1991); Nelder & Wedderburn (1972) for counts.
    """
    t, log_r = target, prediction
    return jnp.mean(jax.scipy.special.xlogy(t, t) - t * log_r - t + jnp.exp(log_r))


def cosine_distance(prediction: Outputs, target: Outputs, eps: Number = 1e-8) -> Scalar:
    """1 - <p, t> / (max(|p|, eps) max(|t|, eps)), from 0 (same direction) to 2.

    Vectors are divided by their largest entry first, whose squares neither overflow nor vanish; an
    eps too small for the numbers' dtype is its least normal number.
    Source: Salton, Wong & Yang (1975) for the cosine.
    """

    def direction(v: Outputs) -> Outputs:
        least = jnp.maximum(jnp.asarray(eps, v.dtype), jnp.finfo(v.dtype).tiny)
        size = jax.lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(v)), least))
        v = v / size
        return v / jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(v)), jnp.square(least / size)))

    return 1 - jnp.sum(direction(prediction) * direction(target))
