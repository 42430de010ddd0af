"""Dual averaging: the weights are a function of all gradients so far and not of the last step."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.core import Constant, Rate, add_weights, chain, each
from nnlab.types import Array, Scalar


class Proximal(NamedTuple):
    """FTRL's linear term, sum of squared gradients and last rate but 0 (0 before the first)."""

    z: Array
    v: Array
    rate: Scalar


def ftrl(
    learning_rate: Rate = 0.001,
    l1: Rate = 0.0,
    l2: Rate = 0.0,
    power: Rate = 0.5,
    initial_accumulator: Constant = 0.1,
    beta: Rate = 0.0,
) -> Any:
    """FTRL-Proximal solves for the weights under L1 and L2 penalties; L1 makes them exactly zero.

    v' = v + g^2, z <- z + g - (p' - p) w with the pull p' = (beta + v'^power) / learning_rate and p
    the same of v and the rate before (at first, the same rate), and
    w = -(z - clip(z, -l1, l1)) / (p' + 2 l2), or w as it was where nothing pulls.
    A rate of 0 makes no step and remembers nothing.  l2 is counted twice and v starts at .1, as in
    keras.Ftrl.
    Source: McMahan et al., KDD (2013), algorithm 1.
    """

    def begin(w):
        v = jnp.full_like(w, initial_accumulator)
        return Proximal(z=jnp.zeros_like(w), v=v, rate=jnp.zeros((), w.dtype))

    def step(g, s, h):
        moves = h.learning_rate != 0
        rate = jnp.where(moves, jnp.asarray(h.learning_rate, g.dtype), s.rate)
        last, v = jnp.where(s.rate == 0, rate, s.rate), s.v + g**2
        pull = (h.beta + v**h.power) / rate
        z = s.z + g - (pull - (h.beta + s.v**h.power) / last) * h.w
        stiff = pull + 2 * h.l2
        there = -(z - jnp.clip(z, -h.l1, h.l1)) / jnp.where(stiff > 0, stiff, 1)
        u = jnp.where(moves & (stiff > 0), there - h.w, 0)
        return u, Proximal(jnp.where(moves, z, s.z), jnp.where(moves, v, s.v), rate)

    return each(
        begin,
        step,
        learning_rate=learning_rate,
        l1=l1,
        l2=l2,
        power=power,
        initial_accumulator=initial_accumulator,
        beta=beta,
    )


class Madgrad(NamedTuple):
    """The weighted sums of gradients and of their squares, and the weights of the start."""

    s: Array
    v: Array
    start: Array


def cube_root(v: Array) -> Array:
    """v^(1/3) for v >= 0, faster than jnp.cbrt, which calls libm for each number."""
    return jnp.exp(jnp.log(v) / 3)


def madgrad(
    learning_rate: Rate, momentum: Rate = 0.9, eps: Rate = 1e-6, weight_decay: Rate | None = None
) -> Any:
    """MADGRAD divides a sum of gradients by the cube root of their sum of squares.

    With c = (learning_rate + eps) sqrt(t): s <- s + c g, v <- v + c g^2, z = w_0 - s / (cbrt(v) +
    eps), w <- momentum w + (1 - momentum) z.  weight_decay is added to the gradient.
    Source: Defazio and Jelassi, JMLR 23 (2022), algorithm 1.
    """

    def begin(w):
        return Madgrad(s=jnp.zeros_like(w), v=jnp.zeros_like(w), start=w)

    def step(g, s, h):
        c = (h.learning_rate + h.eps) * jnp.sqrt(h.t)
        total, v = s.s + c * g, s.v + c * g**2
        z = s.start - total / (cube_root(v) + h.eps)
        return (1 - h.momentum) * (z - h.w), Madgrad(total, v, s.start)

    rule = each(begin, step, counts=True, learning_rate=learning_rate, momentum=momentum, eps=eps)
    return chain(add_weights(weight_decay), rule)
