"""Optimizers that average: gradients over two time scales, or the weights themselves."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.core import Mask, Rate, add_weights, chain, corrected, descend, each, whole, zeros
from nnlab.types import Array, Params


class TwoMeans(NamedTuple):
    """A fast and a slow running mean of the gradient, and of its square."""

    m: Array
    slow: Array
    v: Array


def ademamix(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    beta3: Rate = 0.9999,
    alpha: Rate = 5.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """AdEMAMix adds to Adam's running mean a second, very slow one.

    Step (m_hat + alpha slow) / (sqrt(v_hat + eps_root) + eps),
    slow <- beta3 slow + (1 - beta3) g; beta3 and alpha are schedules in the paper.
    Source: Pagliardini, Ablin and Grangier, ICLR (2025), algorithm 1.
    """

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        slow = h.beta3 * s.slow + (1 - h.beta3) * g
        v = h.beta2 * s.v + (1 - h.beta2) * g**2
        m_hat, v_hat = corrected(m, h.beta1, h.t), corrected(v, h.beta2, h.t)
        u = (m_hat + h.alpha * slow) / (jnp.sqrt(v_hat + h.eps_root) + h.eps)
        return u, TwoMeans(m, slow, v)

    rule = each(
        zeros(TwoMeans),
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        beta3=beta3,
        alpha=alpha,
        eps=eps,
        eps_root=eps_root,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


class SumAndSquares(NamedTuple):
    """A running sum of gradients and a running mean of their squares."""

    m: Array
    v: Array


def simplified_ademamix(
    learning_rate: Rate,
    beta1: Rate = 0.99,
    beta2: Rate = 0.95,
    alpha: Rate = 0.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """Simplified AdEMAMix adds the newest gradient once more to one running sum.

    Step (m + alpha g) / (sqrt(v_hat + eps_root) + eps),
    m <- beta1 m + g, a sum and not a mean, so a rate for Adam is divided by 1 / (1 - beta1).
    Source: Morwani et al., arXiv:2502.02431 (2025).
    """

    def step(g, s, h):
        m = h.beta1 * s.m + g
        v = h.beta2 * s.v + (1 - h.beta2) * g**2
        v_hat = corrected(v, h.beta2, h.t)
        return (m + h.alpha * g) / (jnp.sqrt(v_hat + h.eps_root) + h.eps), SumAndSquares(m, v)

    rule = each(
        zeros(SumAndSquares),
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        alpha=alpha,
        eps=eps,
        eps_root=eps_root,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


class Average(NamedTuple):
    """The average of the weights so far: before it starts, the weights themselves."""

    mean: Params

    def evaluated(self, params: Params) -> Params:
        """The mean weights."""
        return trees.map(lambda a, w: a.astype(w.dtype), self.mean, params)


def asgd(
    learning_rate: Rate = 0.01,
    decay_rate: Rate = 1e-4,
    alpha: Rate = 0.75,
    start: Rate = 1e6,
) -> Any:
    """ASGD descends at a slowly falling rate and averages the weights after `start` steps.

    w <- (1 - decay_rate r) w - r g with r = learning_rate / (1 + decay_rate learning_rate
    (t-1))^alpha; mean <- mean + (w - mean) / max(1, t - 1 - start).  Names and defaults are
    torch's lambd, alpha, t0.  A sweep evaluates at the mean; elsewhere `optim.core.evaluated` gives
    it.
    Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992); Xu, arXiv:1107.2490 (2011).
    """

    def step(g, s, h):
        rate = h.learning_rate / (1 + h.decay_rate * h.learning_rate * (h.t - 1)) ** h.alpha
        u = trees.map(lambda g, w: -h.decay_rate * rate * w - rate * g, g, h.w)
        share = 1 / jnp.maximum(1, h.t - 1 - h.start)
        mean = trees.map(lambda a, w, u: a + (w + u - a) * share, s.mean, h.w, u)
        return u, Average(mean)

    return whole(
        Average,
        step,
        counts=True,
        learning_rate=learning_rate,
        decay_rate=decay_rate,
        alpha=alpha,
        start=start,
    )
