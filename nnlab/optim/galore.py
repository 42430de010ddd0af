"""Adam on a low-rank view of every matrix gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab.optim.adam import Moments, adam_step, zero_moments
from nnlab.optim.core import Mask, Rate, Steps, add_weights, chain, descend, each
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

    d = Adam's direction for P^T g, step P d, with P the first `rank` singular vectors of g.
    P is renewed every `refresh` steps from the side with more rows; arrays of other ranks use
    plain Adam (unscaled).
    Source: Zhao et al., ICML (2024), algorithm 2.
    """

    def begin(w):
        if w.ndim != 2:
            return zero_moments(w)
        k = min(rank, *w.shape)
        basis = jnp.zeros((max(w.shape), k), w.dtype)
        return Projected(basis, zero_moments(jnp.zeros((k, min(w.shape)), w.dtype)))

    def step(g, s, h):
        if g.ndim != 2:
            return adam_step(g, s, h)
        tall, rank = g.shape[0] >= g.shape[1], s.basis.shape[1]

        def renewed():
            left, _, right = jnp.linalg.svd(g, full_matrices=False)
            return left[:, :rank] if tall else right[:rank].T

        basis = jax.lax.cond((h.t - 1) % h.refresh == 0, renewed, lambda: s.basis)
        d, low = adam_step(basis.T @ (g if tall else g.T), s.low, h)
        u = h.scale * (basis @ d)
        return u if tall else u.T, Projected(basis, low)

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
        refresh=refresh,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))
