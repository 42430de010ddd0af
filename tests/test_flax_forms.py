"""flax modules by nnlab's forms of `dot_general` and `conv_general_dilated`."""

import re
from functools import partial

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_cases import fails
from engine import blobs
from flax import nnx
from jax import lax

import nnlab
from nnlab.models import from_flax
from nnlab.models.model import Settings
from nnlab.nn.convolution import conv_general_dilated
from nnlab.nn.products import dot_general
from nnlab.sweeps.axes import label

RNG = np.random.default_rng(11)
EXACT = {"rtol": 1e-12, "atol": 1e-12}
NHWC = ("NHWC", "HWIO", "NHWC")
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def agree(ours, theirs, *arrays):
    """Values and gradients of two functions are the same."""

    @partial(quick, static_argnums=0)
    def both(f, *arrays):
        y, pull = jax.vjp(f, *arrays)
        return y, pull(jnp.cos(y))

    for a, b in zip(*(jax.tree.leaves(both(f, *arrays)) for f in (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, **EXACT)


def primitives(function, *arrays):
    return str(jax.make_jaxpr(function)(*arrays))


CONVOLUTIONS = {  # x, kernel, arguments, and whether the form is nnlab's
    "same": ((4, 7, 6, 2), (3, 3, 2, 5), {"padding": "SAME"}, True),
    "valid in unequal steps": (
        (4, 9, 8, 2), (3, 2, 2, 5), {"padding": "VALID", "window_strides": (2, 3)}, True,
    ),
    "pads": ((4, 5, 6, 2), (3, 3, 2, 5), {"padding": [(2, 0), (1, 3)]}, True),
    "pads that cut": ((4, 7, 9, 2), (3, 3, 2, 5), {"padding": [(-1, 0), (1, -2)]}, True),
    "dilations of one": (
        (4, 7, 6, 2), (3, 3, 2, 5), {"padding": "SAME", "rhs_dilation": (1, 1)}, True,
    ),
    "holes": ((4, 9, 9, 2), (3, 3, 2, 5), {"padding": "SAME", "rhs_dilation": (2, 1)}, False),
    "groups": ((4, 7, 6, 4), (3, 3, 2, 6), {"padding": "SAME", "feature_group_count": 2}, False),
    "channels first": (
        (4, 2, 7, 6), (3, 3, 2, 5),
        {"padding": "SAME", "dimension_numbers": ("NCHW", "HWIO", "NCHW")}, False,
    ),
    "jax's own order": (
        (4, 2, 7, 6), (5, 2, 3, 3), {"padding": "SAME", "dimension_numbers": None}, False,
    ),
    "a line": (
        (4, 7, 2), (3, 2, 5),
        {"padding": "SAME", "window_strides": (1,), "dimension_numbers": ("NWC", "WIO", "NWC")},
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_are_jaxs(case):
    x, k, arguments, own = case
    arguments = {"window_strides": (1, 1), "dimension_numbers": NHWC} | arguments
    with jax.enable_x64(True):
        arrays = normal(*x), normal(*k)
        ours = partial(conv_general_dilated, **arguments)
        agree(ours, partial(lax.conv_general_dilated, **arguments), *arrays)
        assert ("correlate" in primitives(ours, *arrays)) == own


PRODUCTS = {
    "a batch": ((5, 3), (3, 4), (((1,), (0,)), ((), ())), True),
    "a batch of sequences": ((5, 2, 3), (3, 4), (((2,), (0,)), ((), ())), True),
    "one example": ((3,), (3, 4), (((0,), (0,)), ((), ())), True),
    "the other factor's rows": ((5, 3), (4, 3), (((1,), (1,)), ((), ())), False),
    "three axes": ((5, 3), (3, 2, 4), (((1,), (0,)), ((), ())), False),
    "lanes": ((2, 5, 3), (2, 3, 4), (((2,), (1,)), ((0,), (0,))), False),
}


@pytest.mark.parametrize(("a", "b", "over", "own"), PRODUCTS.values(), ids=PRODUCTS)
def test_products_are_jaxs(a, b, over, own):
    with jax.enable_x64(True):
        arrays = normal(*a), normal(*b)
        ours = partial(dot_general, dimension_numbers=over)
        agree(ours, partial(lax.dot_general, dimension_numbers=over), *arrays)
        assert ("contract" in primitives(ours, *arrays)) == own


class Net(linen.Module):
    conv: linen.Conv
    dense: linen.Dense

    @linen.compact
    def __call__(self, x):
        x = linen.max_pool(jnp.tanh(self.conv(x)), (2, 2), (2, 2))
        x = linen.relu(linen.Dense(6)(x.reshape(x.shape[0], -1)))
        return self.dense(x)


def net(**of_conv):
    return Net(linen.Conv(4, (3, 3), **of_conv), linen.Dense(3))


def test_a_flax_module_computes_what_flax_computes_without_groups_of_features():
    module, x = net(), normal(3, 5, 8, 6, 2).astype(jnp.float32)
    model = from_flax(module)
    params, stats = model.start(jax.random.key(0), (8, 6, 2), 3, Settings())
    lanes = jax.tree.map(lambda a: jnp.stack([a, 2 * a, 3 * a]), params)

    def ours(params, x):
        return model.apply(params, stats, x, Settings(), None)[0]

    def theirs(params, x):
        return module.apply({"params": params}, x)

    def gradients(f):
        loss = lambda params, x: jnp.sum(jnp.sin(f(params, x)))  # noqa: E731
        return jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1))))

    found, expected = gradients(ours)(lanes, x), gradients(theirs)(lanes, x)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected
    )
    groups = [
        set(re.findall(r"feature_group_count = (\d+)", gradients(f).lower(lanes, x).as_text()))
        for f in (ours, theirs)
    ]
    assert groups[0] == {"1"} != groups[1]
    assert module.conv.conv_general_dilated is None
    assert module.dense.dot_general is None


def test_a_layer_that_brings_its_own_form_keeps_it():
    seen = []

    def own(*args, **kwargs):
        seen.append(args[0].shape)
        return lax.conv_general_dilated(*args, **kwargs)

    for given in ({"conv_general_dilated": own}, {"conv_general_dilated_cls": lambda: own}):
        model = from_flax(net(**given))
        params, stats = model.start(jax.random.key(0), (8, 6, 2), 3, Settings())
        seen.clear()
        program = primitives(
            lambda x, p=params, s=stats, m=model: m.apply(p, s, x, Settings(), None)[0],
            jnp.ones((5, 8, 6, 2)),
        )
        assert seen == [(5, 8, 6, 2)]
        assert "correlate" not in program
        assert "contract" in program


def wave(key, shape, dtype=jnp.float32):
    """The same weights in whatever library."""
    del key
    return 0.3 * jnp.cos(jnp.arange(np.prod(shape), dtype=dtype)).reshape(shape)


class Twin(linen.Module):
    """convnet([4], [], kernel=3) in flax."""

    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.Conv(4, (3, 3), kernel_init=wave)(x))
        x = linen.max_pool(x, (2, 2), (2, 2), "SAME")
        return linen.Dense(10, kernel_init=wave)(x.reshape(x.shape[0], -1))


def test_a_flax_convnet_trains_as_nnlabs_own():
    data = nnlab.data.load("digits")
    knobs = {"optimizer": "sgd", "epochs": 2, "batch_size": 50}
    axes = {"learning_rate": [0.02, 0.05]}
    theirs = nnlab.Sweep(from_flax(Twin()), data, axes, **knobs).run()
    model = nnlab.models.convnet([4], [], kernel=3)
    ours = nnlab.Sweep(model, data, axes, init=wave, activation="relu", **knobs).run()
    for name in ("train_loss", "val_loss", "test_loss"):
        np.testing.assert_allclose(theirs[name].values, ours[name].values, rtol=1e-4)
    assert (ours["train_loss"].isel(epoch=-1) < ours["train_loss"].isel(epoch=0)).all()


class Listed(linen.Module):
    sizes: list[int]

    @linen.compact
    def __call__(self, x):
        for size in self.sizes:
            x = jnp.tanh(linen.Dense(size)(x))
        return linen.Dense(3)(x)


def test_models_of_equal_modules_are_equal_and_share_a_program():
    one, same, other = (from_flax(Listed([n])) for n in (3, 3, 4))
    assert one == same != other
    assert hash(one) == hash(same)
    axes = {"module": [Listed([3]), Listed([4])], "learning_rate": [0.1, 0.2, 0.3]}
    sweep = nnlab.Sweep(one, blobs(), axes, epochs=1, batch_size=20)
    assert [len(group.recipes) for group in sweep.groups()] == [3, 3]
    assert [label(m) for m in axes["module"]] == ["Listed(sizes=[3])", "Listed(sizes=[4])"]
    assert label(linen.Dense(2, use_bias=False)) == "Dense(features=2, use_bias=False)"


class Wide(linen.Module):
    kernel: int = 7
    pool: int = 1

    @linen.compact
    def __call__(self, x):
        x = linen.Conv(2, (self.kernel, self.kernel), padding="VALID")(x)
        x = linen.max_pool(x, (self.pool, self.pool))
        return linen.Dense(3)(x.reshape(x.shape[0], -1))


def test_a_window_larger_than_its_image_is_said_with_the_layer_that_has_nothing_left():
    x = np.ones((60, 6, 6, 1), np.float32)
    data = nnlab.data.from_arrays(x, np.arange(60) % 3)
    for module, words in (
        (Wide(), ["Conv_0 leaves shape (0, 0, 2)", "padding SAME"]),
        (Wide(3, 7), ["Dense_0 gets shape (0,)", "smaller windows"]),
    ):
        fails(nnlab.Sweep(from_flax(module), data, batch_size=10).run, *words)


def test_modules_of_nnx_are_refused_by_name():
    for module in (nnx.Linear, nnx.Linear(3, 4, rngs=nnx.Rngs(0))):
        fails(lambda module=module: from_flax(module), "Linear of flax.nnx", "only flax.linen")
