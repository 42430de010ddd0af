"""Convolution and pooling, against XLA's own and their definitions, with every derivative."""

import re
from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nnlab.errors import UsageError
from nnlab.nn.convolution import conv2d, conv_general_dilated, geometry
from nnlab.nn.correlation import FEWEST, PART, plain
from nnlab.nn.pooling import max_pool2d, mean_pool2d
from nnlab.nn.strides import fold, folding, unfold
from nnlab.train.loop import PRECISIONS

RNG = np.random.default_rng(5)
EXACT = {"rtol": 1e-12, "atol": 1e-12}
NEAR = {"rtol": 2e-5, "atol": 2e-5}
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles in half the time; what is computed stays the same."""

# images [height, width, channels], kernel, features, stride, padding; with many features a kernel's
# gradient is a product with moved copies of the images, with few a convolution; with many channels
# as well all three are by Winograd's transforms
CASES = {
    "few features": ((8, 9, 3), (5, 5), 2, 1, "SAME"),
    "many features": ((8, 9, 1), (5, 5), 26, 1, "SAME"),
    "even kernel": ((7, 6, 3), (4, 2), 2, 1, "SAME"),
    "valid": ((9, 8, 3), (3, 5), 2, 1, "VALID"),
    "valid, many features": ((8, 9, 1), (3, 2), 7, 1, "VALID"),
    "stride 2 of odd": ((9, 7, 3), (3, 3), 4, 2, "SAME"),
    "stride 2 of even": ((8, 6, 2), (3, 5), 4, 2, "SAME"),
    "stride 2 valid": ((9, 8, 3), (4, 3), 2, 2, "VALID"),
    "stride 2, many features": ((9, 8, 2), (2, 3), 12, 2, "SAME"),
    "stride 3": ((10, 11, 2), (5, 4), 3, 3, "SAME"),
    "stride 3 valid leaves pixels": ((9, 11, 2), (2, 3), 3, 3, "VALID"),
    "and has many features": ((9, 11, 1), (2, 3), 8, 3, "VALID"),
    "stride beyond the kernel": ((8, 8, 4), (1, 2), 5, 3, "SAME"),
    "kernel beyond the image": ((2, 3, 3), (5, 5), 2, 1, "SAME"),
    "fewer products": ((9, 6, FEWEST), (5, 3), FEWEST, 1, "SAME"),
    "fewer products, valid": ((8, 6, FEWEST), (3, 4), FEWEST + 1, 1, "VALID"),
    "fewer products, even kernel": ((5, 3, FEWEST), (4, 2), FEWEST, 1, "SAME"),
    "fewer products, images smaller than a tile": ((2, 2, FEWEST), (3, 3), FEWEST, 1, "SAME"),
    "fewer products for gradients of strides": ((9, 7, FEWEST), (3, 3), FEWEST, 2, "SAME"),
}


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def xla_conv(x, kernel, stride, padding):
    """XLA's convolution, with jax's gradients."""
    order = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=order)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_convolution_and_its_gradients_equal_xlas(case):
    image, kernel, features, stride, padding = case
    with jax.enable_x64(True):
        x, k = normal(3, *image), normal(*kernel, image[-1], features)
        g = normal(*jax.eval_shape(lambda x, k: xla_conv(x, k, stride, padding), x, k).shape)

        @quick
        def everything(x, k, g):
            y, pull = jax.vjp(lambda x, k: conv2d(x, k, None, stride, padding), x, k)
            z, pull_xlas = jax.vjp(lambda x, k: xla_conv(x, k, stride, padding), x, k)
            return (y, *pull(g)), (z, *pull_xlas(g))

        for a, b in zip(*everything(x, k, g), strict=True):
            np.testing.assert_allclose(a, b, **EXACT)


@pytest.mark.parametrize(
    ("x", "k"),
    [
        ((0, 8, 8, FEWEST), (3, 3, FEWEST, FEWEST)),
        ((0, 8, 8, 2), (3, 3, 2, 2)),
        ((2, 8, 8, 2), (3, 3, 2, 0)),
        ((2, 2, 2, 2), (3, 3, 2, 4)),
    ],
    ids=["no images, fewer products", "no images", "no features", "no window"],
)
def test_nothing_is_convolved_as_by_xla(x, k):
    order = ("NHWC", "HWIO", "NHWC")

    def everything(conv):
        def of(x, k):
            return conv(x, k, (1, 1), "VALID", dimension_numbers=order)

        y, pull = jax.vjp(of, jnp.ones(x), jnp.ones(k))
        return (y, *pull(y))

    for a, b in zip(
        everything(conv_general_dilated), everything(lax.conv_general_dilated), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_kernels_of_many_rows_take_plain_sums():
    x, k = normal(2, 10, 3, FEWEST), normal(9, 1, FEWEST, FEWEST)
    with jax.enable_x64(True):
        found, expected = quick(lambda: (conv2d(x, k), xla_conv(x, k, 1, "SAME")))()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    shared = jax.eval_shape(jax.vmap(conv2d, (None, 0)), x, jnp.ones((8, 9, 9, FEWEST, 4)))
    assert shared.shape == (8, 2, 10, 3, 4)


def test_whole_numbers_are_convolved():
    x, k = jnp.ones((2, 4, 4, FEWEST), jnp.int32), jnp.ones((3, 3, FEWEST, FEWEST), jnp.int32)
    order = ("NHWC", "HWIO", "NHWC")
    y = conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=order)
    np.testing.assert_array_equal(y, 9 * FEWEST)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_kernels_gradient_is_summed_over_parts_in_float32(dtype):
    side, features, batch = 64, 64, 32
    assert batch * side**2 * features == 32 * PART
    x, g = jnp.abs(normal(batch, side, side, 8)), 1e-3 * (0.3 + normal(batch, side, side, features))
    x, g, k = x.astype(dtype), g.astype(dtype), jnp.ones((3, 3, 8, features), dtype)

    def gradient(x, k, g):
        return jax.vjp(conv2d, x, k)[1](g)[1]

    found = jax.jit(gradient)(x, k, g).astype(jnp.float32)
    expected = jax.jit(gradient)(*(a.astype(jnp.float32) for a in (x, k, g)))
    share = float(jnp.sqrt(jnp.mean((found - expected) ** 2) / jnp.mean(expected**2)))
    assert share < float(jnp.finfo(dtype).eps)


STEPS = [case for case in CASES.values() if case[3] > 1]


@pytest.mark.parametrize(("image", "kernel", "features", "stride", "padding"), STEPS)
def test_a_convolution_with_steps_is_one_without_of_folded_images(
    image, kernel, features, stride, padding
):
    with jax.enable_x64(True):
        x, k = normal(3, *image), normal(*kernel, image[-1], features)
        at = geometry(image[:2], kernel, stride, padding)
        steps, images, edges, folded = folding(at)
        x_, k_ = fold(x, 1, images, steps), fold(k, 0, edges, steps)
        np.testing.assert_allclose(plain(x_, k_, folded), plain(x, k, at), **EXACT)
        for a, b, first, ends in ((x, x_, 1, images), (k, k_, 0, edges)):
            g = normal(*b.shape)
            turned_back = unfold(g, first, ends, steps)
            np.testing.assert_allclose(jnp.vdot(g, b), jnp.vdot(turned_back, a), **NEAR)


def test_a_kernels_gradient_is_the_sum_over_parts_of_a_batch():
    side, features, batch = 64, 16, 10
    assert batch * side**2 * features > 2 * PART  # three parts, the last of them smaller
    x, k = normal(batch, side, side, 2), normal(3, 3, 2, features)
    x, k = x.astype(jnp.float32), k.astype(jnp.float32)

    def gradient(conv):
        return jax.grad(lambda k: jnp.sum(jnp.sin(conv(x, k))))(k)

    expected = gradient(lambda x, k: xla_conv(x, k, 1, "SAME"))
    np.testing.assert_allclose(gradient(conv2d), expected, rtol=1e-4, atol=1e-2)


def test_fewer_products_take_a_batch_in_parts():
    side, features, batch = 32, 64, 10
    part = PART // (side**2 * features)
    assert 2 < part < batch / 2  # whole parts and a rest
    x, k, g = normal(batch, side, side, FEWEST), normal(3, 3, FEWEST, features), None
    x, k = x.astype(jnp.float32), k.astype(jnp.float32)
    g = normal(batch, side, side, features).astype(jnp.float32)

    def everything(conv):
        y, pull = jax.vjp(conv, x, k)
        return (y, *pull(g))

    ours = jax.jit(lambda: everything(conv2d))()
    theirs = jax.jit(lambda: everything(lambda x, k: xla_conv(x, k, 1, "SAME")))()
    for a, b in zip(ours, theirs, strict=True):
        assert jnp.sqrt(jnp.mean((a - b) ** 2)) < 4e-6 * jnp.std(b)


def test_convolution_is_the_sum_over_taps_plus_the_bias():
    x, k, b = RNG.normal(size=(2, 4, 5, 2)), RNG.normal(size=(3, 2, 2, 3)), RNG.normal(size=3)
    y = np.zeros((2, 2, 4, 3))
    for n, r, s, f in np.ndindex(y.shape):
        taps = (k[i, j, c, f] * x[n, r + i, s + j, c] for i, j, c in np.ndindex(3, 2, 2))
        y[n, r, s, f] = b[f] + sum(taps)
    found = conv2d(*(jnp.asarray(a, jnp.float32) for a in (x, k, b)), padding="VALID")
    np.testing.assert_allclose(found, y, **NEAR)


OWN = {"shared images": (None, 0), "shared kernel": (0, None), "nothing shared": (0, 0)}


@pytest.mark.parametrize("axes", OWN.values(), ids=OWN)
@pytest.mark.parametrize("features", [2, 20])
def test_lifted_convolutions_equal_separate_ones_with_their_gradients(axes, features):
    shapes = (4, 6, 5, 2), (3, 3, 2, features)

    def loss(x, k):
        return jnp.sum(jnp.sin(conv2d(x, k)))

    def curved(x, k):
        gradient = jax.grad(loss, (0, 1))
        forward = jax.jvp(conv2d, (x, k), (k[0, 0, 0, 0] * x, 2 * k))[1]
        return gradient(x, k), forward, jax.jvp(gradient, (x, k), (x, k))[1]

    with jax.enable_x64(True):
        xk = [
            normal(*(() if axis is None else (3,)), *shape)
            for axis, shape in zip(axes, shapes, strict=True)
        ]
        lifted, alone = quick(jax.vmap(curved, axes))(*xk), quick(curved)
        for lane in range(3):
            one = alone(*(a if axis is None else a[lane] for a, axis in zip(xk, axes, strict=True)))
            for a, b in zip(*map(jax.tree.leaves, (lifted, one)), strict=True):
                np.testing.assert_allclose(a[lane], b, **EXACT)


def test_lanes_of_lanes_equal_separate_convolutions():
    x = normal(2, 3, 4, 6, 5, 2).astype(jnp.float32)
    k = normal(2, 3, 3, 3, 2, 2).astype(jnp.float32)
    found = quick(jax.vmap(jax.vmap(conv2d)))(x, k)
    shared = quick(jax.vmap(jax.vmap(conv2d, (None, 0))))(x[:, 0], k)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(found[i, j], conv2d(x[i, j], k[i, j]), **NEAR)
        np.testing.assert_allclose(shared[i, j], conv2d(x[i, 0], k[i, j]), **NEAR)


def test_no_lane_makes_a_group_of_features():
    """XLA's libraries for a CPU know no groups, nor dilated images."""
    x, k = jnp.ones((2, 3, 4, 8, 8, 2)), jnp.ones((2, 3, 3, 3, 2, 4))
    for axes in ((0, 0), (None, 0), (0, None)):

        def loss(x, k, axes=axes):
            y = jax.vmap(jax.vmap(partial(conv2d, stride=2), axes))(
                x if axes[0] == 0 else x[:, 0], k if axes[1] == 0 else k[:, 0]
            )
            return jnp.sum(y**2)

        program = jax.jit(jax.grad(loss, (0, 1))).lower(x, k).as_text()
        assert "stablehlo.convolution" in program
        assert not set(re.findall(r"feature_group_count = (\d+)", program)) - {"1"}
        assert not re.findall(
            r"[lr]hs_dilate = \[(?!1, 1\])|reverse = \[(?!false, false\])", program
        )


@pytest.mark.parametrize("features", [2, 20, FEWEST])
def test_second_derivatives_equal_xlas_in_forward_and_in_reverse(features):
    with jax.enable_x64(True):
        x, k = normal(3, 5, 4, 2), normal(3, 3, 2, features)
        v = normal(*x.shape), normal(*k.shape)

        def products(conv):
            def loss(x, k):
                return jnp.sum(jnp.sin(conv(x, k)))

            def along(x, k):
                return sum(jnp.vdot(a, b) for a, b in zip(gradient(x, k), v, strict=True))

            def twice_forward(x, k):
                return jax.jvp(lambda x, k: jax.jvp(loss, (x, k), v)[1], (x, k), v)[1]

            gradient = jax.grad(loss, (0, 1))
            forward = jax.jvp(gradient, (x, k), v)[1]
            return forward, jax.grad(along, (0, 1))(x, k), twice_forward(x, k)

        ours = quick(lambda: products(conv2d))()
        theirs = quick(lambda: products(lambda x, k: xla_conv(x, k, 1, "SAME")))()
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **EXACT), ours, theirs)


@pytest.mark.parametrize(("backend", "own"), [("cpu", False), ("gpu", True), ("tpu", True)])
def test_xlas_convolution_is_used_wherever_it_is_fast(monkeypatch, backend, own):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    program = jax.make_jaxpr(jax.grad(lambda k, x: jnp.sum(conv2d(x, k))))(
        jnp.ones((3, 3, 2, 4)), jnp.ones((3, 5, 5, 2))
    )
    assert ("conv_general_dilated" in str(program)) == own


@pytest.mark.parametrize(
    ("x", "kernel", "padding", "words"),
    [
        ((1, 8, 8, 5), (3, 3, 1, 4), "SAME", ["(1, 8, 8, 5)", "1 channels", "[batch, height"]),
        ((5, 2, 8, 1), (3, 3, 1, 4), "VALID", ["2 pixels", "window of 3", "SAME"]),
        ((5, 8, 8, 1), (3, 3, 1, 4), "same", ["unknown padding", "SAME, VALID"]),
    ],
)
def test_what_cannot_be_convolved_is_refused_in_words(x, kernel, padding, words):
    with pytest.raises(UsageError) as refused:
        conv2d(jnp.ones(x), jnp.ones(kernel), padding=padding)
    assert all(word in str(refused.value) for word in words)


POOLS = [  # height, width, size, stride, padding
    (6, 4, 2, 2, "SAME"), (7, 5, 2, 2, "VALID"), (8, 7, 3, 3, "SAME"),
    (6, 5, 3, 2, "SAME"), (7, 6, 3, 1, "VALID"), (7, 8, 2, 3, "VALID"), (3, 3, 1, 1, "SAME"),
]  # fmt: skip


@pytest.mark.parametrize(("height", "width", "size", "stride", "padding"), POOLS)
@pytest.mark.parametrize("ours", [max_pool2d, mean_pool2d])
def test_pooling_and_its_gradient_equal_flaxs(ours, height, width, size, stride, padding):
    """Whole numbers make ties; flax gives their gradient to the first of them."""

    def theirs(x):
        pool = flax.linen.max_pool if ours is max_pool2d else flax.linen.avg_pool
        more = {} if ours is max_pool2d else {"count_include_pad": False}
        return pool(x, (size, size), (stride, stride), padding, **more)

    with jax.enable_x64(True):
        x = jnp.asarray(RNG.integers(-2, 2, (3, height, width, 2)), jnp.float64)
        g = normal(*jax.eval_shape(theirs, x).shape)

        @quick
        def everything(x, g):
            pulled = [
                jax.vjp(pool, x) for pool in (lambda x: ours(x, size, stride, padding), theirs)
            ]
            return [(y, *pull(g)) for y, pull in pulled]

        for a, b in zip(*everything(x, g), strict=True):
            np.testing.assert_allclose(a, b, **EXACT)


@pytest.mark.parametrize("stride", [2, 1])
def test_a_nan_is_the_largest_pixel_of_its_windows_alone(stride):
    x = jnp.arange(16.0).reshape(1, 4, 4, 1).at[0, 0, 0, 0].set(jnp.nan)
    y = max_pool2d(x, 2, stride, "VALID")
    assert jnp.isnan(y[0, 0, 0, 0])
    assert jnp.sum(jnp.isnan(y)) == 1


@pytest.mark.parametrize("pool", [max_pool2d, mean_pool2d])
def test_lifted_pools_have_the_derivatives_of_separate_ones_in_both_modes(pool):
    x = normal(3, 5, 6, 4, 2).astype(jnp.float32)
    v = normal(3, 5, 6, 4, 2).astype(jnp.float32)
    gradient = jax.grad(lambda x: jnp.sum(pool(x) ** 2))

    def both(x, v):
        return *jax.jvp(pool, (x,), (v,)), gradient(x)

    lifted, alone = quick(jax.vmap(both))(x, v), quick(both)
    for lane in range(3):
        y, dy, g = alone(x[lane], v[lane])
        jax.tree.map(
            lambda a, b, i=lane: np.testing.assert_allclose(a[i], b, **NEAR), lifted, (y, dy, g)
        )
        np.testing.assert_allclose(2 * jnp.vdot(y, dy), jnp.vdot(g, v[lane]), rtol=1e-4)


def flax_conv(x, k):
    order = ("NHWC", "HWIO", "NHWC")
    return conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=order)


@pytest.mark.parametrize("conv", [conv2d, flax_conv])
@pytest.mark.parametrize(
    ("precision", "factors", "said"),
    [
        ("float32", "f32", "HIGHEST"),
        ("tensorfloat32", "f32", "HIGH"),
        ("bfloat16", "bf16", None),
    ],
)
def test_precision_reaches_convolutions_and_their_gradients(
    conv, precision, factors, said, monkeypatch
):
    """On an accelerator, whose convolutions are XLA's own."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, k = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 4))

    def loss(x, k):
        return jnp.sum(conv(x, k) ** 2)

    with jax.default_matmul_precision(PRECISIONS[precision]):
        step = jax.value_and_grad(loss, (0, 1))
        text = jax.jit(step).lower(x, k).as_text()
        shapes = jax.eval_shape(step, x, k)
    lines = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(lines) == 3
    for line in lines:
        assert line.rpartition("->")[0].count(f"x{factors}>") == 2
        assert said is None or line.count(f"<precision {said}>") == 2
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}


def test_a_convolution_of_bfloat16_factors_is_near_that_of_float32(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, k = (jnp.asarray(a, jnp.float32) for a in (normal(2, 6, 5, 3), normal(3, 3, 3, 4)))
    plainly = conv2d(x, k)
    with jax.default_matmul_precision(PRECISIONS["bfloat16"]):
        rounded = conv2d(x, k)
    assert rounded.dtype == jnp.float32
    assert 0 < jnp.max(jnp.abs(rounded - plainly)) < 2**-5 * jnp.max(jnp.abs(plainly))
