"""One preconditioning matrix per axis: Shampoo, and Adam in Shampoo's eigenbasis."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.adam import adam_step, zero_moments
from nnlab.optim.core import (
    Constant,
    Mask,
    Rate,
    Steps,
    add_weights,
    chain,
    corrected,
    descend,
    each,
    whole_steps,
)
from nnlab.optim.seldom import where_due
from nnlab.types import Array, Float

Matrix = Float[Array, "n n"]


def _scatter(g: Array, axis: int) -> Matrix:
    """The sum over all other axes of the outer products along one."""
    rest = [k for k in range(g.ndim) if k != axis]
    return jnp.tensordot(g, g, (rest, rest))


def _along(g: Array, matrix: Matrix, axis: int) -> Array:
    """Applies a matrix to one axis."""
    return jnp.moveaxis(jnp.tensordot(matrix, g, (1, axis)), 0, axis)


def _axes(shape: tuple[int, ...], max_dim: int) -> list[int]:
    return [axis for axis, n in enumerate(shape) if n <= max_dim]


class Statistics(NamedTuple):
    """One sum of outer products per treated axis."""

    sums: tuple[Array, ...]


def shampoo(
    learning_rate: Rate, eps: Constant = 1e-4, max_dim: int = 1024, power: Rate = 1.0
) -> Any:
    """Shampoo preconditions each axis by an inverse root of its sum of outer products.

    H_i <- H_i + (g g^T along axis i), started at eps I; step g x_1 H_1^(-power/2k) ... x_k
    H_k^(-power/2k) for an array of rank k.  Axes longer than max_dim are left alone; a number
    counts as a vector.
    Source: Gupta, Koren and Singer, ICML (2018), algorithm 2.
    """

    def begin(w):
        x, small = jnp.atleast_1d(w), jnp.asarray(eps, w.dtype)
        return Statistics(
            tuple(small * jnp.eye(x.shape[axis], dtype=w.dtype) for axis in _axes(x.shape, max_dim))
        )

    def step(g, s, h):
        x = jnp.atleast_1d(g)
        order = 2 * x.ndim
        u, sums = x, []
        for axis, total in zip(_axes(x.shape, max_dim), s.sums, strict=True):
            total = total + _scatter(x, axis)  # noqa: PLW2901 - H <- H + g g^T
            size, vectors = jnp.linalg.eigh(total)
            size = jnp.maximum(size, h.eps)
            root = (vectors * size[None] ** (-h.power / order)) @ vectors.T
            u = _along(u, root, axis)
            sums.append(total)
        return u.reshape(g.shape), Statistics(tuple(sums))

    return chain(each(begin, step, eps=eps, power=power), descend(learning_rate))


class Rotated(NamedTuple):
    """Per treated axis a running mean of outer products and its eigenvectors; Adam's moments."""

    means: tuple[Array, ...]
    bases: tuple[Array, ...]
    m: Array
    v: Array


def soap(
    learning_rate: Rate,
    beta1: Rate = 0.95,
    beta2: Rate = 0.95,
    eps: Rate = 1e-8,
    weight_decay: Rate | None = None,
    refresh: Steps = 10,
    max_dim: int = 1024,
    mask: Mask = None,
) -> Any:
    """SOAP runs Adam in the slowly turning eigenbasis of Shampoo's matrices.

    m averages g, v the squares of g in the basis Q, and the step is m_hat / (sqrt(v_hat) + eps)
    computed there and turned back.  L_i <- beta2 L_i + (1 - beta2) (g g^T along axis i); behind
    every `refresh`-th step Q_i becomes the orthonormal factor of L_i Q_i.  So no gradient is turned
    by a basis made of it, in which it is diagonal.  For that reason the first gradient makes no
    step, as in the authors' code: it only starts L_i, and Q_i as L_i's eigenvectors, that of the
    largest value first; moments and steps count from the second.  Where the root of v_hat is but a
    rounding error of its largest (as numpy's matrix_rank has it: times eps and the longest axis),
    nothing moves: a gradient that comes twice, or lacks rank, leaves only such errors there.
    Arrays of rank below two use Adam, from the first gradient on.
    Source: Vyas et al., ICLR (2025), algorithm 3.
    """
    refresh = whole_steps(refresh, 1, "refresh")

    def begin(w):
        if w.ndim < 2:
            return zero_moments(w)
        squares = [jnp.zeros((w.shape[a],) * 2, w.dtype) for a in _axes(w.shape, max_dim)]
        return Rotated(tuple(squares), tuple(squares), jnp.zeros_like(w), jnp.zeros_like(w))

    def step(g, s, h):
        if g.ndim < 2:
            return adam_step(g, s, h)
        axes = _axes(g.shape, max_dim)
        means = tuple(
            h.beta2 * L + (1 - h.beta2) * _scatter(g, a) for a, L in zip(axes, s.means, strict=True)
        )
        steps = h.count - 1  # the first gradient makes none
        bases = where_due(
            (steps > 0) & (steps % refresh == 0),
            lambda: tuple(jnp.linalg.qr(L @ Q)[0] for L, Q in zip(means, s.bases, strict=True)),
            s.bases,
        )
        bases = where_due(
            steps == 0, lambda: tuple(jnp.linalg.eigh(L)[1][:, ::-1] for L in means), bases
        )
        g = jnp.where(steps == 0, 0, g)
        turned, m = g, h.beta1 * s.m + (1 - h.beta1) * g
        d = m
        for axis, Q in zip(axes, s.bases, strict=True):
            turned, d = _along(turned, Q.T, axis), _along(d, Q.T, axis)
        v = h.beta2 * s.v + (1 - h.beta2) * turned**2
        age = jnp.maximum(h.t - 1, 1)
        root = jnp.sqrt(corrected(v, h.beta2, age))
        rounding = max(g.shape) * jnp.finfo(g.dtype).eps * root.max(initial=0)
        d = jnp.where(root > rounding, corrected(d, h.beta1, age) / (root + h.eps), 0)
        for axis, Q in zip(axes, s.bases, strict=True):
            d = _along(d, Q, axis)
        return d, Rotated(means, bases, m, v)

    rule = each(
        begin,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=0.0,
        nesterov=False,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))
