"""Noise: for exploration, or for the privacy of every example."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnlab import trees
from nnlab.optim.core import Rate, chain, descend, whole
from nnlab.optim.sgd import heavy_ball
from nnlab.types import Flag, Params, PRNGKey


def _normal_like(key: PRNGKey, tree: Params) -> Params:
    """Normal numbers for a whole tree in one draw: a draw for each array takes long to compile."""
    leaves, structure = jax.tree.flatten(tree)
    if not leaves:
        return tree
    ends = np.cumsum([x.size for x in leaves])
    draw = jax.random.normal(key, (int(ends[-1]),), jnp.result_type(*leaves))
    parts = [draw[end - x.size : end].reshape(x.shape) for end, x in zip(ends, leaves, strict=True)]
    return structure.unflatten(
        [part.astype(x.dtype) for part, x in zip(parts, leaves, strict=True)]
    )


def add_noise(key: PRNGKey, eta: Rate = 0.01, gamma: Rate = 0.55) -> Any:
    """Adds N(0, eta / t^gamma) to every component, drawn from fold_in(key, t).

    optax splits its key from step to step and so draws other numbers of the same law.
    Source: Neelakantan et al., arXiv:1511.06807 (2015), eq. 1.
    """

    def step(g, s, h):
        stddev = jnp.sqrt(h.eta / h.t**h.gamma)
        noise = _normal_like(jax.random.fold_in(key, h.count), g)
        return trees.map(lambda g, n: g + stddev * n, g, noise), s

    return whole(lambda _: (), step, counts=True, eta=eta, gamma=gamma)


def noisy_sgd(learning_rate: Rate, key: PRNGKey, eta: Rate = 0.01, gamma: Rate = 0.55) -> Any:
    """Gradient descent with falling noise: w <- w - learning_rate (g + N(0, eta / t^gamma)).

    The draws are not optax's, their law is; see `add_noise`.
    Source: Neelakantan et al., arXiv:1511.06807 (2015).
    """
    return chain(add_noise(key, eta, gamma), descend(learning_rate))


def private_mean(key: PRNGKey, max_norm: Rate, noise: Rate) -> Any:
    """The mean over examples of gradients clipped to max_norm, plus noise.

    The noise is N(0, (noise max_norm / examples)^2).
    The gradients come one per example, along the first axis of every array.
    Source: Abadi et al., CCS (2016), algorithm 1.
    """

    def step(g, s, h):
        examples = jax.tree.leaves(g)[0].shape[0]
        norms = jax.vmap(trees.norm)(g)
        shares = jnp.minimum(1, h.max_norm / jnp.where(norms > 0, norms, 1))
        total = trees.map(lambda x: jnp.tensordot(shares, x, 1), g)
        draws = _normal_like(jax.random.fold_in(key, h.count), total)
        stddev = h.max_norm * h.noise
        return trees.map(lambda x, n: (x + stddev * n) / examples, total, draws), s

    return whole(lambda _: (), step, counts=True, max_norm=max_norm, noise=noise)


def dpsgd(
    learning_rate: Rate,
    key: PRNGKey,
    max_norm: Rate = 1.0,
    noise: Rate = 1.0,
    momentum: Rate | None = None,
    nesterov: Flag = False,
) -> Any:
    """DP-SGD steps by the noisy mean of clipped per-example gradients, so that none can be told.

    update takes gradients with a leading axis of examples.
    Source: Abadi et al., CCS (2016), algorithm 1.
    """
    moving = None if momentum is None else heavy_ball(momentum, nesterov)
    return chain(private_mean(key, max_norm, noise), moving, descend(learning_rate))
