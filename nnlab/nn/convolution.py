"""Convolution of images, as pure functions of one run that are fast under vmap.

A batch of images is [channels, height, width, batch], the batch last: a shift by a pixel then moves
long contiguous rows, a convolution is a matrix times [channels, pixels] without a transposition,
and what comes after it runs along the batch in vectors. `batch_last` and `flat_dense` are the ways
in and out. Padding is XLA's: "SAME" has ceil(size / stride) windows, the zeros split evenly and the
odd one at the end; "VALID" has those that fit.

On a CPU a convolution is one product with shifted copies of the image (`nnlab.nn.shifted`) and runs
at the product's rate; XLA's own convolution is some 40 times slower inside a `scan` there (jax
0.10). Elsewhere XLA's own is used. jax's default backend, the one that trains, decides at trace
time: `jax.lax.platform_dependent` would carry what each form keeps for its gradient through both.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nnlab.errors import UsageError, unknown
from nnlab.nn.shifted import (
    HEIGHT,
    WIDTH,
    Images,
    Kernel,
    Maps,
    Windows,
    shifted,
    times_transpose,
)


def windows(size: int, window: int, stride: int, padding: str) -> Windows:
    """The windows of an axis of `size` pixels, as XLA places them.

    Raises UsageError for another padding than SAME and VALID, and where no window fits.
    """
    if padding not in ("SAME", "VALID"):
        raise unknown("padding", padding, ("SAME", "VALID"))
    if padding == "SAME":
        count = -(-size // stride)
        return Windows(count, max((count - 1) * stride + window - size, 0) // 2)
    if size < window:
        raise UsageError(
            f"an image of {size} pixels has no room for a window of {window}; "
            "take smaller windows, fewer layers or padding SAME"
        )
    return Windows((size - window) // stride + 1, 0)


def batch_last(x: Float[Array, "batch height width channels"]) -> Images:
    """Images as data sets hold them, in this module's order."""
    return jnp.transpose(x, (3, 1, 2, 0))


def conv2d(
    x: Images,
    kernel: Float[Array, "rows columns inputs features"],
    bias: Float[Array, "features"] | None = None,
    stride: int = 1,
    padding: str = "SAME",
) -> Maps:
    """The cross-correlation of the images with each feature's kernel, plus its bias.

    y[f, r, s, n] = b[f] + sum_ijc k[i, j, c, f] x[c, r stride + i - top, s stride + j - left, n],
    where x is 0 outside. Raises UsageError where images and kernel differ in channels.
    """
    if x.shape[0] != kernel.shape[2]:
        raise UsageError(
            f"images of shape {x.shape} came to a kernel for {kernel.shape[2]} channels; "
            "images are [channels, height, width, batch]: try batch_last(x)"
        )
    rows, columns = kernel.shape[:2]
    high = windows(x.shape[HEIGHT], rows, stride, padding)
    wide = windows(x.shape[WIDTH], columns, stride, padding)
    form = shifted if jax.default_backend() == "cpu" else library
    y: Any = form(x, kernel, stride, high, wide)
    return y if bias is None else y + bias[:, None, None, None]


def library(x: Images, kernel: Kernel, stride: int, high: Windows, wide: Windows) -> Maps:
    """XLA's own convolution."""
    order = ("CHWN", "HWIO", "CHWN")
    pads = [
        (at.before, (at.number - 1) * stride + taps - size - at.before)
        for at, taps, size in zip((high, wide), kernel.shape[:2], x.shape[1:3], strict=True)
    ]
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=order)


def flat_dense(
    x: Images, w: Float[Array, "inputs outputs"], b: Float[Array, "outputs"] | None = None
) -> Float[Array, "batch outputs"]:
    """The dense layer on top of images: y = flatten(x) w + b.

    A row of w is a pixel's channel, channels fastest: the order of a flattened
    [height, width, channels].
    """
    flat = jnp.moveaxis(x, 0, 2).reshape(w.shape[0], x.shape[-1])
    y = transpose_times(flat, w) if jax.default_backend() == "cpu" else flat.T @ w
    return y if b is None else y + b[None, :]


@jax.custom_vjp
def transpose_times(a: Float[Array, "k m"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """The product a' b, with the gradients b g' and a g, by the forms that XLA's library likes.

    Where b lies transposed in memory, as a lane's weights do, a' b computed as such takes twice as
    long as (b' a)'.
    """
    return lax.optimization_barrier(_first_axes(b, a)).T


def _first_axes(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())))


transpose_times.defvjp(
    lambda a, b: (transpose_times(a, b), (a, b)),
    lambda kept, g: (lax.optimization_barrier(times_transpose(g, kept[1])).T, kept[0] @ g),
)
