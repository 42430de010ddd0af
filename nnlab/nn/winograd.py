"""Winograd's transforms: convolutions by fewer products, along one axis.

`tile` neighbouring outputs of a correlation with `taps` taps are sums of tile x taps products;
tile + taps - 1 are enough. For a product of two polynomials, of `tile` and of `taps` coefficients,
is known from its values at that many points, each of them one product, and correlation is its
transpose:

    y = A^T [(G k) * (B^T x)]

A and G evaluate polynomials at the points, infinity among them; B interpolates. In a convolution
the axis is that of the rows, and each "*" a convolution within rows, like any other. The gradient
in x is one more correlation, that in k

    G^T [(A g) * (B^T x)].

The points are small and come with their negatives and reciprocals, so that rounding stays near
that of the plain sums: for numbers of one size the error of float32 is two to six times as
large, in root mean square 1e-6 of the result's. It is relative to the largest pixel that a tile
reads: beside one of 1e6, zeros come out as 0.1. An infinite one or NaN makes a whole tile NaN.

S. Winograd, "Arithmetic Complexity of Computations" (1980); A. Lavin and S. Gray, "Fast Algorithms
for Convolutional Neural Networks" (2016).
"""

from collections.abc import Iterable, Sequence
from functools import cache, reduce
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, 2.0, -0.5)
"""The first of them are taken, and infinity."""


class Transforms(NamedTuple):
    """The three matrices."""

    maps: Float[np.ndarray, "points tile"]
    """A."""
    kernel: Float[np.ndarray, "points taps"]
    """G."""
    images: Float[np.ndarray, "points points"]
    """B^T."""


@cache
def transforms(tile: int, taps: int) -> Transforms:
    """The matrices for `tile` outputs of `taps` taps.

    The row of B^T for a point p holds the coefficients of prod_q (z - q) over the other finite
    points q, and the row of G is divided by its value at p.
    """
    points = POINTS[: tile + taps - 2]
    others = [[q for q in points if q != p] for p in points]
    scale = [[np.prod(np.subtract(p, rest))] for p, rest in zip(points, others, strict=True)]
    images = [np.append(np.poly(rest)[::-1], 0.0) for rest in others]
    return Transforms(
        with_infinity(np.vander(points, tile, increasing=True)),
        with_infinity(np.vander(points, taps, increasing=True) / scale),
        np.array([*images, np.poly(points)[::-1]]),
    )


def with_infinity(values: Float[np.ndarray, "finite n"]) -> Float[np.ndarray, "points n"]:
    """A polynomial's value at infinity is its last coefficient."""
    return np.vstack([values, np.eye(values.shape[1])[-1:]])


def best_tile(outputs: int, taps: int) -> int:
    """The tile by which so many outputs need the fewest products; of 1 they are plain sums."""
    tiles = range(1, max(2, len(POINTS) + 3 - taps))
    return min(tiles, key=lambda tile: products(outputs, taps, tile))


def products(outputs: int, taps: int, tile: int) -> int:
    """How many products so many outputs need by tiles."""
    return -(-outputs // tile) * (tile + taps - 1)


def of_images(x: Array, axis: int, pads: tuple[int, int], tile: int, taps: int) -> list[Array]:
    """B^T x: for each point one row of a tile; before, x has zeros at both ends of the axis."""
    outputs = x.shape[axis] + sum(pads) - taps + 1
    tiles = -(-outputs // tile)
    x = padded(x, axis, (pads[0], pads[1] + tiles * tile - outputs))
    return combined(transforms(tile, taps).images, every(tile, x, axis, tiles))


def of_kernel(kernel: Array, tile: int) -> list[Array]:
    """G k along the first axis: for each point a kernel of one row."""
    taps = len(kernel)
    return combined(transforms(tile, taps).kernel, jnp.split(kernel, taps))


def of_maps(g: Array, axis: int, tile: int, taps: int) -> list[Array]:
    """A g: for each point one row of a tile."""
    tiles = -(-g.shape[axis] // tile)
    g = padded(g, axis, (0, tiles * tile - g.shape[axis]))
    return combined(transforms(tile, taps).maps, every(tile, g, axis, tiles))


def to_maps(values: Sequence[Array], axis: int, outputs: int, tile: int, taps: int) -> Array:
    """A^T v: tiles in a row, without the outputs that are too many."""
    rows = combined(transforms(tile, taps).maps.T, values)
    y = jnp.stack(rows, axis + 1)
    y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
    return lax.slice_in_dim(y, 0, outputs, axis=axis)


def to_kernel(values: Sequence[Array], axis: int, tile: int, taps: int) -> Array:
    """G^T v: the kernel's rows along an axis."""
    return lax.concatenate(combined(transforms(tile, taps).kernel.T, values), axis)


def padded(x: Array, axis: int, pads: tuple[int, int]) -> Array:
    """Zeros before and behind an axis."""
    edges = [(*(pads if at == axis else (0, 0)), 0) for at in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def every(step: int, x: Array, axis: int, number: int) -> list[Array]:
    """Of each start that leaves room, `number` rows `step` apart."""
    span = (number - 1) * step + 1
    starts = range(x.shape[axis] - span + 1)
    return [lax.slice_in_dim(x, at, at + span, step, axis) for at in starts]


def combined(matrix: Float[np.ndarray, "rows parts"], parts: Sequence[Array]) -> list[Array]:
    """The matrix times the parts: a sum of them for each of its rows."""
    return [sum_of(zip(row.tolist(), parts, strict=True)) for row in matrix]


def sum_of(terms: Iterable[tuple[float, Array]]) -> Array:
    """The sum, without what is weighted by 0."""
    return reduce(jnp.add, [part if w == 1 else w * part for w, part in terms if w != 0])
