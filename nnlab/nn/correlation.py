"""How a CPU correlates images with kernels: the convolution and its two transposes.

XLA has two forms there: its libraries, at nine tenths of a matrix product's rate, for images
[batch, height, width, channels] and kernels [rows, columns, channels, features] that lie so in
memory and are neither reversed nor dilated; and loops, many times slower, for everything else. So
each function here is convolutions in the libraries' order. Where that pays they are fewer products
on transformed rows (`nnlab.nn.winograd`), for one part of a batch after the other.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nnlab.nn import winograd
from nnlab.nn.strides import Edges, Geometry, fold, folding, unfold

Images = Float[Array, "batch height width channels"]
Kernel = Float[Array, "rows columns channels features"]
Maps = Float[Array, "batch h w features"]
ORDER = ("NHWC", "HWIO", "NHWC")
PART = 2**18
"""Numbers of maps to take at a time: 1 MiB, which a core's cache holds."""
FEWEST = 32
"""Channels and features from which on Winograd's transforms save more time than they take."""


def plain(x: Images, kernel: Kernel, at: Geometry) -> Maps:
    """The convolution as XLA computes it."""
    return by_xla(x, kernel, at.pads, at.steps)


def by_xla(
    x: Images, kernel: Kernel, pads: Sequence[Edges], steps: tuple[int, ...] = (1, 1)
) -> Maps:
    """The same, for images of any size."""
    return lax.conv_general_dilated(x, kernel, steps, pads, dimension_numbers=ORDER)


def correlate(x: Images, kernel: Kernel, at: Geometry) -> Maps:
    """The convolution."""
    tile, taps = tile_of(at, kernel.shape, x.dtype), at.taps[0]
    if tile == 1 or not len(x):
        return plain(x, kernel, at)
    kernels = winograd.of_kernel(kernel, tile)

    def of(images: Images) -> Maps:
        rows = lax.optimization_barrier(winograd.of_images(images, 1, at.pads[0], tile, taps))
        pads = (0, 0), at.pads[1]
        values = [by_xla(*pair, pads) for pair in zip(rows, kernels, strict=True)]
        return winograd.to_maps(values, 1, at.maps[0], tile, taps)

    whole, rest = in_parts(x, at.maps[0] * x.shape[2] * kernel.shape[3])
    y = lax.map(of, whole).reshape(-1, *jax.eval_shape(of, x).shape[1:])
    return lax.concatenate([y, of(rest)], 0) if len(rest) else y


def input_gradient(g: Maps, kernel: Kernel, at: Geometry) -> Images:
    """The transpose in x: g correlated with the kernel turned round."""
    if not g.size:
        return jnp.zeros((len(g), *at.size, kernel.shape[2]), g.dtype)
    if max(at.steps) > 1:
        steps, images, edges, folded = folding(at)
        x = input_gradient(g, fold(kernel, 0, edges, steps), folded)
        return unfold(x, 1, images, steps)
    turned = lax.optimization_barrier(jnp.swapaxes(kernel[::-1, ::-1], 2, 3))
    pads = tuple(
        (window - 1 - before, window - 1 - behind)
        for window, (before, behind) in zip(at.taps, at.pads, strict=True)
    )
    return correlate(g, turned, Geometry(g.shape[1:3], at.taps, (1, 1), pads))


def kernel_gradient(x: Images, g: Maps, at: Geometry) -> Kernel:
    """The transpose in the kernel: k[t, c, f] = sum_n x[n moved by tap t, c] g[n, f], n a pixel.

    Where the taps of all channels are fewer than the features, a product with moved copies of x.
    Else a convolution of `channels` images that have `batch` channels, by a kernel as large as g;
    as the sum over parts of the batch, because all of g is read for each image.
    """
    (taps, columns), (channels, features) = at.taps, (x.shape[-1], g.shape[-1])
    if not x.size or not g.size:
        return jnp.zeros((taps, columns, channels, features), x.dtype)
    if taps * columns * channels <= features:
        copies = moved(jnp.transpose(x, (3, 0, 1, 2)), at)
        y = copies.reshape(-1, g.size // features) @ g.reshape(-1, features)
        return y.reshape(taps, columns, channels, features)
    if max(at.steps) > 1:
        steps, edges, kernel, folded = folding(at)
        return unfold(kernel_gradient(fold(x, 1, edges, steps), g, folded), 0, kernel, steps)
    tile = tile_of(at, (taps, columns, channels, features), x.dtype)

    def of(images: Images, maps: Maps) -> Float[Array, "channels rows columns features"]:
        images = lax.optimization_barrier(jnp.transpose(images, (3, 1, 2, 0)))
        maps = lax.optimization_barrier(jnp.transpose(maps, (1, 2, 0, 3)))
        if tile == 1:
            return by_xla(images, maps, at.pads)
        rows, rows_of_maps = lax.optimization_barrier(
            (
                winograd.of_images(images, 1, at.pads[0], tile, taps),
                winograd.of_maps(maps, 0, tile, taps),
            )
        )
        pads = (0, 0), at.pads[1]
        values = [by_xla(*pair, pads) for pair in zip(rows, rows_of_maps, strict=True)]
        return winograd.to_kernel(values, 1, tile, taps)

    def add(total: Array, part: Any) -> tuple[Array, None]:
        return total + of(*part).astype(total.dtype), None

    (images, *rest), (maps, *rest_of_maps) = (in_parts(a, g.size // len(g)) for a in (x, g))
    precise = x.dtype if x.dtype.itemsize >= 4 else jnp.float32
    y = jnp.zeros((channels, taps, columns, features), precise)
    y, _ = lax.scan(add, y, (images, maps))
    if len(rest[0]):
        y, _ = add(y, (*rest, *rest_of_maps))
    return jnp.transpose(y, (1, 2, 0, 3)).astype(x.dtype)


def tile_of(at: Geometry, kernel: tuple[int, ...], dtype: Any) -> int:
    """How many rows of maps to compute together by Winograd's transforms; 1 for plain sums.

    Few channels or features save too little, and half precision has no digits to spare.
    """
    taps, _, channels, features = kernel
    few = taps < 3 or min(channels, features) < FEWEST or min(at.maps) < 1
    if few or max(at.steps) > 1 or jnp.finfo(dtype).bits < 32:
        return 1
    return winograd.best_tile(at.maps[0], taps)


def in_parts(
    x: Images, numbers: int
) -> tuple[Float[Array, "parts part height width channels"], Float[Array, "rest _ _ _"]]:
    """A batch in parts of equal size, for maps of so many numbers an image, and the rest of it."""
    part = 1 << (max(1, PART // numbers).bit_length() - 1)  # a power of 2 fills vectors
    part = min(part, len(x))
    count = len(x) // part
    return x[: count * part].reshape(count, part, *x.shape[1:]), x[count * part :]


def moved(
    x: Float[Array, "channels batch height width"], at: Geometry
) -> Float[Array, "copies batch h w"]:
    """The pixels that each tap of a kernel meets, for every channel."""
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *((*p, 0) for p in at.pads)])
    high, wide = (n - k + 1 for n, k in zip(x.shape[2:], at.taps, strict=True))
    copies = [
        lax.slice(x, (0, 0, i, j), (*x.shape[:2], i + high, j + wide), (1, 1, *at.steps))
        for i in range(at.taps[0])
        for j in range(at.taps[1])
    ]
    return lax.concatenate(copies, 0)
