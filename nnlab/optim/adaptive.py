"""One learning rate per weight, from the sizes of the gradients seen so far."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.core import (
    Constant,
    Mask,
    Rate,
    add_weights,
    chain,
    descend,
    each,
    filled,
    zeros,
)
from nnlab.optim.sgd import heavy_ball
from nnlab.types import Array, Flag


class Squares(NamedTuple):
    """A sum, or a running mean, of squared gradients."""

    v: Array


class CentredSquares(NamedTuple):
    """Running means of squared gradients and of gradients."""

    v: Array
    m: Array


def over_root(g: Array, v: Array, eps: Any, eps_in_root: Any) -> Array:
    """G / (sqrt(v) + eps), or g / sqrt(v + eps) with eps_in_root; 0 where that is 0 / 0."""
    root = jnp.where(eps_in_root, jnp.sqrt(v + eps), jnp.sqrt(v) + eps)
    return jnp.where(root > 0, g / jnp.where(root > 0, root, 1), 0)


def adagrad(
    learning_rate: Rate,
    eps: Rate = 1e-7,
    initial_accumulator: Constant = 0.0,
    eps_in_root: Flag = False,
) -> Any:
    """AdaGrad divides by the root of the sum of squares: v <- v + g^2, step g / (sqrt(v) + eps).

    The sum starts at initial_accumulator: 0 here as in the paper, .1 in optax, which also adds eps
    inside the root (eps_in_root).  Source: Duchi, Hazan and Singer, JMLR 12 (2011), figure 1.
    """

    def begin(w):
        return Squares(v=jnp.full_like(w, initial_accumulator))

    def step(g, s, h):
        v = s.v + g**2
        return over_root(g, v, h.eps, h.eps_in_root), Squares(v)

    rule = each(
        begin, step, eps=eps, eps_in_root=eps_in_root, initial_accumulator=initial_accumulator
    )
    return chain(rule, descend(learning_rate))


def root_mean_square(
    decay: Rate,
    eps: Rate,
    centered: Flag | None = None,
    bias_correction: Flag = False,
    eps_in_root: Flag = False,
    initial_accumulator: Constant = 0.0,
) -> Any:
    """RMSProp's direction g / (sqrt(v) + eps)."""

    def begin(w):
        v = jnp.full_like(w, initial_accumulator)
        return Squares(v) if centered is None else CentredSquares(v, m=jnp.zeros_like(w))

    def step(g, s, h):
        correct = jnp.where(h.bias_correction, 1 / filled(h.decay, h.t), 1)
        v = h.decay * s.v + (1 - h.decay) * g**2
        if centered is None:
            return over_root(g, v * correct, h.eps, h.eps_in_root), Squares(v)
        m = h.decay * s.m + (1 - h.decay) * g
        alone = jnp.logical_and(h.bias_correction, h.t == 1)  # one gradient has no spread
        centre = jnp.where(jnp.logical_and(h.centered, ~alone), m * correct, 0)
        spread = jnp.maximum(v * correct - centre**2, 0)
        return over_root(g, spread, h.eps, h.eps_in_root), CentredSquares(v, m)

    return each(
        begin,
        step,
        counts=True,
        decay=decay,
        eps=eps,
        eps_in_root=eps_in_root,
        centered=centered,
        bias_correction=bias_correction,
        initial_accumulator=initial_accumulator,
    )


def rmsprop(
    learning_rate: Rate,
    decay: Rate = 0.9,
    eps: Rate = 1e-8,
    momentum: Rate | None = None,
    nesterov: Flag = False,
    centered: Flag | None = None,
    bias_correction: Flag = False,
    eps_in_root: Flag = False,
    initial_accumulator: Constant = 0.0,
) -> Any:
    """RMSProp divides the gradient by the root of its running mean square.

    v <- decay v + (1 - decay) g^2, step learning_rate g / (sqrt(v) + eps).
    centered takes off the square of the running mean of g (a variance), bias_correction divides
    both running means by 1 - decay^t, momentum adds a heavy ball on the finished steps; None
    leaves its memory out.  With both of the first two, step one is not centred: one gradient has no
    spread, by which optax divides.  eps is outside the root as in torch; inside in optax
    (eps_in_root).
    Source: Tieleman and Hinton, lecture 6.5 (2012); centred: Graves, arXiv:1308.0850 (2013), eq.
    38-45.
    """
    direction = root_mean_square(
        decay, eps, centered, bias_correction, eps_in_root, initial_accumulator
    )
    moving = None if momentum is None else heavy_ball(momentum, nesterov)
    return chain(direction, descend(learning_rate), moving)


class Adadelta(NamedTuple):
    """Running mean squares of gradients and of steps."""

    v: Array
    x: Array


def adadelta(
    learning_rate: Rate = 1.0,
    decay: Rate = 0.9,
    eps: Rate = 1e-6,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """Adadelta sizes each step by the last ones, so that it has the units of the weights.

    u = sqrt(x + eps) / sqrt(v + eps) g.
    v and x are running mean squares (rate decay) of gradients and of the steps themselves.
    weight_decay is added to the gradient.  learning_rate is 1 as in the paper; optax's default
    leaves the sign unflipped, so there it must be given.
    Source: Zeiler, arXiv:1212.5701 (2012), algorithm 1.
    """

    def step(g, s, h):
        v = h.decay * s.v + (1 - h.decay) * g**2
        u = jnp.sqrt(s.x + h.eps) / jnp.sqrt(v + h.eps) * g
        return u, Adadelta(v, x=h.decay * s.x + (1 - h.decay) * u**2)

    rule = each(zeros(Adadelta), step, decay=decay, eps=eps)
    return chain(add_weights(weight_decay, mask), rule, descend(learning_rate))
