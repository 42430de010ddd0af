"""One of several activations, chosen by a number: as if there were no others."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.nn.activations import ACTIVATIONS
from nnlab.nn.choice import Choice

NAMES = ("relu", "tanh", "silu", "gelu_tanh", "elu")
RANDOM = np.random.default_rng(0)
Z, G = RANDOM.normal(size=(2, 3, 6, 8)).astype(np.float32)
SHIFT = RANDOM.normal(size=(3, 1, 8)).astype(np.float32)
SLOPES = np.float32([0.1, 0.2, 0.3])


def make(name, numbers):
    return partial(ACTIVATIONS[name], **numbers)


def chosen(names, index, numbers):
    return Choice(tuple(partial(make, name) for name in names), index, numbers)


@pytest.mark.parametrize("i", range(len(NAMES)))
def test_values_and_gradients_are_those_of_the_chosen_activation(i):
    def ours(index, z, shift, g):
        y, back = jax.vjp(lambda z, s: chosen(NAMES, index, {})(z + s), z, shift)
        return y, back(g)

    def alone(z, shift, g):
        y, back = jax.vjp(lambda z, s: ACTIVATIONS[NAMES[i]](z + s), z, shift)
        return y, back(g)

    found = jax.jit(jax.vmap(ours, in_axes=(None, 0, 0, 0)))(i, Z, SHIFT, G)
    expected = jax.jit(jax.vmap(alone))(Z, SHIFT, G)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), found, expected)


@pytest.mark.parametrize("i", range(len(NAMES)))
def test_any_order_and_mode_of_differentiation(i):
    def energy(f, z):
        return jnp.sum(f(z) ** 3)

    z, v = jnp.asarray(Z[0]), jnp.asarray(G[0])
    ways = {
        "jvp": lambda f: jax.jvp(f, (z,), (v,))[1],
        "jvp of grad": lambda f: jax.jvp(jax.grad(partial(energy, f)), (z,), (v,))[1],
        "grad of jvp": lambda f: jax.grad(
            lambda z: jax.jvp(partial(energy, f), (z,), (v,))[1]
        )(z),
        "grad of grad": lambda f: jax.grad(
            lambda z: jnp.vdot(jax.grad(partial(energy, f))(z), v)
        )(z),
        "linearize": lambda f: jax.linearize(f, z)[1](v),
        "transpose of the transpose": lambda f: jax.linear_transpose(
            jax.vjp(f, z)[1], jax.ShapeDtypeStruct(v.shape, v.dtype)
        )((v,))[0],
        "hessian of the mean": lambda f: jax.hessian(lambda t: energy(f, z + t))(jnp.float32(0.1)),
    }  # fmt: skip
    for name, way in ways.items():
        ours = jax.jit(lambda index, way=way: way(chosen(NAMES, index, {})))(i)
        np.testing.assert_allclose(
            ours, way(ACTIVATIONS[NAMES[i]]), rtol=2e-4, atol=1e-5, err_msg=name
        )


def test_numbers_of_lanes_have_gradients_too():
    names = "leaky_relu", "prelu"

    def loss(index, z, slope):
        return jnp.sum(chosen(names, index, {"slope": slope})(z))

    found = jax.vmap(jax.grad(loss, argnums=(1, 2)), in_axes=(None, 0, 0))(jnp.int32(0), Z, SLOPES)
    np.testing.assert_allclose(found[0], np.where(Z >= 0, 1, SLOPES[:, None, None]), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.minimum(Z, 0).sum((1, 2)), rtol=1e-5)


def test_lanes_may_lie_on_any_axis_and_share_what_they_like():
    """As a plain activation's would, gradients and tangents too."""
    z = jnp.asarray(np.moveaxis(Z, 0, 1))

    def ours(z, shift, g):
        y, back = jax.vjp(lambda z, s: chosen(NAMES, jnp.int32(2), {})(z + s), z, shift)
        return y, back(g), jax.jvp(lambda z: chosen(NAMES, jnp.int32(4), {})(z), (z,), (g,))[1]

    def alone(z, shift, g):
        y, back = jax.vjp(lambda z, s: ACTIVATIONS["silu"](z + s), z, shift)
        return y, back(g), jax.jvp(ACTIVATIONS["elu"], (z,), (g,))[1]

    for axes in ((1, None, None), (1, 0, 0), (None, 0, 1), (None, None, 2), (2, None, 0)):
        arrays = [
            x if at is None else jnp.stack([x * (k + 1) for k in range(3)], axis=at)
            for x, at in zip((z[:, 0], SHIFT[0], G[0]), axes, strict=True)
        ]
        found, expected = (jax.jit(jax.vmap(f, in_axes=axes))(*arrays) for f in (ours, alone))
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), found, expected)


def test_lanes_may_choose_for_themselves():
    def slope(index, z):
        return jax.grad(lambda z: jnp.sum(chosen(("relu", "tanh"), index, {})(z)))(z)

    found = jax.vmap(slope)(jnp.array([0, 1, 0]), Z)
    expected = [Z[0] > 0, 1 - np.tanh(Z[1]) ** 2, Z[2] > 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_but_the_chosen_activation_is_computed():
    seen = []

    def told(name, numbers):
        del numbers

        def f(x):
            jax.debug.callback(lambda: seen.append(name))
            return ACTIVATIONS[name](x)

        return f

    functions = tuple(partial(told, name) for name in ("relu", "tanh"))

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0))
    def slope(index, z):
        return jax.grad(lambda z: jnp.sum(Choice(functions, index, {})(z)))(z)

    jax.block_until_ready(slope(1, Z))
    jax.effects_barrier()
    assert set(seen) == {"tanh"}


def test_a_gradient_keeps_nothing_but_the_slope():
    z = jnp.asarray(Z[0])
    _, back = jax.vjp(chosen(NAMES, jnp.int32(2), {}), z)
    assert sum(np.shape(kept) == z.shape for kept in jax.tree.leaves(back)) == 1
