"""What initializers do to signals and gradients through fifty layers."""

import functools
import math

import jax
import numpy as np
import pytest
from scipy.special import expit

from nnlab.nn import gains
from nnlab.nn.activations import ACTIVATIONS
from nnlab.nn.activations_smooth import SELU_ALPHA as ALPHA
from nnlab.nn.activations_smooth import SELU_SCALE as SCALE
from nnlab.nn.fans import Axes
from nnlab.nn.initializers import INITIALIZERS, orthogonal

KEY = jax.random.key(7)
NETS, DEPTH, WIDTH, BATCH = 4, 50, 192, 8
STACK = Axes(batch=(0, 1))


@functools.lru_cache(maxsize=2)  # 30 MB each
def weights(name):
    """Four nets of fifty layers [nets, layers, in, out], drawn in one call by batch axes."""
    return np.asarray(INITIALIZERS[name](axes=STACK)(KEY, (NETS, DEPTH, WIDTH, WIDTH)))


ACTIVATION = {  # f(x) and f'(x)
    "linear": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
    "soft_sign": (lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1).astype(x.dtype)),
    "selu": (
        lambda x: np.where(x > 0, SCALE * x, SCALE * ALPHA * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, SCALE, SCALE * ALPHA * np.exp(np.minimum(x, 0))),
    ),
}


def log_growth(layers, activation, size=1.0):
    """How log E x^2 changes on the way up and log E (dL/dx)^2 on the way down, mean of nets."""
    f, slope = ACTIVATION[activation]
    draws = np.random.default_rng(0)
    nets, depth, width, _ = layers.shape
    x = size * draws.normal(size=(nets, BATCH, width)).astype(np.float32)
    inputs, sums = [x], []
    for i in range(depth):
        sums.append(inputs[-1] @ layers[:, i])
        inputs.append(f(sums[-1]))
    g = draws.normal(size=x.shape).astype(np.float32)
    pulled = [g]
    for i in reversed(range(depth)):
        pulled.append((pulled[-1] * slope(sums[i])) @ layers[:, i].swapaxes(1, 2))
    up = np.mean(np.log(square(inputs[-1]) / square(inputs[1])))
    down = np.mean(np.log(square(pulled[-1]) / square(pulled[0])))
    return up, down


def square(x):
    return np.mean(np.square(x, dtype=np.float64), axis=(1, 2))


def wander(activation, depth):
    """The variance of one net's log growth: depth / width (3 E f'^4 / (E f'^2)^2 - 1).

    Half of it is what the mean logarithm lies below the logarithm of the mean.
    Source: Hanin & Nica (2018), for relu's 5 and the linear 2.
    """
    slopes = ACTIVATION[activation][1](np.random.default_rng(1).normal(size=100_000))
    return depth / WIDTH * (3 * np.mean(slopes**4) / np.mean(slopes**2) ** 2 - 1)


MADE_FOR = [  # each distribution once: between square layers the rest differ in name only
    ("relu", "he"), ("relu", "he_normal"), ("relu", "kaiming_uniform"), ("linear", "xavier"),
    ("linear", "lecun_normal"), ("linear", "glorot_uniform"), ("tanh", "xavier"),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "name"), MADE_FOR)
def test_signal_and_gradient_stay_flat_through_fifty_layers(activation, name):
    size = 1e-3 if activation == "tanh" else 1.0  # where tanh is linear
    up, down = log_growth(weights(name), activation, size)
    for growth, depth in ((up, DEPTH - 1), (down, DEPTH)):
        spread = wander("linear" if activation == "tanh" else activation, depth)
        assert abs(growth + spread / 2) < 4 * math.sqrt(spread / NETS)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "soft_sign", "hard_tanh"])
def test_gains_keep_sums_of_variance_one_while_the_gradient_grows_by_the_known_rate(activation):
    """Each layer multiplies the gradient's square by E f'(z)^2 / E f(z)^2 = (gain / backward)^2."""
    f = ACTIVATIONS[activation]
    forward, backward = float(gains.gain(f)), float(gains.backward_gain(f))
    up, down = log_growth(weights("xavier") * np.float32(forward), activation, 1 / forward)
    assert abs(up) < 0.3
    spread = wander(activation, DEPTH)
    expected = 2 * DEPTH * math.log(forward / backward) - spread / 2
    assert abs(down - expected) < 4 * math.sqrt(spread / NETS)


def test_lecun_normal_keeps_the_variance_of_selu_and_its_gradient_grows_by_the_known_rate():
    up, down = log_growth(weights("lecun_normal"), "selu")
    assert abs(up) < 0.3
    assert abs(down - 50 * math.log(1.0715749)) < 1.0  # E selu'(z)^2


def test_torch_s_linear_layers_divide_a_linear_signal_and_its_gradient_by_three():
    up, down = log_growth(weights("torch_linear"), "linear")
    assert abs(up / math.log(3) + 49) < 2.0
    assert abs(down / math.log(3) + 50) < 2.0


def test_xavier_halves_the_signal_of_relu_in_each_layer():
    up, down = log_growth(weights("xavier"), "relu")
    assert abs(up / math.log(2) + 49) < 2.5
    assert abs(down / math.log(2) + 50) < 2.5


def test_orthogonal_linear_networks_keep_every_norm_exactly():
    keys = jax.random.split(KEY, 50)
    layers = np.asarray(jax.vmap(lambda key: orthogonal()(key, (32, 32)))(keys))[None]
    np.testing.assert_allclose(log_growth(layers, "linear"), (0.0, 0.0), atol=1e-4)
