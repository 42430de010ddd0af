"""Steps that leave out whatever the gradient at hand speaks against."""

from typing import Any

import jax.numpy as jnp
import optax

from nnlab import trees
from nnlab.optim.core import whole

LEAST = 1e-3
"""The smallest share of an array by which its step is divided."""


def cautious(optimizer: Any) -> Any:
    """Moves only weights whose step goes against their gradient, and those the further.

    u_i <- u_i 1[u_i g_i < 0] / max(share, 0.001), with share that of the moving weights in their
    array.  Momentum's other steps would raise the loss.  A decoupled decay within the optimizer is
    part of u here.
    Source: Liang et al., arXiv:2411.16085, algorithm 1.
    """
    inner = optax.with_extra_args_support(optimizer)

    def step(g, s, h):
        u, s = inner.update(g, s, vars(h).get("w"), **h.extra)

        def agreed(u, g):
            moves = (u * g < 0).astype(u.dtype)
            return u * moves / jnp.maximum(jnp.mean(moves), LEAST)

        return trees.map(agreed, u, g), s

    return whole(inner.init, step)
