"""Steps that take from a direction only its sign."""

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
    forgetful,
    zeros,
)
from nnlab.types import Array


class Mean(NamedTuple):
    """A running mean of gradients."""

    m: Array


def sign_sgd(learning_rate: Rate) -> Any:
    """Sign descent: w <- w - learning_rate sign(g).

    Source: Bernstein et al., ICML (2018), algorithm 1.
    """
    return chain(each(forgetful, lambda g, s, _: (jnp.sign(g), s)), descend(learning_rate))


def signum(learning_rate: Rate, beta: Rate = 0.9) -> Any:
    """Signum steps by the sign of the gradient's running mean.

    m <- beta m + (1 - beta) g, w <- w - learning_rate sign(m).
    Source: Bernstein et al., ICML (2018), algorithm 2.
    """

    def step(g, s, h):
        m = h.beta * s.m + (1 - h.beta) * g
        return jnp.sign(m), Mean(m)

    return chain(each(zeros(Mean), step, beta=beta), descend(learning_rate))


def lion(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.99,
    weight_decay: Rate | None = 1e-3,
    mask: Mask = None,
) -> Any:
    """Lion steps by sign(beta1 m + (1 - beta1) g) and remembers m <- beta2 m + (1 - beta2) g.

    weight_decay is decoupled; 1e-3 as in optax.  Source: Chen et al., NeurIPS (2023), algorithm 2.
    """

    def step(g, s, h):
        u = jnp.sign(h.beta1 * s.m + (1 - h.beta1) * g)
        return u, Mean(h.beta2 * s.m + (1 - h.beta2) * g)

    rule = each(zeros(Mean), step, beta1=beta1, beta2=beta2)
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


class Resilient(NamedTuple):
    """Each weight's own step size, and the sign it moved by."""

    size: Array
    sign: Array


def rprop(
    learning_rate: Constant,
    shrink: Rate = 0.5,
    grow: Rate = 1.2,
    min_step: Rate = 1e-6,
    max_step: Rate = 50.0,
) -> Any:
    """Rprop gives each weight a step size that grows while its gradient keeps its sign.

    After a change of sign the weight rests for one step.  learning_rate is the first step size, and
    no schedule changes it.
    The step acts at once, as in the paper and torch; optax 0.2.8 applies the step of the call
    before.
    Source: Riedmiller and Braun (1993); Igel and Huesken (2000), iRprop-.
    """

    def begin(w):
        size = jnp.broadcast_to(jnp.asarray(learning_rate, w.dtype), w.shape)
        return Resilient(size=size, sign=jnp.zeros_like(w))

    def step(g, s, h):
        agreement = jnp.sign(g) * s.sign
        factor = jnp.where(agreement > 0, h.grow, h.shrink)
        moved = jnp.clip(s.size * factor, h.min_step, h.max_step)
        size = jnp.where(agreement == 0, s.size, moved)
        sign = jnp.where(agreement < 0, 0, jnp.sign(g))
        return -size * sign, Resilient(size, sign)

    return each(
        begin,
        step,
        learning_rate=learning_rate,
        shrink=shrink,
        grow=grow,
        min_step=min_step,
        max_step=max_step,
    )
