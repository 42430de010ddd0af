"""Convolution of images [batch, height, width, channels], fast under vmap and inside scan.

Padding is XLA's: "SAME" has ceil(size / stride) windows, the zeros split evenly and the odd one at
the end; "VALID" has those that fit.

On a CPU a convolution and its two transposes are primitives here, computed by the forms of
`nnlab.nn.correlation`, one lane after the other: jax's own rule takes lanes for groups of features,
and its gradients inside a `scan` are in an order for which XLA has only loops, 6 to 80 times slower
(jax 0.10). They are bilinear, and each one's derivatives are the other two: they may be
differentiated in any order and mode. Elsewhere XLA's own is used, with jax's gradients, at the
precision of matrix products. jax's default backend, the one that trains, decides at trace time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from nnlab.errors import UsageError, unknown
from nnlab.nn.correlation import (
    ORDER,
    Geometry,
    Images,
    correlate,
    input_gradient,
    kernel_gradient,
)

Maps = Float[Array, "batch h w features"]
TF32, BFLOAT16 = "TF32_TF32_F32", "BF16_BF16_F32"
"""jax's algorithms of matrix products, as `nnlab.train.loop` asks for them."""


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


def conv2d(
    x: Images,
    kernel: Float[Array, "rows columns inputs features"],
    bias: Float[Array, "features"] | None = None,
    stride: int = 1,
    padding: str = "SAME",
) -> Maps:
    """The cross-correlation of the images with each feature's kernel, plus its bias.

    y[n, r, s, f] = b[f] + sum_ijc k[i, j, c, f] x[n, r stride + i - top, s stride + j - left, c],
    where x is 0 outside. Raises UsageError where images and kernel differ in channels.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise UsageError(
            f"images of shape {x.shape} came to a kernel for {kernel.shape[2]} channels; "
            "images are [batch, height, width, channels]"
        )
    size, taps = x.shape[1:3], kernel.shape[:2]
    at = geometry(size, taps, stride, padding)
    on_cpu = jax.default_backend() == "cpu"
    y: Any = (
        correlate_p.bind(x, kernel, at=at)
        if on_cpu
        else by_xla(x, kernel, at.steps, at.pads, dimension_numbers=ORDER)
    )
    return y if bias is None else y + bias[None, None, None, :]


def geometry(size: Sequence[int], taps: Sequence[int], stride: int, padding: str) -> Geometry:
    """Where a kernel meets images of a size."""
    pads = []
    for pixels, window in zip(size, taps, strict=True):
        count, before = windows(pixels, window, stride, padding)
        pads.append((before, behind(count, pixels, window, stride, before)))
    return Geometry(tuple(size), tuple(taps), (stride, stride), tuple(pads))


def behind(count: int, pixels: int, window: int, stride: int, before: int) -> int:
    """Zeros behind an axis on which the last of `count` windows ends."""
    return (count - 1) * stride + window - pixels - before


def by_xla(lhs: Array, rhs: Array, *where: Any, **more: Any) -> Array:
    """`jax.lax.conv_general_dilated` with its factors rounded as those of matrix products are.

    jax rounds a convolution as the platform likes where its default names an algorithm of products.
    So TF32 is asked for by jax's other name, and bfloat16 by operands of that type. The sums are
    float32 and the results rounded: of a convolution of mixed types GPUs make one of float32.
    """
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    given = [more.get(name) for name in ("precision", "preferred_element_type")]
    if given == [None, None] and asked == BFLOAT16 and lhs.dtype == rhs.dtype == jnp.float32:
        lhs, rhs = lhs.astype(jnp.bfloat16), rhs.astype(jnp.bfloat16)
        return lax.conv_general_dilated(lhs, rhs, *where, **more).astype(jnp.float32)
    with jax.default_matmul_precision("tensorfloat32" if asked == TF32 else asked):
        return lax.conv_general_dilated(lhs, rhs, *where, **more)


def conv_general_dilated(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    **more: Any,
) -> Array:
    """`jax.lax.conv_general_dilated`, in value and derivatives, by this module's forms.

    They are for real images and kernels in the order of `conv2d`, without groups or dilation, on a
    CPU; whatever else comes is left to XLA.  A flax layer takes it as
    `Conv(..., conv_general_dilated=...)`; `nnlab.models.from_flax` gives it.
    """
    usual = (
        jax.default_backend() == "cpu"
        and lhs.ndim == 4
        and lhs.dtype == rhs.dtype
        and jnp.issubdtype(lhs.dtype, jnp.floating)
        and dimension_numbers is not None
        and all(d is None or set(d) == {1} for d in (lhs_dilation, rhs_dilation))
        and feature_group_count == 1
        and all(value is None or value == 1 for value in more.values())
        and lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
        == lax.conv_dimension_numbers(lhs.shape, rhs.shape, ORDER)
    )
    if not usual:
        return by_xla(
            lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers,
            feature_group_count, **more,
        )  # fmt: skip
    size, taps, steps = lhs.shape[1:3], rhs.shape[:2], tuple(window_strides)
    given = lax.padtype_to_pads(size, taps, steps, padding) if isinstance(padding, str) else padding
    pads = []
    for pixels, window, step, (before, after) in zip(size, taps, steps, given, strict=True):
        count = (before + pixels + after - window) // step + 1
        pads.append((before, behind(count, pixels, window, step, before) if count > 0 else after))
    return correlate_p.bind(lhs, rhs, at=Geometry(size, taps, steps, tuple(pads)))


def primitive(function: Callable[..., Array], *beside: tuple[int, int]) -> Primitive:
    """A primitive that computes function(a, b, at); lanes that differ in both operands take turns.

    Lanes that share one are more images, channels or features of one convolution: `beside` holds,
    for a and for b, the axis on which the lanes' own operands stand side by side, and on which
    their results do.
    """
    p = Primitive(function.__name__)

    def batch(operands: Any, axes: Any, *, at: Geometry) -> tuple[Array, int]:
        if None not in axes:
            own = [jnp.moveaxis(a, axis, 0) for a, axis in zip(operands, axes, strict=True)]
            return lax.map(lambda lane: p.bind(*lane, at=at), own), 0
        one = axes.index(None) ^ 1
        into, out = beside[one]
        own = jnp.moveaxis(operands[one], axes[one], into)
        lanes, each = own.shape[into : into + 2]
        together = own.reshape(*own.shape[:into], lanes * each, *own.shape[into + 2 :])
        both = (together, operands[1]) if one == 0 else (operands[0], together)
        y = p.bind(*both, at=at)
        each = y.shape[out] // max(lanes, 1)
        return y.reshape(*y.shape[:out], lanes, each, *y.shape[out + 1 :]), out

    def shape(a: Any, b: Any, *, at: Geometry) -> Any:
        return jax.make_jaxpr(partial(function, at=at))(a, b).out_avals[0]

    p.def_impl(jax.jit(function, static_argnames="at"))
    p.def_abstract_eval(shape)
    batching.primitive_batchers[p] = batch
    mlir.register_lowering(p, mlir.lower_fun(function, multiple_results=False))
    return p


correlate_p = primitive(correlate, (0, 0), (3, 3))
to_input_p = primitive(input_gradient, (0, 0), (2, 3))
to_kernel_p = primitive(kernel_gradient, (3, 2), (3, 3))
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
