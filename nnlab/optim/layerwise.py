"""Steps measured against the norm of the array they change."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.adam import adam_direction
from nnlab.optim.core import (
    Mask,
    Rate,
    add_weights,
    chain,
    chosen,
    descend,
    each,
    forgetful,
    whole,
)
from nnlab.optim.sgd import heavy_ball
from nnlab.types import Array, Flag, Scalar


def _norm(x: Array) -> Scalar:
    return jnp.sqrt(jnp.sum(x**2))


def trust_ratio(min_norm: Rate = 0.0) -> Any:
    """Scales each array's update u by |w| / |u|, or by 1 where a norm is 0.

    Norms below min_norm count as min_norm.
    """

    def step(u, s, h):
        weights, length = jnp.maximum(_norm(h.w), h.min_norm), jnp.maximum(_norm(u), h.min_norm)
        known = (weights > 0) & (length > 0)
        return jnp.where(known, weights / jnp.where(known, length, 1), 1) * u, s

    return each(forgetful, step, min_norm=min_norm)


def lamb(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-6,
    eps_root: Rate = 0.0,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """LAMB gives Adam's decayed direction d the length of its array: learning_rate |w| d / |d|.

    Source: You et al., ICLR (2020), algorithm 2, with phi the identity.
    """
    direction = adam_direction(beta1, beta2, eps, eps_root)
    decayed = add_weights(weight_decay, mask)
    return chain(direction, decayed, trust_ratio(), descend(learning_rate))


def lars(
    learning_rate: Rate,
    momentum: Rate = 0.9,
    trust: Rate = 1e-3,
    eps: Rate = 0.0,
    weight_decay: Rate | None = None,
    nesterov: Flag = False,
    mask: Mask = None,
    trust_mask: Mask = None,
) -> Any:
    """LARS gives each array a rate of its own for its decayed gradient, then adds momentum.

    The step g + p, p = weight_decay w, is scaled by trust |w| / (|g| + |p| + eps), or by 1 where w
    or the step is 0; optax divides by |g + p|.
    Source: You, Gitman and Ginsburg, arXiv:1708.03888 (2017), algorithm 1.
    """

    def step(g, s, h):
        def scaled(g, w, decays, trusts):
            p = jnp.where(decays, h.weight_decay, 0) * w
            weights, length = _norm(w), _norm(g) + _norm(p)
            known = trusts & (weights > 0) & (length > 0)
            ratio = h.trust * weights / jnp.where(known, length + h.eps, 1)
            return jnp.where(known, ratio, 1) * (g + p)

        return trees.map(scaled, g, h.w, chosen(mask, h.w), chosen(trust_mask, h.w)), s

    decay = 0.0 if weight_decay is None else weight_decay
    rule = whole(forgetful, step, trust=trust, eps=eps, weight_decay=decay)
    return chain(rule, descend(learning_rate), heavy_ball(momentum, nesterov))


def fromage(learning_rate: Rate, min_norm: Rate = 1e-6) -> Any:
    """Fromage turns each array by an angle that depends on the rate alone.

    w <- (w - learning_rate g |w| / |g|) / sqrt(1 + learning_rate^2).
    Norms below min_norm count as min_norm.  Source: Bernstein et al., NeurIPS (2020), algorithm 1.
    """

    def step(u, s, h):
        shrink = 1 / jnp.sqrt(1 + jnp.asarray(h.learning_rate, u.dtype) ** 2)
        return -h.learning_rate * shrink * u + (shrink - 1) * h.w, s

    return chain(trust_ratio(min_norm=min_norm), each(forgetful, step, learning_rate=learning_rate))


class NovoGrad(NamedTuple):
    """A running sum of normalised gradients, and one mean square per array."""

    m: Array
    v: Array


def novograd(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.25,
    eps: Rate = 1e-6,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 0.0,
) -> Any:
    """NovoGrad keeps one second moment per array and sums the gradients that it normalised.

    m <- beta1 m + g / (sqrt(v + eps_root) + eps) + weight_decay w,
    v <- beta2 v + (1 - beta2) |g|^2, started at |g|^2.
    Source: Ginsburg et al., arXiv:1905.11286 (2019), algorithm 1.
    """

    def begin(w):
        return NovoGrad(m=jnp.zeros_like(w), v=jnp.zeros((), w.dtype))

    def step(g, s, h):
        square = jnp.sum(g**2)
        v = jnp.where(h.t == 1, square, h.beta2 * s.v + (1 - h.beta2) * square)
        n = g / (jnp.sqrt(v + h.eps_root) + h.eps) + h.weight_decay * h.w
        m = h.beta1 * s.m + n
        return m, NovoGrad(m, v)

    rule = each(
        begin,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
    )
    return chain(rule, descend(learning_rate))
