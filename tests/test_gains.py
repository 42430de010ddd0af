"""Gains: quadrature against closed forms, draws and published constants."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from nnlab.errors import UsageError
from nnlab.nn import gains
from nnlab.nn.activations import ACTIVATIONS, maxout

GATED = {"glu", "reglu", "geglu", "swiglu"}
GROUPS = {"softmax", "softmin", "log_softmax", "sparsemax", "maxout", *GATED}


def inputs_of(name):
    return 2 if name in GROUPS else 1


@functools.cache
def gain_table():
    def table():
        return {
            name: (
                gains.gain(f, inputs_of(name)),
                gains.centred_gain(f, inputs_of(name)),
                gains.backward_gain(f) if name not in GROUPS else jnp.float32(0),
            )
            for name, f in ACTIVATIONS.items()
        }

    return jax.tree.map(float, jax.jit(table)())


def test_gains_are_the_closed_forms():
    exact = {
        "identity": 1.0,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
        "prelu": math.sqrt(2 / (1 + 0.25**2)),
        "selu": 1.0,
        "exponential": math.exp(-1),
        "squareplus": math.sqrt(4 / 6),  # E (x^2 + sqrt(x^2 + 4) x + 2) / 2 = 3 / 2
        "maxout": 1.0,  # E max(a, b)^2 = 1
        "relu_squared": math.sqrt(2 / 3),  # E max(x, 0)^4 = 3 / 2
        "reglu": math.sqrt(2),
        "sine": math.sqrt(2 / (1 - math.exp(-2))),
    }
    for name, gain in exact.items():
        np.testing.assert_allclose(gain_table()[name][0], gain, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gains_agree_with_a_quarter_of_a_million_draws(name):
    z = np.random.default_rng(1).normal(size=(2**18, inputs_of(name))).astype(np.float32)
    f = np.asarray(jax.jit(ACTIVATIONS[name])(z), np.float64)
    squares = f**2
    error = squares.std() / math.sqrt(squares.size) / squares.mean()
    assert abs(gain_table()[name][0] ** 2 * squares.mean() - 1) < 4 * error + 1e-5


def test_backward_gains_are_the_closed_forms():
    exact = {
        "identity": 1.0,
        "relu": math.sqrt(2),
        "exponential": math.exp(-1),
        "hard_tanh": 1 / math.sqrt(erf(1 / math.sqrt(2))),
    }
    for name, gain in exact.items():
        np.testing.assert_allclose(gain_table()[name][2], gain, rtol=2e-5, err_msg=name)


# the constants published with normaliser-free networks (Brock et al., 2021), found there by
# simulation, hence their third digit
PUBLISHED = {
    "celu": 1.2709, "elu": 1.2716, "gelu": 1.7015, "leaky_relu": 1.7059, "log_sigmoid": 1.9193,
    "relu": 1.7140, "relu6": 1.7131, "selu": 1.0009, "sigmoid": 4.8038, "silu": 1.7881,
    "soft_sign": 2.3389, "softplus": 1.9203, "tanh": 1.5939,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_centred_gains_match_the_published_constants(name):
    np.testing.assert_allclose(gain_table()[name][1], PUBLISHED[name], rtol=1.2e-3)


def test_torch_recommends_the_same_gain_for_rectifiers_and_another_for_tanh_selu_and_sigmoid():
    for name, gain in gains.TORCH_GAINS.items():
        same = math.isclose(gain_table()[name][0], gain, rel_tol=1e-4)
        assert same == (name not in {"tanh", "selu", "sigmoid"})
    np.testing.assert_allclose(gain_table()["tanh"][0], 1.5925374, rtol=1e-5)


def test_the_gain_of_a_traced_number_is_traced():
    slopes = jnp.array([0.0, 0.5, 1.0])
    lifted = jax.vmap(lambda s: gains.gain(lambda x: ACTIVATIONS["leaky_relu"](x, slope=s)))(slopes)
    np.testing.assert_allclose(lifted, np.sqrt(2 / (1 + np.square(slopes))), rtol=1e-5)


def test_quadrature_says_how_many_inputs_it_reaches():
    np.testing.assert_allclose(gains.gain(lambda x: maxout(x, pieces=3), 3), 0.8856, rtol=1e-2)
    with pytest.raises(UsageError, match="1, 2 or 3"):
        gains.moments(maxout, 4)
