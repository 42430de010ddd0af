"""Losses of two parameters that can be looked at: where optimizers are drawn walking.

Each is a pure function of w = (x, y), with its stationary points known in closed form or to eight
digits, the start that the literature uses, and the frame in which it is drawn.
"""

from collections.abc import Callable
from math import pi
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.types import Scalar

Place = tuple[float, float]
W = Float[Array, "2"]


class Surface(NamedTuple):
    """A loss of two parameters, what is known about it, and how it is drawn."""

    loss: Callable[[W], Scalar]
    minima: tuple[Place, ...]
    least: float
    """The loss at the minima."""
    start: Place
    frame: tuple[Place, Place]
    """((left, right), (bottom, top))."""
    saddles: tuple[Place, ...] = ()


def ellipse(w: W) -> Scalar:
    """x^2 / 20 + y^2: a valley along x, twenty times flatter than across.

    Source: Saito, Deep Learning from Scratch (2016), section 6.1.3, equation 6.2.
    """
    x, y = w
    return x**2 / 20 + y**2


def rosenbrock(w: W) -> Scalar:
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley whose floor is nearly flat.

    Source: Rosenbrock, The Computer Journal 3 (1960); the start is his.
    """
    x, y = w
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def beale(w: W) -> Scalar:
    """sum_i (c_i - x (1 - y^i))^2, c = 1.5, 2.25, 2.625: a plateau with steep walls.

    Source: Beale (1958); Moré, Garbow & Hillstrom, ACM TOMS 7 (1981), problem 5, with their start.
    """
    x, y = w
    return (1.5 - x * (1 - y)) ** 2 + (2.25 - x * (1 - y**2)) ** 2 + (2.625 - x * (1 - y**3)) ** 2


def branin(w: W) -> Scalar:
    """(y - b x^2 + c x - 6)^2 + 10 (1 - t) cos x + 10: three minima of the same depth.

    b = 5.1 / (4 pi^2), c = 5 / pi, t = 1 / (8 pi).
    Source: Branin, IBM Journal 16 (1972); Dixon & Szegő (1978). It has no usual start: (0, 10) is
    uphill of all three.
    """
    x, y = w
    b, c, t = 5.1 / (4 * pi**2), 5 / pi, 1 / (8 * pi)
    return (y - b * x**2 + c * x - 6) ** 2 + 10 * (1 - t) * jnp.cos(x) + 10


def saddle(w: W) -> Scalar:
    """x^2 / 2 + y^4 / 4 - y^2 / 2: a saddle at 0 between two minima.

    Source: Nesterov, Introductory Lectures on Convex Optimization (2004), section 1.2.3. From
    (1, 0) gradient descent ends on the saddle; the start here is a hundredth beside that line.
    """
    x, y = w
    return x**2 / 2 + y**4 / 4 - y**2 / 2


SURFACES: dict[str, Surface] = {
    "ellipse": Surface(ellipse, ((0.0, 0.0),), 0.0, (-7.0, 2.0), ((-10.0, 10.0), (-5.0, 5.0))),
    "rosenbrock": Surface(rosenbrock, ((1.0, 1.0),), 0.0, (-1.2, 1.0), ((-2.0, 2.0), (-1.0, 2.5))),
    "beale": Surface(beale, ((3.0, 0.5),), 0.0, (1.0, 1.0), ((-0.5, 4.5), (-2.0, 2.0))),
    "branin": Surface(
        branin,
        ((-pi, 12.275), (pi, 2.275), (3 * pi, 2.475)),
        0.39788736,
        (0.0, 10.0),
        ((-6.0, 12.0), (-2.0, 17.0)),
    ),
    "saddle": Surface(
        saddle,
        ((0.0, 1.0), (0.0, -1.0)),
        -0.25,
        (1.0, 0.01),
        ((-1.3, 1.3), (-1.6, 1.6)),
        ((0.0, 0.0),),
    ),
}
