"""Initializers: their moments, their structure and their equals elsewhere."""

import functools
import inspect
import math

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.errors import UsageError
from nnlab.nn import initializers as ours
from nnlab.nn.fans import Axes, fan, fans
from nnlab.nn.initializers import INITIALIZERS
from nnlab.types import Number

KEY = jax.random.key(7)
KERNEL = (3, 4, 40, 60)  # fan_in 480, fan_out 720
DENSE = (120, 80)
CUT = 0.8796256610342398  # the standard deviation of N(0, 1) cut to [-2, 2]


def number_names(make):
    """The factory's parameters that a sweep may trace, with their defaults."""
    parameters = inspect.signature(make).parameters.values()
    return {p.name: p.default for p in parameters if p.annotation is Number}


# --- every initializer ---


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_parameter_has_a_default_and_an_annotation(name):
    parameters = inspect.signature(INITIALIZERS[name]).parameters.values()
    assert all(p.default is not p.empty and p.annotation is not p.empty for p in parameters)


def draw_all(key, factor):
    """Each initializer's small kernel, with its numbers multiplied by `factor`."""
    shapes = dict.fromkeys(INITIALIZERS, (3, 6, 8)) | {"identity": (6, 8)}
    return {
        name: make(**{k: factor * v for k, v in number_names(make).items()})(key, shapes[name])
        for name, make in INITIALIZERS.items()
    }


def test_every_number_may_be_traced_and_lanes_equal_separate_draws():
    key = jax.random.key(7, impl="rbg")  # compiles faster
    lifted = jax.jit(jax.vmap(draw_all, (None, 0)))(key, jnp.array([1.0, 0.75]))
    plain = jax.jit(lambda key: (draw_all(key, 1.0), draw_all(key, 0.75)))(key)
    for lane in (0, 1):
        for name, alone in plain[lane].items():
            ours = lifted[name][lane]
            np.testing.assert_allclose(ours, alone, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_dtype_and_shape_asked_for_are_given(name, dtype):
    shape = (6, 8) if name == "identity" else (3, 6, 8)
    w = jax.eval_shape(lambda key: INITIALIZERS[name]()(key, shape, dtype), KEY)
    assert (w.shape, w.dtype) == (shape, dtype)


@pytest.mark.parametrize("make", [ours.zeros, ours.ones, ours.constant])
def test_constants_are_constant(make):
    value = {"zeros": 0.0, "ones": 1.0, "constant": 0.0}[make.__name__]
    np.testing.assert_array_equal(make()(KEY, (3, 2)), np.full((3, 2), value))
    np.testing.assert_array_equal(ours.constant(-2.5)(KEY, (4,)), np.full(4, -2.5))


# --- moments: name: (factory, mean, standard deviation, kurtosis, bound on |w - mean|) ------------

FAN_IN, FAN_OUT, FAN_AVG = 480, 720, 600
NORMAL, UNIFORM, TRUNCATED = 3.0, 9 / 5, 2.3696  # E (w - mean)^4 / Var^2
MOMENTS = {
    "normal": (ours.normal(0.3, 0.5), 0.5, 0.3, NORMAL, math.inf),
    "normal, default": (ours.normal(), 0.0, 0.01, NORMAL, math.inf),
    "uniform": (ours.uniform(0.3), 0.0, 0.3 / math.sqrt(3), UNIFORM, 0.3),
    "uniform, default": (ours.uniform(), 0.0, 0.05 / math.sqrt(3), UNIFORM, 0.05),
    "truncated_normal, default": (ours.truncated_normal(), 0.0, 0.01 * CUT, TRUNCATED, 0.02),
    "truncated_normal": (ours.truncated_normal(0.3, mean=1.0), 1.0, 0.3 * CUT, TRUNCATED, 0.6),
    "trunc_normal": (ours.trunc_normal(), 0.0, CUT, TRUNCATED, 2.0),
    "trunc_normal, cut in the weights' own units": (
        ours.trunc_normal(1.0, 0.5, 0.0, 2.0), 1.0, 0.5 * CUT, TRUNCATED, 1.0
    ),
    "trunc_normal, cut far away": (ours.trunc_normal(0.1, 0.02), 0.1, 0.02, NORMAL, 2.0),
    "random_normal": (ours.random_normal(), 0.0, 0.05, NORMAL, math.inf),
    "random_uniform, default": (ours.random_uniform(), 0.0, 0.05 / math.sqrt(3), UNIFORM, 0.05),
    "random_uniform": (ours.random_uniform(1.0, 3.0), 2.0, 1 / math.sqrt(3), UNIFORM, 1.0),
    "xavier": (ours.xavier(), 0.0, FAN_IN**-0.5, NORMAL, math.inf),
    "xavier, gain 3": (ours.xavier(3.0), 0.0, 3 * FAN_IN**-0.5, NORMAL, math.inf),
    "he": (ours.he(), 0.0, (2 / FAN_IN) ** 0.5, NORMAL, math.inf),
    "xavier_normal": (ours.xavier_normal(), 0.0, FAN_AVG**-0.5, NORMAL, math.inf),
    "xavier_uniform": (ours.xavier_uniform(), 0.0, FAN_AVG**-0.5, UNIFORM, (3 / FAN_AVG) ** 0.5),
    "kaiming_normal": (ours.kaiming_normal(), 0.0, (2 / FAN_IN) ** 0.5, NORMAL, math.inf),
    "kaiming_normal, fan_out": (
        ours.kaiming_normal(mode="fan_out"), 0.0, (2 / FAN_OUT) ** 0.5, NORMAL, math.inf
    ),
    "kaiming_uniform": (
        ours.kaiming_uniform(), 0.0, (2 / FAN_IN) ** 0.5, UNIFORM, (6 / FAN_IN) ** 0.5
    ),
    "torch_linear": (ours.torch_linear(), 0.0, (3 * FAN_IN) ** -0.5, UNIFORM, FAN_IN**-0.5),
    "he_normal": (
        ours.he_normal(), 0.0, (2 / FAN_IN) ** 0.5, TRUNCATED, 2 * (2 / FAN_IN) ** 0.5 / CUT
    ),
    "he_uniform": (ours.he_uniform(), 0.0, (2 / FAN_IN) ** 0.5, UNIFORM, (6 / FAN_IN) ** 0.5),
    "glorot_normal": (
        ours.glorot_normal(), 0.0, FAN_AVG**-0.5, TRUNCATED, 2 * FAN_AVG**-0.5 / CUT
    ),
    "glorot_uniform": (ours.glorot_uniform(), 0.0, FAN_AVG**-0.5, UNIFORM, (3 / FAN_AVG) ** 0.5),
    "lecun_normal": (ours.lecun_normal(), 0.0, FAN_IN**-0.5, TRUNCATED, 2 * FAN_IN**-0.5 / CUT),
    "lecun_uniform": (ours.lecun_uniform(), 0.0, FAN_IN**-0.5, UNIFORM, (3 / FAN_IN) ** 0.5),
    "variance_scaling, geometric": (
        ours.variance_scaling(1.5, "fan_geo_avg", "normal"), 0.0,
        1.5**0.5 * (FAN_IN * FAN_OUT) ** -0.25, NORMAL, math.inf,
    ),
}  # fmt: skip


CONSTANT = {"zeros", "ones", "constant"}
ARRANGED = {"orthogonal", "delta_orthogonal", "identity", "dirac", "sparse"}


def test_the_table_of_moments_has_every_initializer_that_is_not_constant_or_arranged():
    drawn = {name.split(",")[0] for name in MOMENTS}
    assert drawn == set(INITIALIZERS) - CONSTANT - ARRANGED


@pytest.mark.parametrize("name", MOMENTS)
def test_mean_and_variance_lie_within_four_standard_errors_and_inside_the_bounds(name):
    init, mean, std, kurtosis, bound = MOMENTS[name]
    w = np.asarray(init(KEY, KERNEL), np.float64)
    n = w.size
    assert abs(w.mean() - mean) < 4 * std / math.sqrt(n)
    variance = np.mean((w - mean) ** 2)
    assert abs(variance / std**2 - 1) < 4 * math.sqrt((kurtosis - 1) / n)
    assert np.max(np.abs(w - mean)) <= bound * (1 + 1e-6)
    if math.isfinite(bound) and kurtosis != NORMAL:
        assert np.max(np.abs(w - mean)) > 0.99 * bound


@pytest.mark.parametrize("name", [n for n, f in INITIALIZERS.items() if "gain" in number_names(f)])
def test_a_gain_multiplies_the_weights(name):
    make = INITIALIZERS[name]
    shape = DENSE if name == "identity" else KERNEL
    usual = number_names(make)["gain"]
    tripled = make(gain=3 * usual)(KEY, shape)
    np.testing.assert_allclose(tripled, 3 * make()(KEY, shape), rtol=1e-5, atol=1e-6)


# --- equal to the libraries' ---


def assert_the_same_draws(mine, theirs):
    """Bit for bit in jax 0.10 and 0.11; jax 0.12 rounds the scale of normal numbers otherwise."""
    np.testing.assert_allclose(mine, theirs, rtol=2.4e-7, atol=0)


@pytest.mark.parametrize("family", ["glorot", "he", "lecun"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_the_six_named_after_jax_equal_jax(family, distribution):
    name = f"{family}_{distribution}"
    theirs = getattr(jax.nn.initializers, name)()
    assert_the_same_draws(INITIALIZERS[name]()(KEY, KERNEL), theirs(KEY, KERNEL))


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
def test_variance_scaling_equals_jax(mode, distribution):
    theirs = jax.nn.initializers.variance_scaling(1.7, mode, distribution, (0, 1), -1, (2,))
    mine = ours.variance_scaling(1.7, mode, distribution, Axes((0, 1), -1, 2))
    assert_the_same_draws(mine(KEY, KERNEL), theirs(KEY, KERNEL))


THEIRS = jax.nn.initializers
EQUALS = {
    "truncated_normal": (
        ours.truncated_normal(0.3, -1.0, 3.0), THEIRS.truncated_normal(0.3, lower=-1.0, upper=3.0)
    ),
    "normal": (ours.normal(0.3), THEIRS.normal(0.3)),
    "uniform": (ours.random_uniform(0.0, 0.3), THEIRS.uniform(0.3)),
    "orthogonal": (ours.orthogonal(1.3), THEIRS.orthogonal(1.3)),
    "orthogonal, another axis": (ours.orthogonal(1.3, 1), THEIRS.orthogonal(1.3, 1)),
    "delta_orthogonal": (ours.delta_orthogonal(1.3), THEIRS.delta_orthogonal(1.3)),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUALS)
def test_equals_jax(name):
    mine, theirs = EQUALS[name]
    assert_the_same_draws(mine(KEY, KERNEL), theirs(KEY, KERNEL))


def test_flax_takes_ours_as_kernel_init():
    layer = flax.linen.Dense(80, kernel_init=ours.he(), bias_init=ours.constant(0.5))
    params = layer.init(KEY, jnp.ones((1, 120)))["params"]
    assert params["kernel"].shape == DENSE
    assert abs(float(jnp.std(params["kernel"])) / math.sqrt(2 / 120) - 1) < 0.05
    np.testing.assert_array_equal(params["bias"], np.full(80, 0.5))


# --- fans ---


def test_fans_of_kernels_count_the_receptive_field():
    assert fans((5, 7)) == (5, 7)
    assert fans((3, 3, 5, 7)) == (45, 63)
    assert fans((7, 5, 3, 3), Axes(1, 0)) == (45, 63)
    assert fans((4, 5, 6, 7), Axes((1, 2), 3, batch=0)) == (30, 7)
    assert [fan((2, 8), mode) for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")] == [
        2.0, 8.0, 5.0, 4.0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("axes", "shape"), [(Axes(), (5,)), (Axes(3, 0), (5, 6)), (Axes(0, -2), (5, 6))]
)
def test_axes_that_do_not_fit_the_shape_are_named_in_the_error(axes, shape):
    with pytest.raises(UsageError, match=r"axis|twice"):
        fans(shape, axes)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ours.variance_scaling(1.0, "fan_inn")(KEY, DENSE), "did you mean 'fan_in'"),
        (lambda: ours.variance_scaling(distribution="gauss"), "choose from normal"),
        (lambda: ours.orthogonal()(KEY, (5,)), "two or more axes"),
        (lambda: ours.delta_orthogonal()(KEY, DENSE), "convolution"),
        (lambda: ours.delta_orthogonal()(KEY, (3, 5, 4)), "widen the layer"),
        (lambda: ours.identity()(KEY, KERNEL), "dirac is for convolutions"),
        (lambda: ours.dirac()(KEY, DENSE), "convolution"),
        (lambda: ours.dirac(groups=3)(KEY, (3, 4, 8)), "divisor"),
        (lambda: ours.sparse()(KEY, (5,)), "two or more axes"),
        (lambda: ours.sparse(1.5), "part of zeros"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(make, word):
    with pytest.raises(UsageError, match=word) as error:
        make()
    assert "\n" not in str(error.value)


# --- structure ---


@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30), (3, 4, 20)])
def test_orthogonal_weights_have_orthonormal_short_sides_times_the_gain(shape):
    w = np.asarray(ours.orthogonal(3.0)(KEY, shape)).reshape(-1, shape[-1])
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 9.0 * np.eye(min(w.shape)), atol=1e-4)


IMAGES = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=2)
def same_convolution(x, kernel, groups=1):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=dimensions, feature_group_count=groups
    )


def test_a_dirac_convolution_is_the_identity_for_odd_and_even_kernels():
    space = (3, 4)
    x = IMAGES
    y = same_convolution(x, ours.dirac(2.0)(KEY, (*space, 4, 6)))
    np.testing.assert_array_equal(y[..., :4], 2 * x)
    np.testing.assert_array_equal(y[..., 4:], 0 * x[..., :2])
    grouped = same_convolution(x, ours.dirac(groups=2)(KEY, (*space, 2, 4)), 2)
    np.testing.assert_array_equal(grouped, x)


def test_a_delta_orthogonal_convolution_keeps_the_norm():
    y = same_convolution(IMAGES, ours.delta_orthogonal()(KEY, (3, 3, 4, 6)))
    np.testing.assert_allclose(np.sum(np.square(y)), np.sum(IMAGES**2), rtol=1e-5)


def test_identity_is_the_identity():
    np.testing.assert_array_equal(ours.identity(2.0)(KEY, (3, 5)), 2.0 * np.eye(3, 5))


@pytest.mark.parametrize(("sparsity", "zeros"), [(0.0, 0), (0.9, 108), (0.33, 40), (1.0, 120)])
def test_sparse_columns_have_the_same_number_of_zeros_in_different_places(sparsity, zeros):
    w = np.asarray(ours.sparse(sparsity, std=2.0)(KEY, DENSE))
    np.testing.assert_array_equal(np.sum(w == 0, axis=0), zeros)
    if 0 < zeros < 120:
        kept = w[w != 0]
        assert abs(np.mean(kept**2) / 4 - 1) < 4 * math.sqrt(2 / kept.size)
        assert len(np.unique(w == 0, axis=1).T) > 70


def test_by_default_sparse_keeps_a_tenth_of_small_weights():
    np.testing.assert_array_equal(ours.sparse()(KEY, DENSE), ours.sparse(0.9, 0.01)(KEY, DENSE))


SCALES = {"gain", "std", "scale", "limit"}
SIGNED = {"identity", "dirac"}  # a matrix turned round, no distribution that has no sign
SCALED = [
    n for n, make in INITIALIZERS.items() if SCALES & {*number_names(make)} and n not in SIGNED
]


@pytest.mark.parametrize("name", SCALED)
def test_a_negative_scale_is_refused_and_0_is_none(name):
    for scale in SCALES & {*number_names(INITIALIZERS[name])}:
        for value in (-0.5, np.float64(-2)):
            with pytest.raises(UsageError, match=rf"{scale} is -.*needs {scale} >= 0; try"):
                INITIALIZERS[name](**{scale: value})
        INITIALIZERS[name](**{scale: 0.0})
