"""Gradient descent and its momenta."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.core import Rate, chain, descend, each, zeros
from nnlab.types import Array, Flag


class Velocity(NamedTuple):
    """A running sum of gradients."""

    m: Array


def sgd(learning_rate: Rate) -> Any:
    """Gradient descent: w <- w - learning_rate g.

    Source: Robbins and Monro, Ann. Math. Stat. 22 (1951).
    """
    return descend(learning_rate)


def heavy_ball(momentum: Rate, nesterov: Flag = False) -> Any:
    """The direction m <- momentum m + g, or g + momentum m looking ahead with Nesterov."""

    def step(g, s, h):
        m = h.momentum * s.m + g
        return jnp.where(h.nesterov, g + h.momentum * m, m), Velocity(m)

    return each(zeros(Velocity), step, momentum=momentum, nesterov=nesterov)


def momentum(learning_rate: Rate, momentum: Rate = 0.9, nesterov: Flag = False) -> Any:
    """Gradient descent with Polyak's heavy ball: m <- momentum m + g, w <- w - learning_rate m.

    With nesterov the step is -learning_rate (g + momentum m).  Equal to optax.sgd(learning_rate,
    momentum, nesterov), whose default is no momentum at all.
    Source: Polyak (1964); Sutskever et al., ICML (2013).
    """
    return chain(heavy_ball(momentum, nesterov), descend(learning_rate))


def nesterov(learning_rate: Rate, momentum: Rate = 0.9) -> Any:
    """Nesterov's accelerated gradient is momentum that looks one step ahead.

    m <- momentum m + g, w <- w - learning_rate (g + momentum m), as optax.sgd with nesterov=True.
    Source: Nesterov (1983), in the form of Bengio, Boulanger-Lewandowski and Pascanu, ICASSP
    (2013).
    """
    return chain(heavy_ball(momentum, nesterov=True), descend(learning_rate))
