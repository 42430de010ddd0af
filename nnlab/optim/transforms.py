"""Penalties and constraints on the weights, before or after an optimizer in optax.chain."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from nnlab import trees
from nnlab.optim.core import Mask, Rate, add_weights, each, forgetful, only, whole
from nnlab.trees import Flat
from nnlab.types import Params, PyTree


def matrices(params: Params) -> PyTree[Any]:
    """True for arrays of rank two or more: weight matrices and kernels, not biases or scales."""
    if isinstance(params, Flat):
        return params.where(lambda shape: len(shape) >= 2)
    return jax.tree.map(lambda w: w.ndim >= 2, params)


def _on(inner: Any, mask: Mask) -> Any:
    return inner if mask is None else only(inner, mask)


def l2(weight_decay: Rate, mask: Mask = matrices) -> Any:
    """The gradient of weight_decay |w|^2 / 2, added before the optimizer: g + weight_decay w.

    By default on the arrays of `matrices`; mask=None takes every array.
    """
    return add_weights(weight_decay, mask)


def l1(strength: Rate, mask: Mask = matrices) -> Any:
    """The subgradient of strength |w|_1, added before the optimizer: g + strength sign(w)."""
    return elastic_net(strength, 0.0, mask)


def elastic_net(l1: Rate, l2: Rate, mask: Mask = matrices) -> Any:
    """Both penalties: g + l1 sign(w) + l2 w.

    Source: Zou and Hastie, J. R. Stat. Soc. B 67 (2005).
    """

    def step(g, s, h):
        return g + h.l1 * jnp.sign(h.w) + h.l2 * h.w, s

    return _on(each(forgetful, step, l1=l1, l2=l2), mask)


def penalised(optimizer: Any, pull: Any) -> Any:
    """The optimizer on the loss plus the penalty P whose gradient `pull` adds: l2, l1, elastic_net.

    What it is told of the loss (value, grad, value_fn, obj_fn, grad_fn) is told of the sum, so that
    a line search and a rate read off the loss see the function whose gradient they follow.
    P(w) = <grad P(w / 2), w>, as for every sum of |w_i| and w_i^2.
    """
    inner = optax.with_extra_args_support(optimizer)

    def begin(w):
        return pull.init(w), inner.init(w)

    def step(g, s, h):
        now, memory = s
        changed, later = pull.update(g, now, h.w)

        def penalty(w):
            half = trees.map(lambda w: w / 2, w)
            return trees.dot(pull.update(trees.zeros_like(w), now, half)[0], w)

        def plus(loss):
            return lambda w: loss(w) + penalty(w)

        sums = {
            "value": lambda _: h.value + penalty(h.w),
            "grad": lambda _: changed,
            "value_fn": plus,
            "obj_fn": plus,
            "grad_fn": lambda slope: lambda w, *rest: pull.update(slope(w, *rest), now, w)[0],
        }
        told = {k: sums[k](x) if k in sums else x for k, x in h.extra.items()}
        u, memory = inner.update(changed, memory, h.w, **told)
        return u, (later, memory)

    return whole(begin, step)


def decoupled_weight_decay(
    weight_decay: Rate, learning_rate: Rate = 1.0, mask: Mask = matrices
) -> Any:
    """Shrinks the weights beside the optimizer's step, after it: u - learning_rate weight_decay w.

    With the optimizer's own learning_rate this makes AdamW of Adam; with 1 it is the paper's decay,
    independent of the rate.  Source: Loshchilov and Hutter, ICLR (2019), algorithm 2.
    """

    def step(u, s, h):
        return u - h.learning_rate * h.weight_decay * h.w, s

    return _on(each(forgetful, step, weight_decay=weight_decay, learning_rate=learning_rate), mask)


def max_norm(radius: Rate, mask: Mask = matrices) -> Any:
    """After the optimizer: the step ends on the ball |w_j| <= radius for each unit j (last axis).

    This holds for the weights that train; schedule_free, asgd and lookahead are evaluated at
    others, which may lie outside.
    Source: Srebro, Rennie and Jaakkola, NeurIPS (2004); Srivastava et al., JMLR 15 (2014), section
    5.1.
    """

    def step(u, s, h):
        there = h.w + u
        axes = tuple(range(there.ndim - 1))
        length = jnp.sqrt(jnp.sum(there**2, axes, keepdims=True))
        inside = there * jnp.minimum(1, h.radius / jnp.maximum(length, h.radius))
        return jnp.where(length > h.radius, inside - h.w, u), s

    return _on(each(forgetful, step, radius=radius), mask)


def keep_nonnegative(mask: Mask = None) -> Any:
    """After the optimizer: weights that would fall below 0 stop at 0.

    This holds for the weights that train; see `max_norm` for those of an average.
    """

    def step(u, s, h):
        return jnp.where(h.w + u < 0, -h.w, u), s

    return _on(each(forgetful, step), mask)
