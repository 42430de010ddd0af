"""Winograd's transforms: exactly a correlation, with fewer products, and how they round."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import winograd
from nnlab.nn.convolution import conv2d
from nnlab.nn.correlation import FEWEST

RNG = np.random.default_rng(8)
SIZES = [(tile, taps) for taps in range(2, 8) for tile in range(2, 10 - taps)]


def plain(x, k):
    return np.array([x[i : i + len(k)] @ k for i in range(len(x) - len(k) + 1)])


@pytest.mark.parametrize(("tile", "taps"), SIZES)
def test_the_matrices_make_a_tile_of_a_correlation_from_fewer_products(tile, taps):
    at = winograd.transforms(tile, taps)
    x, k, g = (RNG.normal(size=n) for n in (tile + taps - 1, taps, tile))
    products = (at.kernel @ k) * (at.images @ x)
    assert len(products) == tile + taps - 1 < tile * taps
    np.testing.assert_allclose(at.maps.T @ products, plain(x, k), rtol=1e-12, atol=1e-13)
    gradient = at.kernel.T @ ((at.maps @ g) * (at.images @ x))
    np.testing.assert_allclose(gradient, plain(x, g), rtol=1e-12, atol=1e-13)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(SIZES), st.integers(1, 20), st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_tiles_in_a_row_are_a_correlation_of_any_length(size, length, pads):
    tile, taps = size
    outputs = length + sum(pads) - taps + 1
    if outputs < 1:
        return
    x, k, g = (RNG.normal(size=n) for n in (length, taps, outputs))
    with jax.enable_x64(True):
        rows = winograd.of_images(jnp.asarray(x), 0, pads, tile, taps)
        kernels = winograd.of_kernel(jnp.asarray(k), tile)
        maps = winograd.of_maps(jnp.asarray(g), 0, tile, taps)
        y = winograd.to_maps(
            [row * kernel for row, kernel in zip(rows, kernels, strict=True)],
            0, outputs, tile, taps,
        )  # fmt: skip
        sums = [jnp.sum(row * values)[None] for row, values in zip(rows, maps, strict=True)]
        dk = winograd.to_kernel(sums, 0, tile, taps)
    np.testing.assert_allclose(y, plain(np.pad(x, pads), k), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(dk, plain(np.pad(x, pads), g), rtol=1e-11, atol=1e-12)


@given(st.integers(1, 300), st.integers(2, 12))
def test_the_best_tile_takes_fewest_products_and_never_more_than_the_plain_sum(outputs, taps):
    tile = winograd.best_tile(outputs, taps)
    assert tile == 1 or tile + taps - 1 <= len(winograd.POINTS) + 1
    assert winograd.products(outputs, taps, 1) == outputs * taps
    best = winograd.products(outputs, taps, tile)
    assert all(
        best <= winograd.products(outputs, taps, other)
        for other in range(1, len(winograd.POINTS) + 3 - taps)
    )


@pytest.mark.parametrize(("taps", "share"), [(3, 0.6), (4, 0.55), (5, 0.5), (7, 0.6)])
def test_a_convolution_of_many_channels_takes_a_share_of_the_products(taps, share):
    x, k = jnp.ones((2, 16, 12, FEWEST)), jnp.ones((taps, 3, FEWEST, FEWEST))

    def products(features):
        """Rows of pixels that meet rows of the kernel, in XLA's convolutions."""
        text = jax.jit(lambda x, k: conv2d(x, k[..., :features])).lower(x, k).as_text()
        shapes = [line for line in text.splitlines() if "stablehlo.convolution" in line]
        found = 0
        for line in shapes:
            kernel, maps = line.split("(tensor<")[1].split("tensor<")[1:]
            found += int(kernel.split("x")[0]) * int(maps.split("x")[1])
        return found

    assert products(FEWEST - 1) == 16 * taps
    assert products(FEWEST) <= share * 16 * taps


@pytest.mark.parametrize("taps", [3, 5, 7])
def test_rounding_stays_near_that_of_plain_sums(taps):
    x, k = RNG.normal(size=(8, 14, 14, FEWEST)), RNG.normal(size=(taps, taps, FEWEST, 2 * FEWEST))
    g = RNG.normal(size=(8, 14, 14, 2 * FEWEST))
    order = ("NHWC", "HWIO", "NHWC")

    def xla(x, k):
        return jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=order)

    def everything(conv, dtype):
        y, pull = jax.vjp(conv, *(jnp.asarray(a, dtype) for a in (x, k)))
        return (y, *pull(jnp.asarray(g, dtype)))

    with jax.enable_x64(True):
        true = jax.tree.map(np.asarray, jax.jit(lambda: everything(xla, jnp.float64))())
    ours = jax.jit(lambda: everything(conv2d, jnp.float32))()
    theirs = jax.jit(lambda: everything(xla, jnp.float32))()
    for a, b, exact in zip(ours, theirs, true, strict=True):
        error, of_plain_sums = (np.sqrt(np.mean((np.asarray(z) - exact) ** 2)) for z in (a, b))
        assert error < 8 * of_plain_sums
        assert error < 2e-6 * np.std(exact)


def test_half_precision_takes_plain_sums():
    x, k = jnp.ones((2, 8, 8, FEWEST)), jnp.ones((3, 3, FEWEST, FEWEST))
    for dtype, number in ((jnp.float32, 6), (jnp.bfloat16, 1)):
        text = jax.jit(conv2d).lower(x.astype(dtype), k.astype(dtype)).as_text()
        assert text.count("stablehlo.convolution") == number
