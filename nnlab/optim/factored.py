"""Second moments in less memory: one vector per axis instead of one number per weight."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nnlab.optim.core import Mask, Rate, add_weights, chain, descend, each, forgetful, zeros
from nnlab.types import Array, Flag


class Factors(NamedTuple):
    """The mean squares: whole, or their means along the two longest axes."""

    v: Array | None
    row: Array | None
    column: Array | None


def _long_axes(shape: tuple[int, ...], min_dim: int) -> tuple[int, int] | None:
    """The second longest axis and the longest, if both have min_dim entries."""
    if len(shape) < 2:
        return None
    second, first = np.argsort(shape)[-2:]
    return (int(second), int(first)) if shape[second] >= min_dim else None


def factored_rms(decay_power: Rate, decay_offset: Rate, min_dim: int, eps: Rate) -> Any:
    """The direction g / sqrt(v), v a mean square with decay 1 - t^-decay_power, often factored."""

    def begin(w):
        axes = _long_axes(w.shape, min_dim)
        if axes is None:
            return Factors(v=jnp.zeros_like(w), row=None, column=None)
        second, first = axes
        return Factors(None, row=jnp.zeros_like(w.sum(first)), column=jnp.zeros_like(w.sum(second)))

    def step(g, s, h):
        keep = 1 - jnp.maximum(h.t - h.decay_offset, 1) ** -jnp.asarray(h.decay_power, g.dtype)
        square = g**2 + h.eps
        axes = _long_axes(g.shape, min_dim)
        if axes is None:
            v = keep * s.v + (1 - keep) * square
            return g / jnp.sqrt(v), Factors(v, None, None)
        second, first = axes
        row = keep * s.row + (1 - keep) * square.mean(first)
        column = keep * s.column + (1 - keep) * square.mean(second)
        share = row / row.mean(second - (second > first), keepdims=True)
        spread = jnp.expand_dims(jnp.sqrt(share), first) * jnp.expand_dims(jnp.sqrt(column), second)
        return g / spread, Factors(None, row, column)

    return each(
        begin, step, counts=True, decay_power=decay_power, decay_offset=decay_offset, eps=eps
    )


def _rms(x: Array) -> Array:
    return jnp.sqrt(jnp.mean(x**2))


class Running(NamedTuple):
    """A running mean of steps."""

    m: Array


def _mean_of_steps(momentum: Rate) -> Any:
    def step(g, s, h):
        m = h.momentum * s.m + (1 - h.momentum) * g
        return m, Running(m)

    return each(zeros(Running), step, momentum=momentum)


def adafactor(
    learning_rate: Rate = 1.0,
    decay_power: Rate = 0.8,
    decay_offset: Rate = 0.0,
    clip: Rate = 1.0,
    relative_step: Flag = True,
    momentum: Rate | None = None,
    weight_decay: Rate | None = None,
    eps: Rate = 1e-30,
    min_dim: int = 128,
    mask: Mask = None,
) -> Any:
    """Adafactor is Adam's division with a factored second moment and steps clipped in size.

    d = g / sqrt(v), v of rank one for arrays whose two longest axes have min_dim entries; d is
    divided by max(1, rms(d) / clip) and, with relative_step, multiplied by max(rms(w), 1e-3);
    momentum takes a running mean of the steps; weight_decay w is subtracted without the rate, as
    in optax.
    Source: Shazeer and Stern, ICML (2018), algorithms 4-5.
    """

    def step(g, s, h):
        d = g / jnp.maximum(1, _rms(g) / h.clip)
        return h.learning_rate * d * jnp.where(h.relative_step, jnp.maximum(_rms(h.w), 1e-3), 1), s

    scaled = each(
        forgetful, step, clip=clip, relative_step=relative_step, learning_rate=learning_rate
    )
    return chain(
        factored_rms(decay_power, decay_offset, min_dim, eps),
        scaled,
        None if momentum is None else _mean_of_steps(momentum),
        add_weights(weight_decay, mask),
        descend(1.0),
    )


class Cover(NamedTuple):
    """Per axis, the largest sum of squares of each slice; and a running mean of steps."""

    tops: tuple[Array, ...]
    m: Array


def sm3(learning_rate: Rate, momentum: Rate = 0.9, eps: Rate = 1e-8) -> Any:
    """SM3 bounds AdaGrad's sums from one maximum per row and per column: v = g^2 + min(tops).

    Step: a running mean of g / sqrt(v + eps); every axis i keeps the maxima of v over the other
    axes. Numbers (rank 0) keep their own sum.
    Source: Anil et al., NeurIPS (2019), algorithm SM3-II.
    """

    def others(g, axis):
        return tuple(k for k in range(g.ndim) if k != axis)

    def begin(w):
        tops = tuple(jnp.zeros(n, w.dtype) for n in w.shape) or (jnp.zeros((), w.dtype),)
        return Cover(tops=tops, m=jnp.zeros_like(w))

    def step(g, s, h):
        bounds = [jnp.expand_dims(top, others(g, axis)) for axis, top in enumerate(s.tops)]
        v = bounds[0]
        for bound in bounds[1:]:
            v = jnp.minimum(v, bound)
        v = g**2 + v
        d = jnp.where(v > 0, g / jnp.sqrt(jnp.where(v > 0, v + h.eps, 1)), 0)
        m = h.momentum * s.m + (1 - h.momentum) * d
        tops = tuple(v.max(others(g, axis), initial=0) for axis in range(g.ndim)) or (v,)
        return m, Cover(tops, m)

    return chain(each(begin, step, momentum=momentum, eps=eps), descend(learning_rate))
