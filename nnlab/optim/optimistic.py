"""Optimism: step as if the next gradient changes as the last one did."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.adam import adam_direction
from nnlab.optim.core import Rate, chain, descend, each, zeros
from nnlab.types import Array, Flag


class LastGradient(NamedTuple):
    """The gradient of the step before."""

    g: Array


def optimistic(strength: Rate = 1.0, optimism: Rate = 1.0) -> Any:
    """The direction strength g_t + optimism (g_t - g_{t-1}); the first step has no change."""

    def step(g, s, h):
        last = jnp.where(h.t == 1, g, s.g)
        return h.strength * g + h.optimism * (g - last), LastGradient(g)

    return each(zeros(LastGradient), step, counts=True, strength=strength, optimism=optimism)


def optimistic_gradient_descent(
    learning_rate: Rate, strength: Rate = 1.0, optimism: Rate = 1.0
) -> Any:
    """Optimistic gradient descent steps as if the gradient will change as it did last time.

    w <- w - learning_rate (strength g_t + optimism (g_t - g_{t-1})).
    optax calls the two numbers alpha and beta.
    Source: Mokhtari, Ozdaglar and Pattathil, AISTATS (2020), eq. 3-4.
    """
    return chain(optimistic(strength, optimism), descend(learning_rate))


def optimistic_adam(
    learning_rate: Rate,
    strength: Rate = 1.0,
    optimism: Rate = 1.0,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    nesterov: Flag = True,
) -> Any:
    """Optimistic Adam extrapolates Adam's direction d: strength d_t + optimism (d_t - d_{t-1}).

    Equal to optax.optimistic_adam_v2; the deprecated optax.optimistic_adam(rate, optimism) is this
    with optimism divided by the rate.  Nesterov is on by default, as in optax.
    Source: Daskalakis et al., ICLR (2018), algorithm 1.
    """
    direction = adam_direction(beta1, beta2, eps, eps_root, nesterov)
    return chain(direction, optimistic(strength, optimism), descend(learning_rate))
