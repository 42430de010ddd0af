"""No schedule: gradients are taken between a fast sequence z and its running average x.

    y = (1 - beta1) z + beta1 x        the weights that are trained
    z <- z + (base step at y)
    x <- (1 - c) x + c z,  c = r^p / sum of r^p, r the largest rate so far

Evaluate at x = `average(state, y)`; a constraint that stands behind (max_norm, keep_nonnegative)
holds for y and not for x.  Source: Defazio et al., NeurIPS (2024), algorithm 1.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from nnlab import trees
from nnlab.errors import UsageError
from nnlab.optim.adaptive import root_mean_square
from nnlab.optim.core import Constant, Rate, State, add_weights, chain, descend, whole
from nnlab.optim.sgd import sgd
from nnlab.types import Params, Scalar


class Fast(NamedTuple):
    """The fast sequence, the base optimizer's state, beta1, the largest rate, the sum of r^p."""

    z: Params
    base: Any
    beta1: Scalar
    top: Scalar
    total: Scalar

    def evaluated(self, params: Params) -> Params:
        """The averaged weights x."""
        wide = trees.map(lambda y, z: y.astype(z.dtype), params, self.z)
        x = _average(wide, self.z, self.beta1)
        return trees.map(lambda x, y: x.astype(y.dtype), x, params)


def schedule_free(
    optimizer: Any, learning_rate: Rate, beta1: Constant = 0.9, weight_power: Rate = 2.0
) -> Any:
    """Replaces an optimizer's schedule by averaging; learning_rate is the optimizer's, for c.

    The optimizer should have no momentum: beta1 > 0 takes its place.  With a schedule, step and
    weight read the same entry, where optax reads the weight's one step later.  Raises UsageError
    for beta1 = 0, at which x cannot be told from y.
    """
    if isinstance(beta1, int | float) and beta1 == 0:
        raise UsageError("beta1 is 0; a schedule-free optimizer needs it above 0; try 0.9")
    inner = optax.with_extra_args_support(optimizer)

    def begin(w):
        zero = jnp.zeros_like(trees.norm(w))
        return Fast(w, inner.init(w), jnp.full_like(zero, beta1), top=zero, total=zero)

    def step(g, s, h):
        u, base = inner.update(g, s.base, h.w, **h.extra)
        top = jnp.maximum(s.top, h.learning_rate)
        weight = top**h.weight_power
        total = s.total + weight
        c = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), 0)
        z = trees.map(jnp.add, s.z, u)
        x = trees.map(lambda x, z: (1 - c) * x + c * z, _average(h.w, s.z, h.beta1), z)
        y = trees.map(lambda x, z: h.beta1 * x + (1 - h.beta1) * z, x, z)
        return trees.map(jnp.subtract, y, h.w), Fast(z, base, s.beta1, top, total)

    return whole(begin, step, learning_rate=learning_rate, beta1=beta1, weight_power=weight_power)


def _average(y: Params, z: Params, beta1: Any) -> Params:
    return trees.map(lambda y, z: (y - (1 - beta1) * z) / beta1, y, z)


def average(state: State, params: Params) -> Params:
    """The averaged weights x, at which a schedule-free run is evaluated."""
    return state.memory.evaluated(params)


def schedule_free_sgd(
    learning_rate: Rate = 1.0,
    beta1: Constant = 0.9,
    weight_decay: Rate | None = None,
    weight_power: Rate = 2.0,
) -> Any:
    """Schedule-free gradient descent averages the weights in place of a falling rate.

    weight_decay is added to the gradient at y.
    Source: Defazio et al., NeurIPS (2024), algorithm 1 with gradient descent.
    """
    base = chain(add_weights(weight_decay), sgd(learning_rate))
    return schedule_free(base, learning_rate, beta1, weight_power)


def schedule_free_adamw(
    learning_rate: Rate = 0.0025,
    beta1: Constant = 0.9,
    beta2: Rate = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Rate | None = None,
    weight_power: Rate = 2.0,
) -> Any:
    """Schedule-free AdamW averages the weights of corrected RMSProp in place of momentum.

    weight_decay w is added to the direction, w at y.
    Source: Defazio et al., NeurIPS (2024), algorithm 1.
    """
    direction = root_mean_square(beta2, eps, bias_correction=True)
    base = chain(direction, add_weights(weight_decay), descend(learning_rate))
    return schedule_free(base, learning_rate, beta1, weight_power)
