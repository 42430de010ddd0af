"""Optimizers that find the rate from the distance travelled; learning_rate multiplies it."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.core import (
    Constant,
    Mask,
    Rate,
    above_zero,
    add_weights,
    chain,
    descend,
    each,
    filled,
    whole,
)
from nnlab.types import Array, Flag, Params, Scalar


def _adaptation(h: Any) -> Array:
    """Adam's two corrections for the start at zero, as one factor of the rate."""
    return jnp.sqrt(filled(h.beta2, h.t)) / filled(h.beta1, h.t)


def _total_size(tree: Params) -> Scalar:
    """The sum of absolute values over all arrays."""
    return trees.total(trees.map(jnp.abs, tree))


def _dtype_of(tree: Params) -> Any:
    return trees.norm(tree).dtype


class DAdapt(NamedTuple):
    """Moments m and v, the weighted gradient sum s, the distance d and its numerator r."""

    m: Params
    v: Params
    s: Params
    d: Scalar
    r: Scalar


def dadapt_adamw(
    learning_rate: Rate = 1.0,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    initial_distance: Constant = 1e-6,
    weight_decay: Rate = 0.0,
) -> Any:
    """D-Adapted AdamW raises a lower bound of the distance to the solution and uses it as the rate.

    With k = sqrt(beta2) and the rate l = d learning_rate sqrt(1 - beta2^t) / (1 - beta1^t):
    r <- k r + (1 - k) l <g, s / (sqrt(v) + eps)>, s <- k s + (1 - k) l g,
    d <- max(d, r / ((1 - k) |s|_1)), step -m / (sqrt(v) + eps) - l weight_decay w, m of l g.
    Source: Defazio and Mishchenko, ICML (2023), algorithm 5.
    """

    def begin(w):
        dtype = _dtype_of(w)
        zero = trees.zeros_like(w)
        d = jnp.asarray(initial_distance, dtype)
        return DAdapt(m=zero, v=zero, s=zero, d=d, r=jnp.zeros((), dtype))

    def step(g, s, h):
        k = jnp.sqrt(jnp.asarray(h.beta2, s.d.dtype))
        rate = s.d * h.learning_rate * _adaptation(h)
        along = trees.dot(g, trees.map(lambda s, v: s / (jnp.sqrt(v) + h.eps), s.s, s.v))
        m = trees.map(lambda m, g: h.beta1 * m + (1 - h.beta1) * rate * g, s.m, g)
        v = trees.map(lambda v, g: h.beta2 * v + (1 - h.beta2) * g**2, s.v, g)
        total = trees.map(lambda s, g: k * s + (1 - k) * rate * g, s.s, g)
        r = k * s.r + (1 - k) * rate * along
        d = _raised(s.d, r, (1 - k) * _total_size(total))
        u = trees.map(
            lambda m, v, w: -h.weight_decay * rate * w - m / (jnp.sqrt(v) + h.eps), m, v, h.w
        )
        return u, DAdapt(m, v, total, d, r)

    return whole(
        begin,
        step,
        counts=True,
        learning_rate=learning_rate,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        initial_distance=initial_distance,
        weight_decay=weight_decay,
    )


def _raised(d: Array, numerator: Array, denominator: Array) -> Array:
    """The larger of d and the new bound; d where no gradient has been seen (0 / 0)."""
    known = denominator > 0
    return jnp.maximum(d, jnp.where(known, numerator / jnp.where(known, denominator, 1), 0))


class Prodigy(NamedTuple):
    """D-adaptation's memory, and the weights of the start."""

    m: Params
    v: Params
    s: Params
    start: Params
    d: Scalar
    r: Scalar


def prodigy(
    learning_rate: Rate = 1.0,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    beta3: Rate | None = None,
    eps: Rate = 1e-8,
    initial_distance: Constant = 1e-6,
    growth: Rate = 1.0,
    weight_decay: Rate = 0.0,
    safeguard_warmup: Flag = False,
) -> Any:
    """Prodigy is D-Adapted Adam with gradients weighted by d^2, which finds the rate faster.

    d <- max(d, growth r / |s|_1), r and s running sums (rate beta3, by default sqrt(beta2)) of
    d l <g, w_0 - w> and d l g over d_0; with safeguard_warmup s uses d in place of l.  Raises
    UsageError for initial_distance = 0, from which d never grows.
    Source: Mishchenko and Defazio, ICML (2024), algorithm 4.
    """

    def begin(w):
        dtype = _dtype_of(w)
        zero = trees.zeros_like(w)
        d = jnp.asarray(initial_distance, dtype)
        return Prodigy(m=zero, v=zero, s=zero, start=w, d=d, r=jnp.zeros((), dtype))

    def step(g, s, h):
        b3 = jnp.sqrt(jnp.asarray(h.beta2, s.d.dtype)) if h.beta3 is None else h.beta3
        rate = s.d * h.learning_rate * _adaptation(h)
        along = trees.dot(g, trees.map(lambda a, w: a - w, s.start, h.w))
        m = trees.map(lambda m, g: h.beta1 * m + (1 - h.beta1) * s.d * g, s.m, g)
        v = trees.map(lambda v, g: h.beta2 * v + (1 - h.beta2) * (s.d * g) ** 2, s.v, g)
        weight = jnp.where(h.safeguard_warmup, s.d, rate) * s.d / h.initial_distance
        total = trees.map(lambda s, g: b3 * s + weight * g, s.s, g)
        r = b3 * s.r + s.d / h.initial_distance * rate * along
        d = _raised(s.d, h.growth * r, _total_size(total))
        u = trees.map(
            lambda m, v, w: -h.weight_decay * rate * w - rate * m / (jnp.sqrt(v) + d * h.eps),
            m, v, h.w,
        )  # fmt: skip
        return u, Prodigy(m, v, total, s.start, d, r)

    return whole(
        begin,
        step,
        counts=True,
        learning_rate=learning_rate,
        beta1=beta1,
        beta2=beta2,
        beta3=beta3,
        eps=eps,
        initial_distance=initial_distance,
        growth=growth,
        weight_decay=weight_decay,
        safeguard_warmup=safeguard_warmup,
    )


class Travelled(NamedTuple):
    """The weights of the start, the distance from them and a sum of squared gradient norms."""

    start: Params
    distance: Scalar
    total: Scalar


def dog(
    learning_rate: Rate = 1.0,
    initial_distance: Constant = 1e-6,
    eps: Rate = 1e-8,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """DoG's rate is distance over gradients: max |w_i - w_0| / sqrt(sum |g_i|^2 + eps).

    The distance starts at initial_distance (1 + |w_0|), optax's ("heuristic", initial_distance).
    Source: Ivgi, Hinder and Carmon, ICML (2023).
    """

    def begin(w):
        distance = jnp.asarray(initial_distance, _dtype_of(w)) * (1 + trees.norm(w))
        return Travelled(start=w, distance=distance, total=jnp.zeros_like(distance))

    def step(g, s, h):
        far = trees.norm(trees.map(lambda a, w: a - w, s.start, h.w))
        distance = jnp.maximum(s.distance, far)
        total = s.total + trees.dot(g, g)
        rate = distance / jnp.sqrt(total + h.eps)
        return trees.map(lambda g: rate * g, g), Travelled(s.start, distance, total)

    rule = whole(begin, step, eps=eps, initial_distance=initial_distance)
    return chain(add_weights(weight_decay, mask), rule, descend(learning_rate))


def dowg(
    learning_rate: Rate = 1.0,
    initial_distance: Constant = 1e-2,
    eps: Rate = 1e-4,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """DoWG weights DoG's gradients by the squared distance: r^2 / (sqrt(sum r_i^2 |g_i|^2) + eps).

    r is the largest distance from the start, at least initial_distance; optax gives its square.
    Source: Khaled, Mishchenko and Jin, NeurIPS (2023), algorithm 1.
    """

    def begin(w):
        r2 = jnp.square(jnp.asarray(initial_distance, _dtype_of(w)))
        return Travelled(start=w, distance=r2, total=jnp.zeros_like(r2))

    def step(g, s, h):
        away = trees.map(lambda a, w: a - w, s.start, h.w)
        r2 = jnp.maximum(s.distance, trees.dot(away, away))
        total = s.total + r2 * trees.dot(g, g)
        rate = r2 / (jnp.sqrt(total) + h.eps)
        return trees.map(lambda g: rate * g, g), Travelled(s.start, r2, total)

    rule = whole(begin, step, eps=eps, initial_distance=initial_distance)
    return chain(add_weights(weight_decay, mask), rule, descend(learning_rate))


class Bets(NamedTuple):
    """COCOB's start, sum of gradients, largest gradient, sum of their sizes, and reward."""

    start: Array
    total: Array
    top: Array
    sizes: Array
    reward: Array


def cocob(
    learning_rate: Rate = 1.0,
    alpha: Rate = 100.0,
    eps: Constant = 1e-8,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """COCOB bets on coins: each weight wagers a share of what its past gradients have won.

    w <- w + learning_rate (w_0 - sum(g) (L + R) / (L max(S + L, alpha L)) - w), where L is the
    largest |g|, S the sum of |g| and R the reward max(R - g (w - w_0), 0).  The paper's rate is 1;
    optax multiplies g by it, and it cancels.
    Source: Orabona and Tommasi, NeurIPS (2017), algorithm 2.
    """

    def begin(w):
        zero, top = jnp.zeros_like(w), jnp.full_like(w, above_zero(eps, w.dtype))
        return Bets(start=w, total=zero, top=top, sizes=zero, reward=zero)

    def step(g, s, h):
        top = jnp.maximum(s.top, jnp.abs(g))
        sizes = s.sizes + jnp.abs(g)
        reward = jnp.maximum(s.reward - g * (h.w - s.start), 0)
        total = s.total - g
        stake = total / (top * jnp.maximum(sizes + top, h.alpha * top)) * (top + reward)
        u = h.learning_rate * (s.start + stake - h.w)
        return u, Bets(s.start, total, top, sizes, reward)

    rule = each(begin, step, learning_rate=learning_rate, alpha=alpha, eps=eps)
    return chain(add_weights(weight_decay, mask), rule)
