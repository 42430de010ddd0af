"""Which functions act on every number by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.nn import activations_groups
from nnlab.nn.activations import ACTIVATIONS
from nnlab.nn.choice import Choice
from nnlab.nn.elementwise import elementwise


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_of_the_library_s_activations_all_are_but_those_of_groups(name):
    function = ACTIVATIONS[name]
    assert elementwise(function) == (function.__module__ != activations_groups.__name__)


@pytest.mark.parametrize("name", [n for n, f in ACTIVATIONS.items() if elementwise(f)])
def test_what_is_elementwise_has_a_diagonal_derivative(name):
    x = jnp.asarray(np.random.default_rng(0).normal(size=7).astype(np.float32))
    slopes = jax.jacobian(ACTIVATIONS[name])(x)
    np.testing.assert_array_equal(slopes, jnp.diag(jnp.diag(slopes)))


@jax.custom_jvp
def slope_of_neighbours(x):
    return jnp.tanh(x)


@slope_of_neighbours.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return jnp.tanh(x), t * jnp.mean(x)


@jax.custom_vjp
def straight_through(x):
    return jnp.sign(x)


straight_through.defvjp(lambda x: (jnp.sign(x), None), lambda _, g: (g,))

NOT = {
    "a slope that looks at neighbours": slope_of_neighbours,
    "a slope without forward mode": straight_through,
    "less its mean": lambda x: x - jnp.mean(x),
    "along the features": lambda x: jax.nn.softmax(x),
    "turned round": lambda x: x[..., ::-1],
    "summed up": lambda x: jnp.cumsum(x, axis=-1),
    "by place": lambda x: x * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape),
    "by place, counted": lambda x: x * jax.lax.broadcasted_iota(x.dtype, x.shape, 0),
    "by an array of its own": lambda x: x * jnp.array([1.0, 2.0, 3.0]),
    "fewer": lambda x: x[..., :1],
    "one number": lambda x: jnp.sum(x),
    "two results": lambda x: (x, x),
    "a loop": lambda x: jax.lax.fori_loop(0, 3, lambda _, x: x[::-1], x),
    "in a function of a function": jax.jit(lambda x: jax.jit(lambda x: x - jnp.max(x))(x)),
    "by a rule of its own": jax.custom_jvp(lambda x: x / jnp.sum(x)),
    "noise": lambda x: x + jax.random.normal(jax.random.key(0), x.shape),
    "none": lambda x: jnp.linalg.inv(x),
}


@pytest.mark.parametrize("name", NOT)
def test_what_looks_at_neighbours_or_places_is_not(name):
    assert not elementwise(NOT[name])


def test_a_choice_of_elementwise_functions_is():
    def tanh(_):
        return jnp.tanh

    def mean(_):
        return lambda x: x - jnp.mean(x)

    for functions, expected in (((tanh, tanh), True), ((tanh, mean), False)):
        assert elementwise(Choice(functions, jnp.int32(1), {})) == expected


def test_numbers_that_a_function_knows_change_nothing():
    slope = jnp.float32(0.3)
    assert elementwise(lambda x: jnp.where(x > 0, x, slope * x))
    assert elementwise(lambda x: jnp.maximum(x, 0.0).astype(jnp.float32) ** 2)
