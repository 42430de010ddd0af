"""Pooling of images [batch, height, width, channels].

Windows that touch are reshaped into tiles, because what slides in steps is slow, and its gradient
slower still; windows that overlap are strided slices.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from nnlab.nn.convolution import Images, Windows, windows

Pooled = Float[Array, "batch h w channels"]
Tiles = Float[Array, "batch h rows w columns channels"]


def max_pool2d(
    x: Images, size: int = 2, stride: int | None = None, padding: str = "SAME"
) -> Pooled:
    """The largest pixel of each window of size x size; `stride` is `size` unless given.

    Of equal pixels the first, row by row, has the gradient, as in XLA; NaN counts as largest.
    """
    stride = size if stride is None else stride
    x, high, wide = covered(x, size, stride, padding, -jnp.inf)
    if stride == size:
        return tile_max(tiles(x, size))
    return reduce(larger, taps(x, size, stride, high, wide))


def mean_pool2d(
    x: Images, size: int = 2, stride: int | None = None, padding: str = "SAME"
) -> Pooled:
    """The mean of the pixels in each window that lie inside the image."""
    stride = size if stride is None else stride
    sizes = x.shape[1:3]
    x, *at = covered(x, size, stride, padding, 0.0)
    total = (
        jnp.sum(tiles(x, size), axis=(2, 4))
        if stride == size
        else reduce(jnp.add, taps(x, size, stride, *at))
    )
    inside = []
    for pixels, (count, before) in zip(sizes, at, strict=True):
        first = np.arange(count) * stride - before
        inside.append(np.minimum(first + size, pixels) - np.maximum(first, 0))
    return total / jnp.asarray(np.outer(*inside), x.dtype)[None, :, :, None]


def covered(
    x: Images, size: int, stride: int, padding: str, fill: float
) -> tuple[Pooled, Windows, Windows]:
    """Images cut or filled up so that the windows cover them exactly, and the windows."""
    at = [windows(pixels, size, stride, padding) for pixels in x.shape[1:3]]
    edges = [
        (before, (count - 1) * stride + size - pixels - before, 0)
        for pixels, (count, before) in zip(x.shape[1:3], at, strict=True)
    ]
    padded = lax.pad(x, jnp.asarray(fill, x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    return padded, at[0], at[1]


def tiles(x: Images, size: int) -> Tiles:
    """Images cut into windows that touch."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // size, size, width // size, size, channels)


def taps(x: Images, size: int, stride: int, high: Windows, wide: Windows) -> list[Pooled]:
    """Each window's pixel (i, j), row by row."""
    batch, _, _, channels = x.shape
    spans = (high.number - 1) * stride + 1, (wide.number - 1) * stride + 1
    return [
        lax.slice(
            x, (0, i, j, 0), (batch, i + spans[0], j + spans[1], channels), (1, stride, stride, 1)
        )
        for i in range(size)
        for j in range(size)
    ]


def is_larger(b: Array, a: Array) -> Array:
    """Whether b comes before a: NaN is larger than any number, the first of equals stays."""
    return (b > a) | (b != b)


def larger(a: Array, b: Array) -> Array:
    """The larger of two, a where they are equal."""
    return jnp.where(is_larger(b, a), b, a)


@jax.custom_jvp
def tile_max(x: Tiles) -> Pooled:
    """The maximum of each tile; its derivative is that of the pixel that won.

    The derivative is a choice among all pixels of a tile and so runs along memory, which that of
    strided slices does not. Who won is decided anew in it and never by y == x, which fails where
    XLA computes x twice and rounds it differently.
    """
    size = x.shape[2]
    return reduce(larger, [x[:, :, i, :, j] for i in range(size) for j in range(size)])


@tile_max.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    size = x.shape[2]
    y, winner = x[:, :, 0, :, 0], jnp.zeros_like(x[:, :, 0, :, 0], jnp.int32)
    for tap in range(1, size**2):
        other = x[:, :, tap // size, :, tap % size]
        wins = is_larger(other, y)
        y, winner = jnp.where(wins, other, y), jnp.where(wins, tap, winner)
    grid = (1, 1, size, 1, size, 1)
    tap = size * lax.broadcasted_iota(jnp.int32, grid, 2) + lax.broadcasted_iota(jnp.int32, grid, 4)
    return y, jnp.sum(jnp.where(winner[:, :, None, :, None] == tap, dx, 0), axis=(2, 4))
