"""What an activation does to variance, by quadrature: the gains that initial weights make up for.

A layer of weights with variance gain^2 / fan_in keeps E x^2 = 1 from layer to layer when
gain = 1 / sqrt(E f(z)^2), z ~ N(0, 1).  Source: He et al. (2015), section 2.2, for any f.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from nnlab.errors import UsageError
from nnlab.types import Scalar

REACH = 12.0
PANELS = {1: (192, 10), 2: (24, 8), 3: (24, 3)}  # inputs: (panels, nodes in each)


class Moments(NamedTuple):
    """Moments of an activation f under z ~ N(0, 1)."""

    mean: Scalar  # E f(z)
    square: Scalar  # E f(z)^2


def gain(activation: Callable[[Array], Array], inputs: int = 1) -> Scalar:
    """The factor 1 / sqrt(E f(z)^2) that keeps the forward second moment.

    relu gives sqrt(2), leaky relu sqrt(2 / (1 + slope^2)), selu 1, tanh 1.5925.  A function of
    several features (glu, maxout) wants the number of `inputs` behind one output.
    """
    return 1 / jnp.sqrt(moments(activation, inputs).square)


def centred_gain(activation: Callable[[Array], Array], inputs: int = 1) -> Scalar:
    """The factor 1 / sqrt(Var f(z)), for layers whose weights sum to 0.

    Source: Brock, De & Smith (2021).
    """
    mean, square = moments(activation, inputs)
    return 1 / jnp.sqrt(square - jnp.square(mean))


def backward_gain(activation: Callable[[Array], Array]) -> Scalar:
    """The factor 1 / sqrt(E f'(z)^2) that keeps the gradient's second moment."""

    def slope(z: Array) -> Array:
        return jax.jvp(activation, (z,), (jnp.ones_like(z),))[1]

    return 1 / jnp.sqrt(moments(slope).square)


def moments(activation: Callable[[Array], Array], inputs: int = 1) -> Moments:
    """The moments of f by Gauss-Legendre quadrature on panels of [-12, 12].

    Kinks at the panels' joints (multiples of 1/8) cost no accuracy: the error is about 1e-6,
    float32's own.  Functions of 2 and 3 inputs get a tensor grid, to about 1e-5 and 1e-2.
    Raises UsageError for more inputs.
    """
    if inputs not in PANELS:
        raise UsageError(f"moments of {inputs} inputs were asked for; quadrature reaches 1, 2 or 3")
    axis, weight = _grid(*PANELS[inputs])
    points = np.stack(np.meshgrid(*[axis] * inputs, indexing="ij"), axis=-1).reshape(-1, inputs)
    weights = functools.reduce(np.multiply.outer, [weight] * inputs).ravel()
    z = jax.lax.optimization_barrier(jnp.asarray(points, jnp.float32))  # not folded when compiled
    f = activation(z)
    w = jnp.asarray(weights[:, None] / f.shape[-1], f.dtype)
    return Moments(jnp.sum(w * f), jnp.sum(w * jnp.square(f)))


def _grid(panels: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z and weights w with sum_i w_i f(z_i) close to E f(z)."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = REACH / panels
    centres = -REACH + half * (2 * np.arange(panels) + 1)
    nodes = (centres[:, None] + half * x[None, :]).ravel()
    weights = np.tile(half * w, panels) * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
    return nodes, weights


TORCH_GAINS = {
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1.0 + 0.01**2)),
    "selu": 3 / 4,
}
"""What torch.nn.init.calculate_gain recommends: `gain` for the rectifiers, else rules of thumb.

The 1 for sigmoid, 5/3 for tanh and 3/4 for selu keep no second moment; see its documentation.
"""
