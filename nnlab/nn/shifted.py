"""Convolution as one matrix product with shifted copies of the images: the fast form on a CPU.

Images are [channels, height, width, batch], see `nnlab.nn.convolution`. A convolution and its two
transposes are bilinear, and each one's derivatives are the other two, so they are primitives that
can be differentiated in any order. Their gradient is a fourth, because it computes both transposes
at once: they share copies. What makes it is a `jax.custom_vjp`, so differentiate in reverse first,
and in any mode after it: `jvp` of `grad` works, `jvp` alone does not.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

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


class Geometry(NamedTuple):
    """Everything of a convolution but its numbers."""

    kernel: tuple[int, ...]
    size: tuple[int, ...]
    """Height and width of the images."""
    stride: int
    high: Windows
    wide: Windows


def shifted(x: Images, kernel: Kernel, stride: int, high: Windows, wide: Windows) -> Maps:
    """One product with shifted images, with gradients that are such products too."""
    return _shifted(x, kernel, Geometry(kernel.shape, x.shape[1:3], stride, high, wide))


def correlate(x: Images, kernel: Kernel, at: Geometry) -> Maps:
    """The sum y = sum_i shift_i(K_i X): rows i of the kernel shift results, columns j the input.

    X [jc, pixels] are the copies of x shifted by each column, K_i [f, jc]. Where fewer numbers move
    when rows shift the input too, y = K X with K [f, ijc] and X [ijc, pixels].
    """
    rows, columns, channels, features = at.kernel
    pixels = at.high.number, at.wide.number, x.shape[-1]
    copies = shifts(x, at)
    if all_shift_the_input(at):
        k = jnp.transpose(kernel, (3, 1, 0, 2)).reshape(features, columns * rows * channels)
        return (k @ copies).reshape(features, *pixels)
    k = jnp.transpose(kernel, (0, 3, 1, 2)).reshape(rows * features, columns * channels)
    y = (k @ copies).reshape(rows, features, x.shape[HEIGHT], *pixels[1:])
    back = [window(y[i], HEIGHT, i - at.high.before, at.high.number) for i in range(rows)]
    return reduce(jnp.add, back)


def input_gradient(g: Maps, kernel: Kernel, at: Geometry) -> Images:
    """The transpose in x: g, its pixels `stride` apart, correlated with the kernel turned round."""
    apart = [(0, 0, 0), (0, 0, at.stride - 1), (0, 0, at.stride - 1), (0, 0, 0)]
    g = lax.pad(g, jnp.zeros((), g.dtype), apart)
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    back = [
        Windows(pixels, taps - 1 - along.before)
        for pixels, taps, along in zip(at.size, at.kernel[:2], (at.high, at.wide), strict=True)
    ]
    return correlate(g, turned, Geometry(turned.shape, g.shape[1:3], 1, *back))


def kernel_gradient(x: Images, g: Maps, at: Geometry) -> Kernel:
    """The transpose in the kernel: g X', or with g shifted by columns as in the input's gradient.

    There, x is shifted by rows, which lie together in memory.
    """
    rows, columns, channels, features = at.kernel
    if all_shift_the_input(at):
        k = times_transpose(g.reshape(features, -1), shifts(x, at))
        return jnp.transpose(k.reshape(features, columns, rows, channels), (2, 1, 3, 0))
    back = Windows(x.shape[WIDTH], columns - 1 - at.wide.before)
    moved = [window(x, HEIGHT, i - at.high.before, at.high.number) for i in range(rows)]
    k = times_transpose(
        column_shifts(g, columns, back), lax.concatenate(moved, 0).reshape(rows * channels, -1)
    )
    return jnp.transpose(k.reshape(columns, features, rows, channels)[::-1], (2, 0, 3, 1))


def both_gradients(x: Images, g: Maps, kernel: Kernel, at: Geometry) -> list[Array]:
    """The gradients in x and in the kernel, which have shifted copies of g in common."""
    return [input_gradient(g, kernel, at), kernel_gradient(x, g, at)]


def primitive(function: Callable[..., Any], several: bool = False) -> Primitive:
    """A primitive that computes function(images, ..., at), under vmap one lane after the other.

    An image's shifted copies fill the caches: two lanes in one batched product take 1.4 times as
    long. Lanes that share their images share the copies, and their product.
    """
    p = Primitive(function.__name__)
    p.multiple_results = several

    def batch(operands: Any, axes: Any, *, at: Geometry) -> tuple[Any, Any]:
        own = [jnp.moveaxis(x, a, 0) for x, a in zip(operands, axes, strict=True) if a is not None]
        differ = axes[0] is not None

        def lane(own):
            rest = iter(own)
            chosen = [x if a is None else next(rest) for x, a in zip(operands, axes, strict=True)]
            return p.bind(*chosen, at=at) if differ else function(*chosen, at=at)

        y = lax.map(lane, own) if differ else jax.vmap(lane)(own)
        return y, jax.tree.map(lambda _: 0, y)

    def shape(*operands: Any, at: Geometry) -> Any:
        found = jax.make_jaxpr(partial(function, at=at))(*operands).out_avals
        return found if several else found[0]

    p.def_impl(jax.jit(function, static_argnames="at"))
    p.def_abstract_eval(shape)
    batching.primitive_batchers[p] = batch
    mlir.register_lowering(p, mlir.lower_fun(function, multiple_results=several))
    return p


correlate_p, to_input_p, to_kernel_p = map(primitive, (correlate, input_gradient, kernel_gradient))
both_p = primitive(both_gradients, several=True)
ad.defbilinear(
    correlate_p,
    lambda g, _, k, at: to_input_p.bind(g, k, at=at),
    lambda g, x, _, at: to_kernel_p.bind(x, g, at=at),
)
ad.defbilinear(
    to_input_p,
    lambda x, _, k, at: correlate_p.bind(x, k, at=at),
    lambda x, g, _, at: to_kernel_p.bind(x, g, at=at),
)
ad.defbilinear(
    to_kernel_p,
    lambda k, _, g, at: to_input_p.bind(g, k, at=at),
    lambda k, x, _, at: correlate_p.bind(x, k, at=at),
)


def _both_jvp(primals: Any, tangents: Any, *, at: Geometry) -> Any:
    x, g, k = primals
    dx, dg, dk = map(ad.instantiate_zeros, tangents)
    to_x = to_input_p.bind(dg, k, at=at) + to_input_p.bind(g, dk, at=at)
    to_k = to_kernel_p.bind(dx, g, at=at) + to_kernel_p.bind(x, dg, at=at)
    return both_p.bind(x, g, k, at=at), [to_x, to_k]


ad.primitive_jvps[both_p] = _both_jvp


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shifted(x: Images, kernel: Kernel, at: Geometry) -> Maps:
    return correlate_p.bind(x, kernel, at=at)


_shifted.defvjp(
    lambda x, kernel, at: (correlate_p.bind(x, kernel, at=at), (x, kernel)),
    lambda at, kept, g: tuple(both_p.bind(kept[0], g, kept[1], at=at)),
)


def all_shift_the_input(at: Geometry) -> bool:
    """Whether rows shift the input as well as columns.

    It moves rows columns channels + features numbers a pixel, instead of columns channels +
    rows features. Results that are `stride` pixels apart cannot be shifted by one.
    """
    rows, columns, channels, features = at.kernel
    return at.stride > 1 or rows == 1 or columns * channels <= features


def shifts(x: Images, at: Geometry) -> Float[Array, "copies pixels"]:
    """The copies of x that meet the taps of a kernel, column by column, as one matrix."""
    rows, columns, *_ = at.kernel
    if not all_shift_the_input(at):
        return column_shifts(x, columns, at.wide)
    high, wide, stride = at.high, at.wide, at.stride
    copies = [window(x, WIDTH, j - wide.before, wide.number, stride) for j in range(columns)]
    moves = [(i - high.before, high.number, stride) for i in range(rows)]
    copies = [window(copy, HEIGHT, *move) for copy in copies for move in moves]
    return lax.concatenate(copies, 0).reshape(len(copies) * x.shape[0], -1)


def column_shifts(x: Images, columns: int, wide: Windows) -> Float[Array, "copies pixels"]:
    """The copies of x shifted by each of a kernel's columns, as one matrix."""
    copies = [window(x, WIDTH, j - wide.before, wide.number) for j in range(columns)]
    return lax.concatenate(copies, 0).reshape(columns * x.shape[0], -1)


def window(x: Images, axis: int, start: int, count: int, stride: int = 1) -> Pixels:
    """Pixels start, start + stride, ... of an axis, `count` of them, 0 outside the image."""
    stop = start + (count - 1) * stride + 1
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (-start, stop - x.shape[axis], 0)
    return lax.slice_in_dim(lax.pad(x, jnp.zeros((), x.dtype), edges), 0, None, stride, axis)


def times_transpose(a: Float[Array, "m k"], b: Float[Array, "n k"]) -> Float[Array, "m n"]:
    """The product a b', both read as they lie in memory."""
    return lax.dot_general(a, b, (((1,), (1,)), ((), ())))
