"""A clipped Newton step with a running estimate of the Hessian's diagonal."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.optim.core import (
    Mask,
    Rate,
    Steps,
    add_weights,
    chain,
    corrected,
    descend,
    whole,
    whole_steps,
)
from nnlab.optim.seldom import where_due
from nnlab.types import Array, Params, PRNGKey


class Curvature(NamedTuple):
    """A running mean of gradients, and one of the Hessian's diagonal."""

    m: Params
    d: Params


def hutchinson(loss: Callable[[Params], Any], w: Params, key: PRNGKey) -> Params:
    """An unbiased estimate of the Hessian's diagonal: z * (H z) for random signs z."""
    leaves, structure = jax.tree.flatten(w)
    keys = jax.random.split(key, len(leaves))
    signs = [jax.random.rademacher(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    z = structure.unflatten(signs)
    return trees.map(jnp.multiply, z, jax.jvp(jax.grad(loss), (w,), (z,))[1])


def sophia(
    learning_rate: Rate,
    key: PRNGKey,
    beta1: Rate = 0.965,
    beta2: Rate = 0.99,
    eps: Rate = 1e-8,
    gamma: Rate = 0.01,
    clip: Rate = 1.0,
    weight_decay: Rate | None = 1e-4,
    refresh: Steps = 10,
    mask: Mask = None,
) -> Any:
    """Sophia divides the mean gradient by the Hessian's running diagonal d, and clips.

    Step clip(m_hat / max(gamma d, eps), -clip, clip).  Every `refresh` steps, d <- beta2 d + (1 -
    beta2) hutchinson(obj_fn) with the draw of that step (optax makes other draws); d acts from the
    next step on.  Needs obj_fn=loss (weights -> loss) in update.
    Source: Liu et al., ICLR (2024), algorithm 3, with the clip at `clip`.
    """
    refresh = whole_steps(refresh, 1, "refresh")

    def begin(w):
        return Curvature(m=trees.zeros_like(w), d=trees.zeros_like(w))

    def step(g, s, h):
        m = trees.map(lambda m, g: h.beta1 * m + (1 - h.beta1) * g, s.m, g)
        u = trees.map(lambda m, d: _clipped(corrected(m, h.beta1, h.t), d, h), m, s.d)
        draw = jax.random.fold_in(key, h.count)

        def renewed():
            seen = hutchinson(h.obj_fn, h.w, draw)
            return trees.map(lambda d, x: h.beta2 * d + (1 - h.beta2) * x, s.d, seen)

        d = where_due((h.count - 1) % refresh == 0, renewed, s.d)
        return u, Curvature(m, d)

    rule = whole(
        begin,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        gamma=gamma,
        clip=clip,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


def _clipped(m: Array, d: Array, h: Any) -> Array:
    return jnp.clip(m / jnp.maximum(h.gamma * d, h.eps), -h.clip, h.clip)
