"""Optimizers that change one line of Adam."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab.optim import checks
from nnlab.optim.adam import Moments, first_moment, zero_moments
from nnlab.optim.core import (
    Constant,
    Mask,
    Rate,
    add_weights,
    chain,
    corrected,
    descend,
    each,
    zeros,
)
from nnlab.types import Array, Flag


def adamaxw(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Rate | None = 1e-4,
    mask: Mask = None,
) -> Any:
    """AdaMaxW is AdaMax with weight decay beside its step d.

    w <- w - learning_rate (d + weight_decay w).
    Source: Kingma and Ba, ICLR (2015), for d; Loshchilov and Hutter, ICLR (2019), for the decay.
    """

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        v = jnp.maximum(jnp.abs(g) + h.eps, h.beta2 * s.v)
        return corrected(m, h.beta1, h.t) / v, Moments(m, v)

    rule = each(zero_moments, step, counts=True, beta1=beta1, beta2=beta2, eps=eps)
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


def adamax(learning_rate: Rate, beta1: Rate = 0.9, beta2: Rate = 0.999, eps: Rate = 1e-8) -> Any:
    """AdaMax is Adam in the infinity norm: v <- max(|g| + eps, beta2 v), step m_hat / v.

    Source: Kingma and Ba, ICLR (2015), algorithm 2.
    """
    return adamaxw(learning_rate, beta1, beta2, eps, weight_decay=None)


def adabelief(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-16,
    eps_root: Rate = 1e-16,
    nesterov: Flag = False,
) -> Any:
    """AdaBelief divides by the surprise: v <- beta2 v + (1 - beta2) (g - m)^2 + eps_root.

    Source: Zhuang et al., NeurIPS (2020), algorithm 2.
    """

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        v = h.beta2 * s.v + (1 - h.beta2) * (g - m) ** 2 + h.eps_root
        m_hat = first_moment(g, m, h.beta1, h)
        v_hat = corrected(v, h.beta2, h.t)
        return m_hat / (jnp.sqrt(v_hat) + h.eps), Moments(m, v)

    rule = each(
        zero_moments,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=eps_root,
        nesterov=nesterov,
    )
    return chain(rule, descend(learning_rate))


def acprop(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-16,
    eps_root: Rate = 1e-16,
    weight_decay: Rate | None = None,
    mask: Mask = None,
) -> Any:
    """ACProp divides the gradient by the surprise of the steps before it: centred and asynchronous.

    u = g / (sqrt(v_hat) + eps) with the old v (1 at the first step), then v <- beta2 v + (1 -
    beta2) (g - m)^2 + eps_root with the new m, in optax 0.2.8 the old one.
    Source: Zhuang et al., NeurIPS (2021), algorithm 2.
    """

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        v = h.beta2 * s.v + (1 - h.beta2) * (g - m) ** 2 + h.eps_root
        age = jnp.maximum(h.t - 1, 1)
        v_hat = jnp.where(h.t == 1, 1, corrected(s.v, h.beta2, age))
        return g / (jnp.sqrt(v_hat) + h.eps), Moments(m, v)

    rule = each(
        zero_moments, step, counts=True, beta1=beta1, beta2=beta2, eps=eps, eps_root=eps_root
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


def yogi(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-3,
    initial_accumulator: Constant = 1e-6,
) -> Any:
    """Yogi moves v towards g^2 by a fixed share of g^2: v <- v - (1 - beta2) sign(v - g^2) g^2.

    Both means start at initial_accumulator, as in optax and the authors' code.
    Source: Zaheer et al., NeurIPS (2018), algorithm 2.
    """

    def begin(w):
        start = jnp.full_like(w, initial_accumulator)
        return Moments(m=start, v=start)

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        v = s.v - (1 - h.beta2) * jnp.sign(s.v - g**2) * g**2
        m_hat, v_hat = corrected(m, h.beta1, h.t), corrected(v, h.beta2, h.t)
        return m_hat / (jnp.sqrt(v_hat) + h.eps), Moments(m, v)

    rule = each(
        begin,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        initial_accumulator=initial_accumulator,
    )
    return chain(rule, descend(learning_rate))


def _seen(beta: Any, t: Array) -> Array:
    """RAdam's number of gradients in a running mean: (1 + b) / (1 - b) - 2 t b^t / (1 - b^t).

    With l = -log b it is t + s(l / 2) - t s(t l / 2), s(y) = coth y - 1 / y = y / 3 - y^3 / 45 +
    ..., so it begins at 1 and, for b near 1, follows t.  The series is used where the two large
    terms would cancel.
    """

    def s(y):
        return y / 3 - y**3 / 45 + 2 * y**5 / 945

    rate = -jnp.log1p(-(1 - beta))
    apart = 2 / (1 - beta) - 1 - 2 * t / jnp.expm1(t * rate)
    return jnp.where(t * rate < 0.1, t + s(rate / 2) - t * s(t * rate / 2), apart)


def radam(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    threshold: Rate = 5.0,
    nesterov: Flag = False,
) -> Any:
    """RAdam rectifies Adam's early variance; while v has seen too little it follows the mean alone.

    rho = rho_inf - 2 t beta2^t / (1 - beta2^t), rho_inf = 2 / (1 - beta2) - 1; from rho >=
    threshold the step is r m_hat / (sqrt(v_hat + eps_root) + eps) with r^2 = (rho - 4)(rho - 2)
    rho_inf / ((rho_inf - 4)(rho_inf - 2) rho).  Raises UsageError for a threshold below 4, where
    r^2 is negative.
    Source: Liu et al., ICLR (2020), algorithm 2.
    """
    checks.at_least(4.0, "threshold", threshold)

    def step(g, s, h):
        m = h.beta1 * s.m + (1 - h.beta1) * g
        v = h.beta2 * s.v + (1 - h.beta2) * g**2
        m_hat = first_moment(g, m, h.beta1, h)
        v_hat = corrected(v, h.beta2, h.t)
        rho_inf = 2 / (1 - h.beta2) - 1
        rho = _seen(h.beta2, h.t)
        ready = rho >= h.threshold
        r2 = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        r = jnp.sqrt(jnp.where(ready, r2, 1))
        adaptive = r * m_hat / (jnp.sqrt(v_hat + h.eps_root) + h.eps)
        return jnp.where(ready, adaptive, m_hat), Moments(m, v)

    rule = each(
        zero_moments,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        eps_root=eps_root,
        threshold=threshold,
        nesterov=nesterov,
    )
    return chain(rule, descend(learning_rate))


class AdanMemory(NamedTuple):
    """Means of the gradient, of its change and of its squared extrapolation; the last gradient."""

    m: Array
    d: Array
    v: Array
    g: Array


def adan(
    learning_rate: Rate,
    beta1: Rate = 0.98,
    beta2: Rate = 0.92,
    beta3: Rate = 0.99,
    eps: Rate = 1e-8,
    eps_root: Rate = 1e-8,
    weight_decay: Rate | None = None,
    mask: Mask = None,
    extrapolation: Rate | None = None,
) -> Any:
    """Adan follows the gradient extrapolated as Nesterov does, over its root mean square.

    It follows g + extrapolation (g - last g); extrapolation is beta2 unless given, as in the paper
    (optax adds 1 - beta2, its betas being the shares kept, one minus the paper's, as they are
    here).  weight_decay is AdamW's, where the paper divides by 1 + learning_rate weight_decay.
    Source: Xie et al., TPAMI (2024), algorithm 1.
    """

    def step(g, s, h):
        change = jnp.where(h.t == 1, 0, g - s.g)
        m = h.beta1 * s.m + (1 - h.beta1) * g
        d = h.beta2 * s.d + (1 - h.beta2) * change
        v = h.beta3 * s.v + (1 - h.beta3) * (g + h.extrapolation * change) ** 2
        m_hat, d_hat = corrected(m, h.beta1, h.t), corrected(d, h.beta2, h.t)
        root = jnp.sqrt(corrected(v, h.beta3, h.t) + h.eps_root) + h.eps
        return (m_hat + h.extrapolation * d_hat) / root, AdanMemory(m, d, v, g)

    rule = each(
        zeros(AdanMemory),
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        beta3=beta3,
        eps=eps,
        eps_root=eps_root,
        extrapolation=beta2 if extrapolation is None else extrapolation,
    )
    return chain(rule, add_weights(weight_decay, mask), descend(learning_rate))


def adopt(
    learning_rate: Rate,
    beta1: Rate = 0.9,
    beta2: Rate = 0.9999,
    eps: Rate = 1e-6,
    nesterov: Flag = False,
    clipping: Flag = True,
) -> Any:
    """ADOPT normalises by the v of the steps before, so that any beta2 converges.

    The first gradient only starts v; then n = g / max(sqrt(old v), eps), clipped to +-(t -
    1)^(1/4), and m <- beta1 m + (1 - beta1) n is the direction.
    Source: Taniguchi et al., NeurIPS (2024).
    """

    def step(g, s, h):
        first = h.t == 1
        n = g / jnp.maximum(jnp.sqrt(s.v), h.eps)
        bound = (h.t - 1) ** 0.25
        n = jnp.where(h.clipping, jnp.clip(n, -bound, bound), n)
        n = jnp.where(first, 0, n)
        m = h.beta1 * s.m + (1 - h.beta1) * n
        v = jnp.where(first, g**2, h.beta2 * s.v + (1 - h.beta2) * g**2)
        u = jnp.where(h.nesterov, h.beta1 * m + (1 - h.beta1) * n, m)
        return u, Moments(m, v)

    rule = each(
        zero_moments,
        step,
        counts=True,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        nesterov=nesterov,
        clipping=clipping,
    )
    return chain(rule, descend(learning_rate))
