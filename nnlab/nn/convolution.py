"""Convolution of images, as pure functions of one run that are fast under vmap.

A batch of images is [channels, height, width, batch], the batch last: a shift by a pixel then moves
long contiguous rows, a convolution is a matrix times [channels, pixels] without a transposition,
and what comes after it runs along the batch in vectors. `batch_last` and `flat_dense` are the ways
in and out. Padding is XLA's: "SAME" has ceil(size / stride) windows, the zeros split evenly and the
odd one at the end; "VALID" has those that fit.

On a CPU a convolution is one product with shifted copies of the image and runs at the product's
rate; XLA's own convolution is some 40 times slower inside a `scan` there (jax 0.10). Elsewhere
XLA's own is used. jax's default backend, the one that trains, decides at trace time:
`jax.lax.platform_dependent` would carry what each form keeps for its gradient through both.

The products have reverse rules of their own, because jax's come out transposed and turning arrays
of that size round costs as much as the product. So on a CPU differentiate in reverse first, and in
any mode after it: `jvp` of `grad` works, `jvp` alone does not.
"""

from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nnlab.errors import UsageError, unknown

Images = Float[Array, "channels height width batch"]
Kernel = Float[Array, "rows columns channels features"]
Maps = Float[Array, "features h w batch"]
Pixels = Float[Array, "maps h w batch"]
"""Images of another size."""
HEIGHT, WIDTH = 1, 2


class Windows(NamedTuple):
    """Where the windows of an axis lie: window r covers pixels from r * stride - before on."""

    number: int
    before: int


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


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def shifted(x: Images, kernel: Kernel, stride: int, high: Windows, wide: Windows) -> Maps:
    """One product with shifted images, with gradients that are such products too."""
    return correlate(x, kernel, stride, high, wide)


def correlate(x: Images, kernel: Kernel, stride: int, high: Windows, wide: Windows) -> Maps:
    """The sum y = sum_i shift_i(K_i X): rows i of the kernel shift results, columns j the input.

    X [jc, pixels] are the copies of x shifted by each column, K_i [f, jc]. Where fewer numbers move
    when rows shift the input too, y = K X with K [f, ijc] and X [ijc, pixels].
    """
    rows, columns, channels, features = kernel.shape
    copies = shifts(x, kernel.shape, stride, high, wide)
    if all_shift_the_input(kernel.shape, stride):
        k = jnp.transpose(kernel, (3, 1, 0, 2)).reshape(features, columns * rows * channels)
        return (k @ copies).reshape(features, high.number, wide.number, x.shape[-1])
    k = jnp.transpose(kernel, (0, 3, 1, 2)).reshape(rows * features, columns * channels)
    y = (k @ copies).reshape(rows, features, x.shape[HEIGHT], wide.number, x.shape[-1])
    return reduce(
        jnp.add, [window(y[i], HEIGHT, i - high.before, high.number) for i in range(rows)]
    )


def input_gradient(
    g: Maps, kernel: Kernel, size: tuple[int, int], stride: int, high: Windows, wide: Windows
) -> Images:
    """The transpose in x: g, its pixels `stride` apart, correlated with the kernel turned round."""
    rows, columns = kernel.shape[:2]
    apart = [(0, 0, 0), (0, 0, stride - 1), (0, 0, stride - 1), (0, 0, 0)]
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    back = Windows(size[0], rows - 1 - high.before), Windows(size[1], columns - 1 - wide.before)
    return correlate(lax.pad(g, jnp.zeros((), g.dtype), apart), turned, 1, *back)


def kernel_gradient(
    x: Images, g: Maps, shape: tuple[int, ...], stride: int, high: Windows, wide: Windows
) -> Kernel:
    """The transpose in the kernel: g X', with g shifted as the result is."""
    rows, columns, channels, features = shape
    copies = shifts(x, shape, stride, high, wide)
    if all_shift_the_input(shape, stride):
        k = times_transpose(g.reshape(features, -1), copies)
        return jnp.transpose(k.reshape(features, columns, rows, channels), (2, 1, 3, 0))
    back = [window(g, HEIGHT, high.before - i, x.shape[HEIGHT]) for i in range(rows)]
    k = times_transpose(lax.concatenate(back, 0).reshape(rows * features, -1), copies)
    return jnp.transpose(k.reshape(rows, features, columns, channels), (0, 2, 3, 1))


def _keep(x: Images, kernel: Kernel, *at: Any) -> tuple[Maps, tuple[Images, Kernel]]:
    return correlate(x, kernel, *at), (x, kernel)


def _gradients(stride: int, high: Windows, wide: Windows, kept, g: Maps):
    x, kernel = kept
    at = stride, high, wide
    size = x.shape[HEIGHT], x.shape[WIDTH]
    return input_gradient(g, kernel, size, *at), kernel_gradient(x, g, kernel.shape, *at)


shifted.defvjp(_keep, _gradients)


def all_shift_the_input(kernel: tuple[int, ...], stride: int) -> bool:
    """Whether rows shift the input as well as columns.

    It moves rows columns channels + features numbers a pixel, instead of columns channels +
    rows features. Results that are `stride` pixels apart cannot be shifted by one.
    """
    rows, columns, channels, features = kernel
    return stride > 1 or rows == 1 or columns * channels <= features


def shifts(
    x: Images, kernel: tuple[int, ...], stride: int, high: Windows, wide: Windows
) -> Float[Array, "copies pixels"]:
    """The copies of x that meet the taps of a kernel, column by column, as one matrix."""
    rows, columns, *_ = kernel
    copies = [window(x, WIDTH, j - wide.before, wide.number, stride) for j in range(columns)]
    if all_shift_the_input(kernel, stride):
        at = [(i - high.before, high.number, stride) for i in range(rows)]
        copies = [window(copy, HEIGHT, *row) for copy in copies for row in at]
    return lax.concatenate(copies, 0).reshape(len(copies) * x.shape[0], -1)


def window(x: Images, axis: int, start: int, count: int, stride: int = 1) -> Pixels:
    """Pixels start, start + stride, ... of an axis, `count` of them, 0 outside the image."""
    stop = start + (count - 1) * stride + 1
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (-start, stop - x.shape[axis], 0)
    return lax.slice_in_dim(lax.pad(x, jnp.zeros((), x.dtype), edges), 0, None, stride, axis)


def times_transpose(a: Float[Array, "m k"], b: Float[Array, "n k"]) -> Float[Array, "m n"]:
    """The product a b', both read as they lie in memory."""
    return lax.dot_general(a, b, (((1,), (1,)), ((), ())))


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
    """The product a' b, with the gradients b g' and a g."""
    return _transpose_times(a, b)


def _transpose_times(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())))


transpose_times.defvjp(
    lambda a, b: (_transpose_times(a, b), (a, b)),
    lambda kept, g: (times_transpose(kept[1], g), kept[0] @ g),
)
