"""Rates read off the loss: how far the model of the loss says that its bound lies."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.core import Constant, Rate, corrected, filled, whole
from nnlab.types import Array, Flag, Params, Scalar

TINY = 2.0**-52
"""Squared norms up to this count as zero, as in optax: there is no direction to follow."""


def polyak_sgd(
    learning_rate: Rate = 1.0,
    max_learning_rate: Rate = 1.0,
    lower_bound: Rate = 0.0,
    eps: Rate = 0.0,
    positive: Flag = False,
) -> Any:
    """Polyak's rate steps to where the linear model of the loss meets its lower bound.

    u = -learning_rate min((value - lower_bound) / (|g|^2 + eps), max_learning_rate) g; with
    positive, never uphill.  Needs value=loss in update.  In optax a scaling other than 1 also
    enters the norm.
    Source: Loizou et al., AISTATS (2021), eq. 3 with c = 1.
    """

    def step(g, s, h):
        square = trees.dot(g, g) + h.eps
        gap = h.value - h.lower_bound
        gap = jnp.where(h.positive, jnp.maximum(gap, 0), gap)
        moves = square > TINY
        rate = jnp.minimum(gap / jnp.where(moves, square, 1), h.max_learning_rate)
        rate = h.learning_rate * jnp.where(moves, rate, 0)
        return trees.map(lambda g: -rate * g, g), s

    return whole(
        lambda _: (),
        step,
        learning_rate=learning_rate,
        max_learning_rate=max_learning_rate,
        lower_bound=lower_bound,
        eps=eps,
        positive=positive,
    )


class Model(NamedTuple):
    """Running means of gradients (m), losses (f) and <g, w> (c): a linear model of the loss."""

    m: Params
    f: Scalar
    c: Scalar
    bound: Scalar


class AdamModel(NamedTuple):
    """The same with a running mean of squared gradients (v)."""

    m: Params
    v: Params
    f: Scalar
    c: Scalar
    bound: Scalar


def _reach(h: Any, s: Any, f: Array, c: Array, inner: Array, square: Array, age: Any) -> tuple:
    """The step to the model's bound, at most the rate, and the bound of the next step.

    `age` corrects running means for their start at zero.
    """
    grown = 1 + h.learning_rate * h.weight_decay
    cap = grown * (f - c) + inner
    lowered = jnp.maximum(cap / (2 * age * grown), h.lower_bound)
    low = jnp.where(h.adapt_bound & (cap < grown * age * s.bound), lowered, s.bound)
    far = jnp.maximum(grown * (f - age * low - c) + inner, 0)
    moves = square > TINY
    tau = jnp.where(moves, far / jnp.where(moves, square, 1), 0)
    tau = jnp.minimum(h.learning_rate / age, tau)
    learned = jnp.maximum((f + inner - c - tau * square / 2) / age, h.lower_bound)
    return tau, jnp.where(h.adapt_bound, learned, s.bound)


def _step(h: Any, tau: Array, direction: Params) -> Params:
    """The step to (w - tau d) / (1 + learning_rate weight_decay)."""
    decay = h.learning_rate * h.weight_decay
    return trees.map(lambda d, w: -(decay * w + tau * d) / (1 + decay), direction, h.w)


def momo(
    learning_rate: Rate = 1.0,
    beta: Rate = 0.9,
    lower_bound: Constant = 0.0,
    weight_decay: Rate = 0.0,
    adapt_bound: Flag = False,
) -> Any:
    """MoMo is Polyak's rate for momentum: a running linear model of the loss, cut off at a bound.

    w <- (w - tau m) / k, k = 1 + learning_rate weight_decay (in optax w / k - tau m), with
    tau = min(learning_rate, (k (f - c - bound) + <m, w>)_+ / |m|^2).  Needs value=loss in update;
    adapt_bound also estimates the bound.
    Source: Schaipp et al., ICML (2024), algorithms 1, 3.
    """

    def begin(w):
        zero = jnp.zeros_like(trees.norm(w))
        return Model(trees.zeros_like(w), f=zero, c=zero, bound=jnp.full_like(zero, lower_bound))

    def step(g, s, h):
        b = jnp.where(h.t == 1, 0, jnp.asarray(h.beta, s.f.dtype))
        f = b * s.f + (1 - b) * h.value
        m = trees.map(lambda m, g: b * m + (1 - b) * g, s.m, g)
        c = b * s.c + (1 - b) * trees.dot(g, h.w)
        tau, bound = _reach(h, s, f, c, trees.dot(m, h.w), trees.dot(m, m), age=1)
        return _step(h, tau, m), Model(m, f, c, bound)

    return whole(
        begin,
        step,
        counts=True,
        learning_rate=learning_rate,
        beta=beta,
        lower_bound=lower_bound,
        weight_decay=weight_decay,
        adapt_bound=adapt_bound,
    )


def momo_adam(
    learning_rate: Rate = 1e-2,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    lower_bound: Constant = 0.0,
    weight_decay: Rate = 0.0,
    adapt_bound: Flag = False,
) -> Any:
    """MoMo-Adam is MoMo in Adam's norm, |m|^2 = <m, m / (sqrt(v_hat) + eps)>.

    The decay is as in `momo`.  Needs value=loss in update.
    Source: Schaipp et al., ICML (2024), algorithm 2.
    """

    def begin(w):
        zero, f = trees.zeros_like(w), jnp.zeros_like(trees.norm(w))
        return AdamModel(m=zero, v=zero, f=f, c=f, bound=jnp.full_like(f, lower_bound))

    def step(g, s, h):
        f = h.beta1 * s.f + (1 - h.beta1) * h.value
        m = trees.map(lambda m, g: h.beta1 * m + (1 - h.beta1) * g, s.m, g)
        v = trees.map(lambda v, g: h.beta2 * v + (1 - h.beta2) * g**2, s.v, g)
        c = h.beta1 * s.c + (1 - h.beta1) * trees.dot(g, h.w)
        d = trees.map(lambda m, v: m / (h.eps + jnp.sqrt(corrected(v, h.beta2, h.t))), m, v)
        age = filled(h.beta1, h.t)
        tau, bound = _reach(h, s, f, c, trees.dot(m, h.w), trees.dot(m, d), age)
        return _step(h, tau, d), AdamModel(m, v, f, c, bound)

    return whole(
        begin,
        step,
        counts=True,
        learning_rate=learning_rate,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        lower_bound=lower_bound,
        weight_decay=weight_decay,
        adapt_bound=adapt_bound,
    )
