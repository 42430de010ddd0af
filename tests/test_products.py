"""The layers' product: jnp.matmul in value and derivatives, one product where lanes share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from nnlab.nn.products import contract, product

AXES = [(0, 0), (0, 1), (1, 0), (1, 1)]
RANDOM = np.random.default_rng(5)


def normal(*shape):
    """Standard normal numbers, float32."""
    return jnp.asarray(RANDOM.normal(size=shape).astype(np.float32))


def agree(ours, theirs):
    """Equal to float32 rounding."""
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("i", "j"), AXES)
def test_contract_sums_over_the_axes_it_is_given(i, j):
    a, b = normal(*((4, 3) if i else (3, 4))), normal(*((5, 3) if j else (3, 5)))
    agree(contract(a, b, i, j), (a if i else a.T) @ (b.T if j else b))


@pytest.mark.parametrize(("i", "j"), AXES)
@pytest.mark.parametrize(
    "axes", [(0, None), (1, None), (2, None), (None, 0), (None, 1), (None, 2), (0, 2), (1, 0)]
)
def test_lanes_have_the_values_and_gradients_they_have_alone(i, j, axes):
    lanes, a, b = 3, normal(*((4, 6) if i else (6, 4))), normal(*((5, 6) if j else (6, 5)))

    def spread(x, axis):
        return x if axis is None else jnp.stack([x * (k + 1) for k in range(lanes)], axis)

    def both(a, b):
        def loss(a, b):
            return jnp.sum(jnp.sin(contract(a, b, i, j)))

        return contract(a, b, i, j), jax.grad(loss, (0, 1))(a, b)

    many = jax.vmap(both, axes)(spread(a, axes[0]), spread(b, axes[1]))
    for k in range(lanes):
        own = [x if axis is None else x * (k + 1) for x, axis in zip((a, b), axes, strict=True)]
        jax.tree.map(agree, jax.tree.map(lambda x, k=k: x[k], many), both(*own))


def test_derivatives_of_any_order_and_mode_are_those_of_matmul():
    x, w = normal(7, 3), normal(3, 2)

    def loss(multiply):
        return lambda w: jnp.sum(jnp.tanh(multiply(x, w)) ** 3)

    ours, theirs = loss(product), loss(jnp.matmul)
    for differentiate in (jax.hessian, jax.jacfwd, jax.jacrev):
        agree(differentiate(ours)(w), differentiate(theirs)(w))
    agree(jax.jacfwd(jax.jacfwd(ours))(w), jax.hessian(theirs)(w))
    step = jax.jvp(jax.grad(ours), (w,), (w,))
    jax.tree.map(agree, step, jax.jvp(jax.grad(theirs), (w,), (w,)))


def products(function, *arguments):
    """The operands' shapes of every matrix product that a function makes."""
    found = []

    def look(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("contract", "dot_general"):
                found.append(tuple(v.aval.shape for v in equation.invars))
            for inner in jaxprs_in_params(equation.params):
                look(inner)

    look(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def test_lanes_that_share_a_batch_make_one_product_forward_and_in_the_gradient():
    lanes, batch, inputs, outputs = 8, 16, 5, 3
    x, w = normal(batch, inputs), normal(lanes, inputs, outputs)

    def loss(w):
        return jnp.sum(product(x, w) ** 2)

    assert products(jax.vmap(jax.grad(loss)), w) == [
        ((batch, inputs), (lanes * outputs, inputs)),
        ((lanes * outputs, batch), (batch, inputs)),
    ]


def test_seeds_around_lanes_keep_the_lanes_product():
    seeds, lanes, batch, inputs, outputs = 2, 8, 16, 5, 3
    x, w = normal(seeds, batch, inputs), normal(seeds, lanes, inputs, outputs)
    nested = jax.vmap(lambda x, w: jax.vmap(lambda w: product(x, w))(w))
    agree(nested(x, w), jnp.einsum("sbi,slio->slbo", x, w))
    assert products(nested, x, w) == [((seeds, batch, inputs), (seeds, lanes * outputs, inputs))]


def test_the_precision_of_products_is_the_callers():
    def precisions(precision):
        with jax.default_matmul_precision(precision):
            text = jax.jit(product).lower(normal(4, 4), normal(4, 4)).as_text()
        return text.count("HIGHEST")

    assert precisions("highest") > 0 == precisions("default")


def test_dtypes_and_empty_matrices_are_those_of_matmul():
    for x, w in (
        (normal(4, 3).astype(jnp.bfloat16), normal(3, 2).astype(jnp.bfloat16)),
        (normal(0, 3), normal(3, 2)),
        (normal(4, 0), normal(0, 2)),
    ):
        ours, theirs = product(x, w), jnp.matmul(x, w)
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert jax.vmap(product, (None, 0))(normal(0, 3), normal(2, 3, 5)).shape == (2, 0, 5)


def test_weights_that_devices_share_get_the_sum_of_their_gradients():
    kinds = (jax.sharding.AxisType.Auto,)
    mesh, parts = jax.make_mesh((1,), ("d",), axis_types=kinds), jax.sharding.PartitionSpec
    x, w = normal(4, 3), normal(3, 2)

    def gradients(multiply):
        def both(x, w):
            return jax.grad(lambda x, w: jnp.sum(multiply(x, w) ** 2), (0, 1))(x, w)

        places = (parts("d"), parts())
        return jax.jit(jax.shard_map(both, mesh=mesh, in_specs=places, out_specs=places))(x, w)

    jax.tree.map(agree, gradients(product), gradients(jnp.matmul))
