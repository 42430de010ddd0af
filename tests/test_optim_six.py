"""The lecture's six optimizers follow optax's own paths, each from its own weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnlab import optim, trees
from nnlab.optim import OPTIMIZERS

SIX = {
    "sgd": [({}, lambda lr: optax.sgd(lr))],
    "momentum": [
        ({}, lambda lr: optax.sgd(lr, 0.9)),
        ({"momentum": 0.5}, lambda lr: optax.sgd(lr, 0.5)),
    ],
    "nesterov": [
        ({}, lambda lr: optax.sgd(lr, 0.9, nesterov=True)),
        ({"momentum": 0.7}, lambda lr: optax.sgd(lr, 0.7, nesterov=True)),
    ],
    "adagrad": [
        ({"eps_in_root": True}, lambda lr: optax.adagrad(lr, initial_accumulator_value=0.0)),
        (
            {"initial_accumulator": 0.1, "eps": 1e-5, "eps_in_root": True},
            lambda lr: optax.adagrad(lr, initial_accumulator_value=0.1, eps=1e-5),
        ),
    ],
    "rmsprop": [
        ({}, lambda lr: optax.rmsprop(lr, eps_in_sqrt=False)),
        (
            {"decay": 0.95, "centered": True, "momentum": 0.9, "eps_in_root": True},
            lambda lr: optax.rmsprop(lr, decay=0.95, centered=True, momentum=0.9),
        ),
    ],
    "adam": [
        ({}, lambda lr: optax.adam(lr)),
        (
            {"beta1": 0.8, "beta2": 0.99, "eps": 1e-6, "nesterov": True},
            lambda lr: optax.adam(lr, 0.8, 0.99, 1e-6, nesterov=True),
        ),
    ],
}
"""nnlab's arguments, and the same optimizer in optax. Their defaults differ in two: AdaGrad and
RMSProp put eps outside the root, optax inside, and AdaGrad's sum starts at 0, in optax at 0.1."""
CASES = [(name, i) for name, cases in SIX.items() for i in range(len(cases))]


def quadratic(w):
    """Curvatures from 0.01 to 1."""
    scale = jnp.logspace(-2, 0, w["a"].size, dtype=w["a"].dtype)
    return 0.5 * jnp.sum(scale * (w["a"] - 1) ** 2)


def network(w):
    """A small tanh network on fixed inputs: matrices, vectors and a scalar."""
    x = jnp.linspace(-1, 1, 12, dtype=w["w"].dtype).reshape(4, 3)
    hidden = jnp.tanh(x @ w["w"] + w["b"][None, :])
    return jnp.mean((hidden @ w["v"] + w["c"] - x[:, 0]) ** 2)


def beginnings(dtype) -> list:
    draw = np.random.default_rng(0)

    def array(*shape):
        return jnp.asarray(draw.normal(size=shape), dtype)

    mixed = {"w": array(3, 5), "b": array(5), "v": array(5), "c": array()}
    return [(quadratic, {"a": array(6)}), (network, mixed)]


def path(optimizer, loss, w, steps=100):
    """The weights after every step, in one program."""

    def step(carry, _):
        w, state = carry
        updates, state = optimizer.update(jax.grad(loss)(w), state, w)
        w = optax.apply_updates(w, updates)
        return (w, state), w

    return jax.jit(lambda w: jax.lax.scan(step, (w, optimizer.init(w)), None, steps)[1])(w)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_path_of_100_steps_in_float64_is_optax_s(name, case):
    numbers, theirs = SIX[name][case]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        for loss, w in beginnings(jnp.float64):
            ours = path(OPTIMIZERS[name](0.05, **numbers), loss, w)
            trees.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13),
                ours,
                path(theirs(0.05), loss, w),
            )


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_path_of_100_steps_in_float32_is_optax_s_within_rounding(name, case):
    numbers, theirs = SIX[name][case]
    with jax.numpy_dtype_promotion("standard"):
        for loss, w in beginnings(jnp.float32):
            ours = path(OPTIMIZERS[name](0.05, **numbers), loss, w)
            trees.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
                ours,
                path(theirs(0.05), loss, w),
            )


def test_the_table_holds_the_lecture_s_six():
    assert SIX.keys() <= OPTIMIZERS.keys()
    assert optim.OPTIMIZERS is OPTIMIZERS
