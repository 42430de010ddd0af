"""Four losses on which optimizers are compared: small, hard in different ways, of every rank.

A fifth, `arrays`, is `mixed` without its number, for an optimizer that cannot hold one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnlab.types import Array, Params, Scalar


class Problem(NamedTuple):
    """A loss and the weights it starts from, in numpy so that the dtype is chosen later."""

    loss: Callable[[Params], Scalar]
    start: Any

    def begin(self, dtype: Any) -> Params:
        """The weights of the start, in a dtype."""
        return jax.tree.map(lambda w: jnp.asarray(w, dtype), self.start)


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


CURVATURES = 10.0 ** np.linspace(-4, 0, 10)
INPUTS, TARGETS = _normal(0, 12, 4), np.eye(3)[np.arange(12) % 3]


def quadratic(w: Array) -> Scalar:
    """sum_i h_i w_i^2 / 2 with ten curvatures h from 1e-4 to 1."""
    return 0.5 * jnp.sum(jnp.asarray(CURVATURES, w.dtype) * w**2)


def rosenbrock(w: Array) -> Scalar:
    """log(1 + Rosenbrock): the same curved valley, with gradients that no step can blow up."""
    return jnp.log1p((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2)


def network(w: Params) -> Scalar:
    """The mean square error of a 4-5-3 tanh network on twelve examples."""
    x, y = (jnp.asarray(a, w["w1"].dtype) for a in (INPUTS, TARGETS))
    hidden = jnp.tanh(x @ w["w1"] + w["b1"][None])
    return jnp.mean((hidden @ w["w2"] + w["b2"][None] - y) ** 2)


def mixed(w: Params) -> Scalar:
    """sum_k k sum sqrt(1 + (w_k - 1/2)^2) over the arrays w_k, whatever their number and rank."""
    terms = [k * jnp.sum(jnp.sqrt(1 + (x - 0.5) ** 2)) for k, x in enumerate(jax.tree.leaves(w), 1)]
    return sum(terms[1:], start=terms[0])


ARRAYS = {"kernel": _normal(7, 2, 2, 2, 3), "matrix": _normal(6, 4, 3), "vector": _normal(5, 3)}

PROBLEMS = {
    "quadratic": Problem(quadratic, 1.0 + np.abs(_normal(1, 10))),
    "rosenbrock": Problem(rosenbrock, np.array([-1.2, 1.0])),
    "network": Problem(
        network,
        {
            "w1": 0.5 * _normal(2, 4, 5),
            "b1": 0.1 * _normal(3, 5),
            "w2": 0.5 * _normal(4, 5, 3),
            "b2": np.zeros(3),
        },
    ),
    "mixed": Problem(mixed, ARRAYS | {"number": np.array(1.3)}),
    "arrays": Problem(mixed, ARRAYS),
}
FOUR = ("quadratic", "rosenbrock", "network", "mixed")
