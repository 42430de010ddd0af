"""Adam on a low-rank view of every matrix gradient."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.adam import Moments, adam_step, zero_moments
from nnlab.optim.core import (
    Mask,
    Rate,
    Steps,
    add_weights,
    chain,
    descend,
    each,
    whole_steps,
)
from nnlab.optim.seldom import where_due
from nnlab.types import Array


class Projected(NamedTuple):
    """An orthonormal basis P of the gradient's main directions, and moments in its coordinates."""

    basis: Array
    low: Moments


def galore(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    scale: Rate = 1.0,
    refresh: Steps = 200,
    rank: int = 128,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """GaLore runs Adam on a low-rank projection of every matrix gradient.

    d = Adam's direction for P^T g, step P d, with P the first `rank` left singular vectors of g;
    a g with more rows than columns is turned round before and its step after.  So P lies on the
    shorter side, as in the authors' code (in optax on the longer), and a rank of min(rows, columns)
    projects nothing away.  P is renewed every `refresh` steps; arrays that are no matrices use
    plain Adam (unscaled).
    Source: Zhao et al., ICML (2024), algorithm 2.
    """
    refresh = whole_steps(refresh, 1, "refresh")

    def begin(w):
        if w.ndim != 2:
            return zero_moments(w)
        short, long = sorted(w.shape)
        k = min(rank, short)
        basis = jnp.zeros((short, k), w.dtype)
        return Projected(basis, zero_moments(jnp.zeros((k, long), w.dtype)))

    def step(g, s, h):
        if g.ndim != 2:
            return adam_step(g, s, h)
        tall = g.shape[0] > g.shape[1]
        wide = g.T if tall else g

        def renewed():
            return jnp.linalg.svd(wide, full_matrices=False)[0][:, : s.basis.shape[1]]

        basis = where_due((h.count - 1) % refresh == 0, renewed, s.basis)
        d, low = adam_step(basis.T @ wide, s.low, h)
        u = h.scale * (basis @ d)
        return u.T if tall else u, Projected(basis, low)

    rule = each(
        begin,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=0.0,
        nesterov=False,
        scale=scale,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))
