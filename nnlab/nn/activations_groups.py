"""Activations that mix the features of an example: they act along the last axis."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nnlab.errors import UsageError
from nnlab.nn.activations_smooth import gelu

Features = Float[Array, "*batch features"]
Fewer = Float[Array, "*batch outputs"]


def softmax(x: Features) -> Features:
    """f(x) = exp(x) / sum exp(x): probabilities, all positive.  Source: Bridle (1990)."""
    return jax.nn.softmax(x)


def softmin(x: Features) -> Features:
    """f(x) = exp(-x) / sum exp(-x): most for the least.  Source: torch.nn.Softmin."""
    return jax.nn.softmax(-x)


def log_softmax(x: Features) -> Features:
    """f(x) = x - log sum exp(x): log-probabilities.  Source: Bishop, PRML (2006), eq. 4.62."""
    return jax.nn.log_softmax(x)


def sparsemax(x: Features) -> Features:
    """f(x) = argmin_p |p - x|^2 over probabilities p: many of them exactly 0.

    p = max(x - tau, 0), with tau = (sum_S x - 1) / |S| over the support S, which is the longest
    run of largest entries with 1 + k x_(k) > sum_{j <= k} x_(j).
    Source: Martins & Astudillo (2016), algorithm 1.
    """
    x = x - jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))
    z = jax.lax.stop_gradient(jnp.flip(jnp.sort(x, axis=-1), axis=-1))
    k = jnp.arange(1, x.shape[-1] + 1).astype(x.dtype)
    first = 1 + z * jnp.broadcast_to(k, z.shape) > jnp.cumsum(z, axis=-1)
    support = x > level(z, first)  # found without a gradient: no sort is differentiated
    return jnp.where(support, x - level(x, support), 0)


def level(x: Features, support: Bool[Array, "*batch features"]) -> Float[Array, "*batch 1"]:
    """The number tau for which the sum of x - tau over the support is 1."""
    size = jnp.sum(support, axis=-1, keepdims=True).astype(x.dtype)
    return (jnp.sum(jnp.where(support, x, 0), axis=-1, keepdims=True) - 1) / size


def maxout(x: Features, pieces: int = 2) -> Fewer:
    """The largest of each `pieces` neighbouring features: [..., pieces m] -> [..., m].

    Source: Goodfellow et al. (2013).  Raises UsageError unless `pieces` divides the features.
    """
    *batch, features = x.shape
    if pieces < 1 or features % pieces:
        raise UsageError(
            f"maxout of {pieces} pieces got {features} features; give it a multiple of the pieces"
        )
    return largest(x.reshape(*batch, features // pieces, pieces))


@jax.custom_jvp
def largest(x: Float[Array, "*batch pieces"]) -> Float[Array, "*batch"]:
    """The maximum along the last axis; its derivative is that of the number that won.

    Never found as x == y, which fails where XLA computes x twice and rounds it differently: behind
    batch norm, parts of the gradient were lost that way.
    """
    return jnp.max(x, axis=-1)


@largest.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    winner = jnp.argmax(x, axis=-1, keepdims=True)
    won = winner == jax.lax.broadcasted_iota(winner.dtype, x.shape, x.ndim - 1)
    return largest(x), jnp.sum(jnp.where(won, dx, 0), axis=-1)


def glu(x: Features) -> Fewer:
    """f(a, b) = a sigmoid(b) of the two halves of the features.  Source: Dauphin et al. (2017).

    Raises UsageError for an odd number of features, as its relatives do.
    """
    return gated(x, jax.nn.sigmoid, "glu")


def reglu(x: Features) -> Fewer:
    """f(a, b) = a max(b, 0) of the two halves of the features.  Source: Shazeer (2020), eq. 5."""
    return gated(x, jax.nn.relu, "reglu")


def geglu(x: Features) -> Fewer:
    """f(a, b) = a gelu(b) of the two halves of the features.  Source: Shazeer (2020), eq. 5."""
    return gated(x, gelu, "geglu")


def swiglu(x: Features) -> Fewer:
    """f(a, b) = a silu(b) of the two halves of the features.  Source: Shazeer (2020), eq. 5.

    The paper's beta is 1, as in the language models that use it.
    """
    return gated(x, jax.nn.silu, "swiglu")


def gated(x: Features, gate: Callable[[jax.Array], jax.Array], name: str) -> Fewer:
    """The first half of the features, each times the gate of one of the second."""
    if x.shape[-1] % 2:
        raise UsageError(f"{name} got {x.shape[-1]} features; give it an even number")
    a, b = jnp.split(x, 2, axis=-1)
    return a * gate(b)
