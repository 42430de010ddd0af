"""Matrices step along the nearest orthogonal matrix, other arrays as in AdamW."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab.optim.adam import adam_step, first_moment, zero_moments
from nnlab.optim.core import Mask, Rate, add_weights, chain, descend, each
from nnlab.types import Array, Flag, Float

QUINTIC = (3.4445, -4.775, 2.0315)
"""Keller Jordan's coefficients: they pull singular values in (0, 1] into about [.7, 1.2], fast."""


def orthogonalize(
    x: Float[Array, "rows columns"], rounds: int = 5, eps: Any = 1e-8
) -> Float[Array, "rows columns"]:
    """Nearly U V^T for x = U S V^T, by `rounds` Newton-Schulz steps.

    x <- a x + (b A + c A^2) x with A = x x^T, from x / |x|.
    """
    a, b, c = QUINTIC
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (jnp.sqrt(jnp.sum(x**2)) + eps)

    def newton_schulz(_, x):
        A = x @ x.T
        return a * x + (b * A + c * A @ A) @ x

    x = jax.lax.fori_loop(0, rounds, newton_schulz, x)
    return x.T if tall else x


class Mean(NamedTuple):
    """A running mean of gradients, for a matrix."""

    m: Array


def muon(
    learning_rate: Rate,
    beta: Rate = 0.95,
    eps: Rate = 1e-8,
    weight_decay: Rate | None = None,
    nesterov: Flag = True,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    rounds: int = 5,
    mask: Mask = None,
) -> Any:
    """Muon orthogonalises the momentum of every matrix; arrays of other ranks use Adam.

    m <- beta m + (1 - beta) g, corrected for its start and with Nesterov's look ahead; a [in, out]
    matrix steps by sqrt(max(1, out / in)) orthogonalize(m_hat).  Adam has beta1, beta2 and the
    same nesterov.  weight_decay acts on every array; in optax it spares those of Adam.
    Source: Jordan et al., "Muon" (2024).
    """

    def begin(w):
        return Mean(jnp.zeros_like(w)) if w.ndim == 2 else zero_moments(w)

    def step(g, s, h):
        if g.ndim == 2:
            m = h.beta * s.m + (1 - h.beta) * g
            u = orthogonalize(first_moment(g, m, h.beta, h), rounds, h.eps)
            return max(1.0, g.shape[1] / max(1, g.shape[0])) ** 0.5 * u, Mean(m)
        return adam_step(g, s, h)

    rule = each(
        begin,
        step,
        counts=True,
        beta=beta,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=0.0,
        nesterov=nesterov,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))
