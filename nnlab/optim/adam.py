"""Adam and its nearest relatives: two running means, corrected for their start at zero."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim.core import Mask, Rate, add_weights, chain, corrected, descend, each, zeros
from nnlab.types import Array, Flag


class Moments(NamedTuple):
    """Running means of the gradient and of its square."""

    m: Array
    v: Array


zero_moments = zeros(Moments)
"""Both means at 0."""


def first_moment(g: Array, m: Array, beta: Any, h: Any) -> Array:
    """M corrected for its start at zero; with h.nesterov, the value it will have one step later."""
    plain = corrected(m, beta, h.t)
    ahead = beta * corrected(m, beta, h.t + 1) + (1 - beta) * corrected(g, beta, h.t)
    return jnp.where(h.nesterov, ahead, plain)


def adam_step(g: Array, s: Moments, h: Any) -> tuple[Array, Moments]:
    """The direction m_hat / (sqrt(v_hat + eps_root) + eps) of one array."""
    m = h.beta1 * s.m + (1 - h.beta1) * g
    v = h.beta2 * s.v + (1 - h.beta2) * g**2
    m_hat = first_moment(g, m, h.beta1, h)
    v_hat = corrected(v, h.beta2, h.t)
    return m_hat / (jnp.sqrt(v_hat + h.eps_root) + h.eps), Moments(m, v)


def adam_direction(
    beta1: Rate, beta2: Rate, eps: Rate, eps_root: Rate = 0.0, nesterov: Flag = False
) -> Any:
    """Adam's direction for every array."""
    return each(
        zero_moments,
        adam_step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=eps_root,
        nesterov=nesterov,
    )


def adam(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    nesterov: Flag = False,
) -> Any:
    """Adam steps by the ratio of the gradient's running mean to its running root mean square.

    m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2, step m_hat / (sqrt(v_hat +
    eps_root) + eps) with m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t).  Defaults are the
    paper's and optax's.
    Source: Kingma and Ba, ICLR (2015), algorithm 1.
    """
    direction = adam_direction(beta1, beta2, eps, eps_root, nesterov)
    return chain(direction, descend(learning_rate))


def nadam(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
) -> Any:
    """NAdam is Adam with Nesterov's momentum: the mean that the next step would use.

    m_hat = beta1 m / (1 - beta1^(t+1)) + (1 - beta1) g / (1 - beta1^t).
    Source: Dozat, ICLR workshop (2016), with a constant beta1.
    """
    return adam(learning_rate, beta1, beta2, eps, eps_root, nesterov=True)


def adamw(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 1e-4,
    mask: Mask = None,
    nesterov: Flag = False,
) -> Any:
    """AdamW is Adam with weight decay beside the adaptive step, not inside it.

    w <- w - learning_rate (d + weight_decay w), d Adam's direction.  The decay is multiplied by
    the rate, as in optax and torch, and is 1e-4 by default as in optax (1e-2 in torch).  mask=None
    decays every array; see transforms.matrices.
    Source: Loshchilov and Hutter, ICLR (2019), algorithm 2.
    """
    direction = adam_direction(beta1, beta2, eps, eps_root, nesterov)
    return chain(direction, add_weights(weight_decay, mask), descend(learning_rate))


def nadamw(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 1e-4,
    mask: Mask = None,
) -> Any:
    """NAdamW is AdamW with Nesterov's momentum.

    Source: Dozat (2016) for the direction, Loshchilov and Hutter (2019) for the decay.
    """
    return adamw(learning_rate, beta1, beta2, eps, eps_root, weight_decay, mask, nesterov=True)


class MaxMoments(NamedTuple):
    """Running means of the gradient and of its square, and the largest of the latter."""

    m: Array
    v: Array
    top: Array


def amsgrad(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    bias_correction: Flag = True,
) -> Any:
    """AMSGrad is Adam whose step sizes never grow: it divides by the largest v seen so far.

    top <- max(top, v_hat).  bias_correction acts on both means; the paper has none, optax corrects
    by default.
    Source: Reddi, Kale and Kumar, ICLR (2018), algorithm 2.
    """

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        v = h.beta2 * s.v + (1 - h.beta2) * g**2
        m_hat = jnp.where(h.bias_correction, corrected(m, h.beta1, h.t), m)
        v_hat = jnp.where(h.bias_correction, corrected(v, h.beta2, h.t), v)
        top = jnp.maximum(s.top, v_hat)
        return m_hat / (jnp.sqrt(top + h.eps_root) + h.eps), MaxMoments(m, v, top)

    rule = each(
        zeros(MaxMoments),
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=eps_root,
        bias_correction=bias_correction,
    )
    return chain(rule, descend(learning_rate))
