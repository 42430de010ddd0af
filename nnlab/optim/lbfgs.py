"""L-BFGS: Newton's direction from the last few changes of weights and gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.errors import UsageError
from nnlab.optim.core import Rate, Steps, whole, whole_steps
from nnlab.optim.line_search import zoom
from nnlab.types import Array, Flag, Params, Scalar

LEAST = 1e-10
"""The least inverse curvature <s, y> / <y, y> of a pair that is kept."""


class Pairs(NamedTuple):
    """The last weights and gradient; past changes s, y of both, oldest first; 1 / <s, y>; H_0."""

    w: Params
    g: Params
    s: Params
    y: Params
    rho: Array
    scale: Scalar


def lbfgs(
    learning_rate: Rate = 1.0,
    memory: int = 10,
    scale_start: Flag = True,
    line_search: bool = True,
    tries: Steps = 20,
) -> Any:
    """L-BFGS builds an inverse Hessian from the last `memory` steps and searches along its line.

    d = -learning_rate H g by the two-loop recursion, H_0 = <s, y> / <y, y> (min(1, 1 / |g|) at the
    first step; 1 without scale_start); the zoom line search then multiplies d.  A pair that would
    make H indefinite, <s, y> <= 0, is left out, as in torch; optax keeps it.  Needs value=loss,
    grad=gradient and value_fn=(weights -> loss) in update, unless line_search is False.
    Source: Liu and Nocedal, Math. Programming 45 (1989); Nocedal and Wright (2006), algorithm 7.4.
    """
    if memory < 1:
        raise UsageError(f"memory is {memory}; lbfgs needs to remember a step; try 10")

    def begin(w):
        zero = trees.zeros_like(w)
        past = trees.map(lambda x: jnp.zeros((memory, *x.shape), x.dtype), w)
        none = jnp.zeros(memory, trees.norm(w).dtype)
        return Pairs(w=zero, g=zero, s=past, y=past, rho=none, scale=jnp.ones_like(none[0]))

    def step(g, past, h):
        s, y = trees.map(jnp.subtract, h.w, past.w), trees.map(jnp.subtract, g, past.g)
        sy, yy = trees.dot(s, y), trees.dot(y, y)
        good = (h.t > 1) & (yy > 0) & (sy > LEAST * yy)
        sy, yy = jnp.where(good, sy, 1), jnp.where(good, yy, 1)

        def push(past, new):
            return jnp.where(good, jnp.concatenate([past[1:], new[None]]), past)

        rows = trees.map(push, (past.s, past.y, past.rho), (s, y, 1 / sy))
        kept = jnp.where(h.t > 1, past.scale, jnp.minimum(1, 1 / trees.norm(g)))
        now = Pairs(h.w, g, *rows, scale=jnp.where(good, sy / yy, kept))
        start = jnp.where(h.scale_start, now.scale, 1)
        d = trees.map(lambda x: -h.learning_rate * x, _inverse_hessian(now, start, g))
        if not line_search:
            return d, now
        a = zoom(h.value_fn, h.w, d, h.value, g, whole_steps(tries))
        return trees.map(lambda x: a * x, d), now

    return whole(begin, step, counts=True, learning_rate=learning_rate, scale_start=scale_start)


def _inverse_hessian(past: Pairs, scale: Scalar, g: Params) -> Params:
    """H g by the two-loop recursion; empty places of the memory have rho 0 and change nothing."""
    rows = past.s, past.y, past.rho

    def newest_first(q, row):
        s, y, rho = row
        a = rho * trees.dot(s, q)
        return trees.map(lambda q, y: q - a * y, q, y), a

    def oldest_first(r, row):
        (s, y, rho), a = row
        b = rho * trees.dot(y, r)
        return trees.map(lambda r, s: r + (a - b) * s, r, s), None

    q, a = jax.lax.scan(newest_first, g, rows, reverse=True)
    return jax.lax.scan(oldest_first, trees.map(lambda x: scale * x, q), (rows, a))[0]
