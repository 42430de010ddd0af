"""One table of facts, which every activation has to prove."""

import functools
import inspect
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

from nnlab.errors import UsageError
from nnlab.nn.activations import ACTIVATIONS, glu, maxout, rrelu, sparsemax
from nnlab.nn.layers import batch_norm_train, running_init
from nnlab.types import Number

FAR = np.array([-1e4, -100.0, 0.0, 100.0, 1e4])
X = np.concatenate([np.linspace(-6.95, 6.95, 240), FAR])  # no point but 0 is a kink
CLOSE = slice(0, 240)
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
C = math.sqrt(2 / math.pi)


class Fact(NamedTuple):
    """An activation's value and derivative in float64, and what else is true of it."""

    value: object
    slope: object
    traits: str = ""  # odd, rising (nowhere falling); none is even


def normal_density(x):
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def normal_distribution(x):
    return (1 + erf(x / math.sqrt(2))) / 2


def softplus(x):
    return np.logaddexp(x, 0)


def below(f):
    """f on the left of 0, without its overflow on the right."""
    return lambda x: f(np.minimum(x, 0))


def split(left, right):
    return lambda x: np.where(x > 0, right(x), below(left)(x))


def leaky(slope):
    return Fact(
        split(lambda x: slope * x, lambda x: x),
        split(lambda x: slope + 0 * x, np.ones_like),
        "rising",
    )


def elu(scale, alpha):
    return Fact(
        split(lambda x: scale * alpha * np.expm1(x), lambda x: scale * x),
        split(lambda x: scale * alpha * np.exp(x), lambda x: scale + 0 * x),
        "rising",
    )


def mish_slope(x):
    t = np.tanh(softplus(x))
    return t + x * (1 - t**2) * expit(x)


def gelu_tanh_slope(x):
    t = np.tanh(C * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x * (1 - t**2) * C * (1 + 3 * 0.044715 * x**2) / 2


SILU = Fact(lambda x: x * expit(x), lambda x: expit(x) * (1 + x * expit(-x)))
HARD_SILU = Fact(
    lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    lambda x: np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),
)
FACTS = {
    "identity": Fact(lambda x: x, np.ones_like, "odd rising"),
    "relu": leaky(0.0),
    "relu_squared": Fact(
        lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0), "rising"
    ),
    "relu6": Fact(lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6), "rising"),
    "leaky_relu": leaky(0.01),
    "prelu": leaky(0.25),
    "rrelu": leaky(11 / 48),
    "threshold": Fact(lambda x: np.where(x > 1, x, 0), lambda x: x > 1, "rising"),
    "hard_tanh": Fact(lambda x: np.clip(x, -1, 1), lambda x: np.abs(x) < 1, "odd rising"),
    "hard_sigmoid": Fact(
        lambda x: np.clip(x / 6 + 0.5, 0, 1), lambda x: (np.abs(x) < 3) / 6, "rising"
    ),
    "hard_silu": HARD_SILU,
    "hard_swish": HARD_SILU,
    "sparse_sigmoid": Fact(
        lambda x: np.clip((x + 1) / 2, 0, 1), lambda x: (np.abs(x) < 1) / 2, "rising"
    ),
    "sparse_plus": Fact(
        lambda x: np.where(np.abs(x) < 1, (x + 1) ** 2 / 4, np.maximum(x, 0)),
        lambda x: np.clip((x + 1) / 2, 0, 1),
        "rising",
    ),
    "hard_shrink": Fact(
        lambda x: np.where(np.abs(x) > 0.5, x, 0), lambda x: np.abs(x) > 0.5, "odd rising"
    ),
    "soft_shrink": Fact(
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        lambda x: np.abs(x) > 0.5,
        "odd rising",
    ),
    "sigmoid": Fact(expit, lambda x: expit(x) * expit(-x), "rising"),
    "log_sigmoid": Fact(lambda x: -softplus(-x), lambda x: expit(-x), "rising"),
    "tanh": Fact(np.tanh, lambda x: 1 - np.tanh(x) ** 2, "odd rising"),
    "tanh_shrink": Fact(lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2, "odd rising"),
    "soft_sign": Fact(lambda x: x / (1 + abs(x)), lambda x: (1 + abs(x)) ** -2.0, "odd rising"),
    "exponential": Fact(np.exp, np.exp, "rising"),
    "elu": elu(1.0, 1.0),
    "celu": elu(1.0, 1.0),
    "selu": elu(SCALE, ALPHA),
    "softplus": Fact(softplus, expit, "rising"),
    "squareplus": Fact(
        lambda x: (x + np.sqrt(x**2 + 4)) / 2, lambda x: (1 + x / np.sqrt(x**2 + 4)) / 2, "rising"
    ),
    "silu": SILU,
    "swish": SILU,
    "mish": Fact(lambda x: x * np.tanh(softplus(x)), mish_slope),
    "gelu": Fact(
        lambda x: x * normal_distribution(x),
        lambda x: normal_distribution(x) + x * normal_density(x),
    ),
    "gelu_tanh": Fact(
        lambda x: x * (1 + np.tanh(C * (x + 0.044715 * x**3))) / 2, gelu_tanh_slope
    ),
    "sine": Fact(np.sin, np.cos, "odd"),
}  # fmt: skip
GATED = ["glu", "reglu", "geglu", "swiglu"]
GROUPS = ["softmax", "softmin", "log_softmax", "sparsemax", "maxout", *GATED]


@functools.cache
def traced():
    """Values, slopes and values at -x of the whole table, in one program."""

    def all_of(x):
        slope = {name: jax.vmap(jax.grad(ACTIVATIONS[name]))(x) for name in FACTS}
        value = {name: ACTIVATIONS[name](x) for name in FACTS}
        return value, slope, {name: ACTIVATIONS[name](-x) for name in FACTS}

    return jax.tree.map(np.asarray, jax.jit(all_of)(jnp.asarray(X, jnp.float32)))


def test_the_table_of_facts_has_every_activation():
    assert set(FACTS) | set(GROUPS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", FACTS)
def test_value_and_derivative_are_the_closed_forms(name):
    value, slope, _ = traced()
    x = X[CLOSE].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(value[name][CLOSE], FACTS[name].value(x), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(slope[name][CLOSE], FACTS[name].slope(x), rtol=5e-5, atol=5e-6)


@pytest.mark.parametrize("name", FACTS)
def test_value_and_slope_are_finite_from_minus_to_plus_ten_thousand(name):
    value, slope, _ = traced()
    inside = X <= 80 if name == "exponential" else X <= 1e4
    assert np.all(np.isfinite(value[name][inside]))
    assert np.all(np.isfinite(slope[name][inside]))


@pytest.mark.parametrize("name", FACTS)
def test_signs_change_with_the_input_just_where_the_table_says_odd_and_none_is_even(name):
    value, _, mirrored = traced()
    assert np.array_equal(value[name], -mirrored[name]) == ("odd" in FACTS[name].traits)
    assert not np.array_equal(value[name], mirrored[name])


def test_rectifiers_are_flat_at_zero_and_leaky_ones_are_not():
    slopes = {name: float(jax.grad(ACTIVATIONS[name])(0.0)) for name in ("relu", "leaky_relu")}
    assert slopes == {"relu": 0.0, "leaky_relu": 1.0}


@pytest.mark.parametrize("name", FACTS)
def test_slopes_are_nowhere_negative_just_where_the_table_says_rising(name):
    slope = traced()[1][name]
    assert bool(np.all(slope >= 0)) == ("rising" in FACTS[name].traits)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_number_may_be_traced(name):
    parameters = inspect.signature(ACTIVATIONS[name]).parameters.values()
    numbers = {p.name: p.default for p in parameters if p.annotation is Number}
    x = jnp.asarray(X[CLOSE], jnp.float32)

    def f(numbers):
        return ACTIVATIONS[name](x, **numbers)

    shapes = jax.eval_shape(f, jax.tree.map(jnp.float32, numbers))
    assert shapes.dtype == jnp.float32
    assert all(isinstance(v, float) for v in numbers.values())


def test_numbers_reach_the_formula():
    x = jnp.asarray([-2.0, -0.3, 0.4, 2.0])
    cases = {
        "leaky_relu": ({"slope": 0.1}, np.where(x > 0, x, 0.1 * x)),
        "rrelu": ({"lower": 0.2, "upper": 0.6}, np.where(x > 0, x, 0.4 * x)),
        "threshold": ({"cut": 0.5, "value": -3.0}, [-3.0, -3.0, -3.0, 2.0]),
        "hard_tanh": ({"lower": -0.5, "upper": 0.1}, [-0.5, -0.3, 0.1, 0.1]),
        "hard_shrink": ({"cut": 0.35}, [-2.0, 0.0, 0.4, 2.0]),
        "soft_shrink": ({"cut": 0.35}, [-1.65, 0.0, 0.05, 1.65]),
        "elu": ({"alpha": 2.0}, np.where(x > 0, x, 2 * np.expm1(x))),
        "celu": ({"alpha": 2.0}, np.where(x > 0, x, 2 * np.expm1(x / 2))),
        "softplus": ({"beta": 3.0}, np.logaddexp(3 * x, 0) / 3),
        "squareplus": ({"b": 1.0}, (x + np.sqrt(np.square(x) + 1)) / 2),
        "swish": ({"beta": 2.0}, x * expit(2 * np.asarray(x))),
        "sine": ({"omega": 30.0}, np.sin(30 * np.asarray(x, np.float64))),
    }
    for name, (numbers, expected) in cases.items():
        y = ACTIVATIONS[name](x, **jax.tree.map(jnp.float32, numbers))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_randomised_slopes_are_uniform_between_the_bounds_and_evaluation_takes_their_mean():
    x = -jnp.ones((100, 200))
    slopes = -np.asarray(rrelu(x, 0.2, 0.6, jax.random.key(0)), np.float64)
    assert slopes.min() >= 0.2
    assert slopes.max() <= 0.6
    assert abs(slopes.mean() - 0.4) < 4 * 0.4 / np.sqrt(12 * slopes.size)
    assert abs(slopes.var() * 12 / 0.4**2 - 1) < 4 * np.sqrt(0.8 / slopes.size)
    np.testing.assert_array_equal(rrelu(-x, key=jax.random.key(0)), -x)
    np.testing.assert_allclose(rrelu(x, 0.2, 0.6), -0.4 * np.ones_like(x), rtol=1e-6)


# --- activations of several features ---


ROWS = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32) * 2


def test_softmax_softmin_and_log_softmax_agree():
    p = np.exp(ROWS) / np.exp(ROWS).sum(1, keepdims=True)
    softmax, softmin, log_softmax = (
        ACTIVATIONS[name](jnp.asarray(ROWS)) for name in ("softmax", "softmin", "log_softmax")
    )
    np.testing.assert_allclose(softmax, p, rtol=1e-5)
    np.testing.assert_allclose(softmin, (1 / p) / (1 / p).sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(log_softmax, np.log(p), rtol=1e-5)


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """Optimality: p >= 0, sum p = 1, and x - p is largest and equal where p > 0."""
    p = np.asarray(jax.jit(sparsemax)(ROWS))
    assert np.all(p >= 0)
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-5)
    for row, probabilities in zip(ROWS, p, strict=True):
        rest = row - probabilities
        np.testing.assert_allclose(rest[probabilities > 0], rest.max(), atol=1e-5)
    assert np.any(p == 0)


def test_sparsemax_keeps_probabilities_and_halves_ties():
    p = np.array([[0.2, 0.5, 0.3]], np.float32)
    np.testing.assert_allclose(jax.jit(sparsemax)(p), p, atol=1e-6)
    tied = jnp.array([[3.0, 3.0, 0.0]])
    np.testing.assert_allclose(jax.jit(sparsemax)(tied), [[0.5, 0.5, 0.0]], atol=1e-6)


def test_derivative_of_sparsemax_centres_on_its_support():
    """dp/dx = diag(s) - s s^T / |S|.  Source: Martins & Astudillo (2016)."""
    jacobians = jax.jit(jax.vmap(jax.jacobian(sparsemax)))(ROWS)
    for p, jacobian in zip(jax.jit(sparsemax)(ROWS), jacobians, strict=True):
        s = (np.asarray(p) > 0).astype(float)
        np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s) / s.sum(), atol=1e-6)


def test_derivatives_of_the_other_groups_are_the_closed_forms():
    x = np.float64(ROWS[0, :6])
    p, q = (np.exp(s * x) / np.exp(s * x).sum() for s in (1, -1))
    expected = {
        "softmax": np.diag(p) - np.outer(p, p),
        "softmin": np.outer(q, q) - np.diag(q),
        "log_softmax": np.eye(6) - p,
        "maxout": np.stack([np.eye(6)[2 * i + np.argmax(x[2 * i : 2 * i + 2])] for i in range(3)]),
    }
    gates = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}
    for name, gate in gates.items():
        value, slope = (f(x[3:]) for f in (FACTS[gate].value, FACTS[gate].slope))
        expected[name] = np.hstack([np.diag(value), np.diag(x[:3] * slope)])
    for name, jacobian in expected.items():
        mine = jax.jacobian(ACTIVATIONS[name])(jnp.asarray(x, jnp.float32))
        np.testing.assert_allclose(mine, jacobian, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_finite_far_out(name):
    x = jnp.asarray(np.stack([np.roll(FAR, i) for i in range(5)])[:, :4], jnp.float32)
    first = jax.value_and_grad(lambda x: jnp.sum(ACTIVATIONS[name](x)[:, 0]))
    value, gradient = jax.jit(first)(x)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_maxout_takes_the_largest_of_neighbours():
    x = jnp.array([[1.0, 4.0, -3.0, -2.0, 0.0, 9.0]])
    np.testing.assert_array_equal(maxout(x), [[4.0, -2.0, 9.0]])
    np.testing.assert_array_equal(maxout(x, pieces=3), [[4.0, 9.0]])
    np.testing.assert_array_equal(maxout(x, pieces=1), x)


def test_glu_gates_the_first_half_by_the_second():
    x = ROWS[:, :6]
    np.testing.assert_allclose(glu(jnp.asarray(x)), x[:, :3] * expit(x[:, 3:]), rtol=1e-5)


@pytest.mark.parametrize("pieces", [0, 4])
def test_maxout_refuses_pieces_that_do_not_divide_the_features(pieces):
    with pytest.raises(UsageError, match="multiple of the pieces"):
        maxout(jnp.zeros(6), pieces=pieces)


def test_glu_refuses_an_odd_number_of_features():
    with pytest.raises(UsageError, match="even number"):
        glu(jnp.zeros(5))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_compiling_what_stands_before_it_changes_no_gradient(name):
    """XLA may compute an argument once for each use, and round each in its own way.

    An activation that asks which of its arguments equals their maximum then loses gradient.
    """
    f = ACTIVATIONS[name]
    x, g = np.random.default_rng(0).normal(size=(2, 4, 20, 100)).astype(np.float32)

    def loss(x, scale, shift, g):
        y = f(batch_norm_train(x, scale, shift, running_init(100))[0])
        return jnp.sum(y * g[:, : y.shape[-1]])

    gradient = jax.vmap(jax.value_and_grad(loss, argnums=(0, 1)))
    scale, shift = 1 + 0.1 * x[:, 0], 0.1 * x[:, 1]
    _, plain = gradient(x, scale, shift, g)
    _, compiled = jax.jit(gradient)(x, scale, shift, g)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3)
