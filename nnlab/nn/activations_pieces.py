"""Activations made of straight pieces: rectifiers, clips and shrinkages, each unit by itself."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.types import Number, PRNGKey

X = Float[Array, "*shape"]


def identity(x: X) -> X:
    """f(x) = x: a linear layer."""
    return x


def relu(x: X) -> X:
    """f(x) = max(x, 0), with slope 0 at 0.  Source: Nair & Hinton (2010)."""
    return jax.nn.relu(x)


def relu_squared(x: X) -> X:
    """f(x) = max(x, 0)^2, which is smooth at 0.  Source: So et al. (2021)."""
    return jnp.square(jax.nn.relu(x))


def relu6(x: X) -> X:
    """f(x) = min(max(x, 0), 6).  Source: Krizhevsky (2010)."""
    return jax.nn.relu6(x)


def leaky_relu(x: X, slope: Number = 0.01) -> X:
    """f(x) = x for x >= 0, slope x below.  Source: Maas et al. (2013)."""
    return jnp.where(x >= 0, x, slope * x)


def prelu(x: X, slope: Number = 0.25) -> X:
    """f(x) = x for x >= 0, slope x below, with a slope of one's own, which a sweep does not train.

    Source: He et al. (2015).
    """
    return leaky_relu(x, slope)


def rrelu(x: X, lower: Number = 1 / 8, upper: Number = 1 / 3, key: PRNGKey | None = None) -> X:
    """f(x) = x for x >= 0, slope x below, each unit's slope drawn from U[lower, upper).

    Without a key, in evaluation, the slope is its mean (lower + upper) / 2. Models give a key to
    every training step.
    Source: Xu et al. (2015).
    """
    if key is None:
        return leaky_relu(x, (lower + upper) / 2)
    slope = lower + (upper - lower) * jax.random.uniform(key, x.shape, x.dtype)
    return jnp.where(x >= 0, x, slope * x)


def threshold(x: X, cut: Number = 1.0, value: Number = 0.0) -> X:
    """f(x) = x for x > cut, else `value`.  Source: Konda et al. (2015)."""
    return jnp.where(x > cut, x, jnp.asarray(value, x.dtype))


def hard_tanh(x: X, lower: Number = -1.0, upper: Number = 1.0) -> X:
    """f(x) = x clipped to [lower, upper].  Source: Collobert (2004)."""
    low, high = jnp.asarray(lower, x.dtype), jnp.asarray(upper, x.dtype)
    return jnp.where(x > high, high, jnp.where(x < low, low, x))


def hard_sigmoid(x: X) -> X:
    """f(x) = min(max(x + 3, 0), 6) / 6, with slope 1 / 6 inside.

    keras 2 clipped 0.2 x + 0.5 instead.  Source: Howard et al. (2019), where it gates hard_swish.
    """
    return relu6(x + 3) / 6


def hard_silu(x: X) -> X:
    """f(x) = x hard_sigmoid(x), silu in three pieces."""
    return x * hard_sigmoid(x)


def hard_swish(x: X) -> X:
    """f(x) = x min(max(x + 3, 0), 6) / 6: hard_silu by the name of its inventors.

    Source: Howard et al. (2019), section 5.2.
    """
    return hard_silu(x)


def sparse_sigmoid(x: X) -> X:
    """f(x) = min(max(x + 1, 0), 2) / 2, the slope of sparse_plus.

    Source: Martins & Astudillo (2016).
    """
    return hard_tanh(x) / 2 + 0.5


def sparse_plus(x: X) -> X:
    """f(x) = 0 for x <= -1, x for x >= 1, (x + 1)^2 / 4 between.  Source: as sparse_sigmoid's."""
    inside = jnp.clip(x, -1, 1)  # keeps the square's gradient finite far out
    return jnp.where(x >= 1, x, jnp.square(inside + 1) / 4)


def hard_shrink(x: X, cut: Number = 0.5) -> X:
    """f(x) = x for |x| > cut, else 0.  Source: Donoho & Johnstone (1994)."""
    return jnp.where(jnp.abs(x) > cut, x, 0)


def soft_shrink(x: X, cut: Number = 0.5) -> X:
    """f(x) = sign(x) max(|x| - cut, 0): the proximal map of cut |x|.  Source: Donoho (1995)."""
    return jnp.where(x > cut, x - cut, jnp.where(x < -cut, x + cut, 0))
