"""Bounds on gradients, and gradients of penalties' kin: clipping, centring, repair."""

from typing import Any

import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.core import Rate, each, forgetful, whole
from nnlab.types import Array


def _share(size: Array, most: Any) -> Array:
    """What is left of a gradient of this size: min(1, most / size), 1 where both are 0."""
    within = size <= most
    return jnp.where(within, 1, most / jnp.where(within, 1, size))


def clip_values(bound: Rate) -> Any:
    """Clips every component to [-bound, bound]."""
    return each(forgetful, lambda g, s, h: (jnp.clip(g, -h.bound, h.bound), s), bound=bound)


def clip_norm(max_norm: Rate) -> Any:
    """Scales the whole gradient down to the norm max_norm if it is longer.

    Source: Pascanu, Mikolov and Bengio, ICML (2013), algorithm 1.
    """

    def step(g, s, h):
        share = _share(trees.norm(g), h.max_norm)
        return trees.map(lambda x: share * x, g), s

    return whole(lambda _: (), step, max_norm=max_norm)


def clip_block_rms(bound: Rate) -> Any:
    """Scales each array down to the root mean square `bound` if it is larger.

    Source: Shazeer and Stern, ICML (2018), section 6.
    """

    def step(g, s, h):
        return g * _share(jnp.sqrt(jnp.mean(g**2)), h.bound), s

    return each(forgetful, step, bound=bound)


def _unit_norms(x: Array) -> Array:
    """The norm over a unit's incoming weights: all axes but the last; everything for vectors."""
    matrix_like = jnp.squeeze(x).ndim > 1
    axes = tuple(range(x.ndim - 1)) if matrix_like and x.ndim != 3 else (0,)
    squares = x**2
    return jnp.sqrt(squares.sum(axes, keepdims=True) if matrix_like else squares.sum(keepdims=True))


def clip_adaptive(ratio: Rate, eps: Rate = 1e-3) -> Any:
    """Clips each unit's gradient to `ratio` times the norm of its weights (at least eps).

    A unit is a column of a matrix or of a kernel [..., in, out]; of rank 3 arrays the first axis
    is summed, as in optax.
    Source: Brock et al., ICML (2021), eq. 3.
    """

    def step(g, s, h):
        most = h.ratio * jnp.maximum(_unit_norms(h.w), h.eps)
        length = _unit_norms(g)
        share = jnp.where(length < most, 1, most / jnp.maximum(length, 1e-6))
        return g * share, s

    return each(forgetful, step, ratio=ratio, eps=eps)


def centralize() -> Any:
    """Subtracts from the gradient of each unit's incoming weights their mean.

    g <- g - mean(g over all axes but the last): a unit is a column, as everywhere in nnlab. In
    optax.centralize it is a row.  Source: Yong et al., ECCV (2020), eq. 1.
    """

    def step(g, s, _):
        return g - g.mean(tuple(range(g.ndim - 1)), keepdims=True) if g.ndim > 1 else g, s

    return each(forgetful, step)


def zero_nans() -> Any:
    """Replaces NaN components by 0."""
    return each(forgetful, lambda g, s, _: (jnp.where(jnp.isnan(g), 0, g), s))
