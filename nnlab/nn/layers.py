"""Layers on a batch: dense, dropout and batch normalisation, as pure functions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.errors import UsageError
from nnlab.nn.products import product
from nnlab.types import Number, PRNGKey


class Running(NamedTuple):
    """What batch normalisation remembers of the batches it has seen."""

    mean: Float[Array, "features"]
    var: Float[Array, "features"]


def dense(
    x: Float[Array, "batch inputs"],
    w: Float[Array, "inputs outputs"],
    b: Float[Array, "outputs"],
) -> Float[Array, "batch outputs"]:
    """An affine map of each example: y = x w + b."""
    return product(x, w) + b[None, :]


def dropout(key: PRNGKey, x: Float[Array, "*shape"], rate: Number) -> Float[Array, "*shape"]:
    """Zeroes each entry with probability `rate` and divides the others by 1 - rate.

    y = x / (1 - rate) where u >= rate, else 0, with u ~ U[0, 1) in steps of 2^-23: E y = x, rate 0
    is the identity exactly, rate 1 is zero.  Runs that share a key share u, so a higher rate drops
    a superset.  Source: Srivastava et al. (2014), section 10 (the inverted form).
    """
    if isinstance(rate, float | int) and not 0 <= rate <= 1:
        raise UsageError(f"a dropout rate of {rate} came; it is a drop probability: try 0.5")
    steps = jax.random.bits(key, x.shape, "uint32") >> 9  # u = steps / 2^23, exactly
    least = jnp.ceil(jnp.asarray(rate, jnp.float32) * 2**23).astype("uint32")
    kept = jnp.where(rate < 1, 1 - rate, 1)  # at rate 1 nothing is kept: any divisor but 0 will do
    factor = (1 / kept).astype(x.dtype)  # one division for all of x
    return jnp.where(steps >= least, x * factor, 0)


def running_init(features: int) -> Running:
    """The statistics before the first batch: mean 0 and variance 1."""
    return Running(jnp.zeros(features, jnp.float32), jnp.ones(features, jnp.float32))


def batch_norm_train(
    x: Float[Array, "batch features"],
    scale: Float[Array, "features"],
    shift: Float[Array, "features"],
    running: Running,
    momentum: Number = 0.9,
    eps: Number = 1e-5,
) -> tuple[Float[Array, "batch features"], Running]:
    """Normalises each feature over the batch, and moves the running statistics towards it.

    y = scale (x - m) / sqrt(v + eps) + shift, with m = mean x and v = mean (x - m)^2;
    running' = momentum running + (1 - momentum) (m, v).
    The biased v is used in both places, as in flax and keras; torch keeps v batch / (batch - 1) in
    the running variance and calls 1 - momentum momentum.  Source: Ioffe & Szegedy (2015), alg. 1.
    """
    seen = (m.astype(running.mean.dtype) for m in moments(x))
    moved = Running(
        *(momentum * old + (1 - momentum) * m for old, m in zip(running, seen, strict=True))
    )
    return normalise_batch(x, scale, shift, eps), moved


def moments(
    x: Float[Array, "batch features"],
) -> tuple[Float[Array, "features"], Float[Array, "features"]]:
    """Mean and biased variance of each feature over the batch, in float32 or better."""
    x = at_least_float32(x)
    m = jnp.mean(x, axis=0)
    return m, jnp.mean(jnp.square(x - m[None, :]), axis=0)


@jax.custom_jvp
def normalise_batch(
    x: Float[Array, "batch features"],
    scale: Float[Array, "features"],
    shift: Float[Array, "features"],
    eps: Number,
) -> Float[Array, "batch features"]:
    """Returns scale x_hat + shift with x_hat = (x - m) r, r = 1 / sqrt(v + eps), over the batch.

    Its derivative is written by hand, scale r (dx - mean dx - x_hat mean(x_hat dx)) in x, and what
    stands beside x_hat is gathered, and what stands alone: the gradient then takes two sums over
    the batch, those of scale and shift, where the chain rule through m and v takes four.
    """
    return batch_norm_eval(x, scale, shift, Running(*moments(x)), eps)


@normalise_batch.defjvp
def _(primals, tangents):
    (x, scale, shift, eps), (dx, dscale, dshift, deps) = primals, tangents
    dtype, (m, v) = jnp.result_type(x, scale, shift), moments(x)
    x, scale, dx, dscale, dshift = map(at_least_float32, (x, scale, dx, dscale, dshift))
    r = jax.lax.rsqrt(v + eps)
    x_hat = (x - m[None, :]) * r[None, :]
    along, mean = jnp.mean(x_hat * dx, axis=0), jnp.mean(dx, axis=0)
    through = scale * r
    level = dshift - through * mean
    slope = dscale - through * along - scale * (r * r * deps / 2)
    dy = through[None, :] * dx + level[None, :] + x_hat * slope[None, :]
    y = batch_norm_eval(x, scale, at_least_float32(shift), Running(m, v), eps)
    return y.astype(dtype), dy.astype(dtype)


def batch_norm_eval(
    x: Float[Array, "batch features"],
    scale: Float[Array, "features"],
    shift: Float[Array, "features"],
    running: Running,
    eps: Number = 1e-5,
) -> Float[Array, "batch features"]:
    """Normalises each feature by given statistics: scale (x - mean) / sqrt(var + eps) + shift.

    It has the dtype of x, scale and shift, and is computed in float32 or better.
    """
    dtype = jnp.result_type(x, scale, shift)
    x, scale, shift, mean, var = map(at_least_float32, (x, scale, shift, *running))
    factor = scale * jax.lax.rsqrt(var + eps)
    return ((x - mean[None, :]) * factor[None, :] + shift[None, :]).astype(dtype)


def at_least_float32(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """An array of half precision in float32: float16 ends at 65504, the square of 256."""
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)
