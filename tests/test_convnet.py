"""The convolutional model: its parameters, its function, and what a sweep makes of it."""

from functools import partial

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import every_run, train_plainly

import nnlab
from nnlab.cli.plan import make_search
from nnlab.errors import UsageError
from nnlab.models import convnet
from nnlab.models.hidden import Norm, normalise
from nnlab.models.model import Settings
from nnlab.nn.activations_groups import maxout
from nnlab.nn.initializers import constant, he, truncated_normal
from nnlab.nn.layers import running_init

KEY = jax.random.key(7, impl="threefry2x32")
RNG = np.random.default_rng(7)
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles in half the time; what is computed stays the same."""
SMALL = {"channels": [4, 6], "hidden": [10], "kernel": 3}


def images(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def start(model, settings, shape=(8, 8, 1)):
    """Initial params and stats for images of a shape and ten outputs."""
    return quick(lambda: model.start(KEY, shape, 10, settings))()


def sizes(model, shape, outputs):
    params, _ = jax.eval_shape(lambda key: model.start(key, shape, outputs, Settings()), KEY)
    return [leaf.size for leaf in jax.tree.leaves(params)]


def test_2c2d_has_its_published_number_of_parameters():
    """5*5*1*32 + 32 + 5*5*32*64 + 64 + 7*7*64*1024 + 1024 + 1024*10 + 10."""
    assert sizes(convnet(), (28, 28, 1), 10) == [
        800, 32, 51_200, 64, 3_211_264, 1_024, 10_240, 10
    ]  # fmt: skip
    assert sum(sizes(convnet(), (28, 28, 1), 10)) == 3_274_634


class Linen(linen.Module):
    """The same network in flax."""

    model: nnlab.models.ConvNet

    @linen.compact
    def __call__(self, x):
        m = self.model
        pool = {"max": linen.max_pool, "mean": partial(linen.avg_pool, count_include_pad=False)}
        for n in m.channels:
            window, stride = (m.kernel, m.kernel), (m.stride, m.stride)
            x = jnp.tanh(linen.Conv(n, window, stride, m.padding)(x))
            if m.pool in pool:
                x = pool[m.pool](x, (m.pool_size,) * 2, (m.pool_size,) * 2, m.padding)
        x = x.reshape(x.shape[0], -1)
        for n in m.hidden:
            x = jnp.tanh(linen.Dense(n)(x))
        return linen.Dense(10)(x)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"padding": "VALID", "pool": "mean"},
        {"stride": 2, "pool": "none", "hidden": []},
        {"kernel": 4, "pool_size": 3, "channels": [5]},
    ],
    ids=["2c2d", "valid and mean", "strides", "even kernel"],
)
def test_the_model_is_flaxs_with_the_same_weights(fields):
    model, x = convnet(**(SMALL | fields)), images(6, 17, 15, 2)
    settings = Settings(bias_init=constant(0.1), activation=jnp.tanh)
    params, stats = start(model, settings, x.shape[1:])
    theirs = {f"Conv_{i}": {"kernel": w, "bias": b} for i, (w, b) in enumerate(params.convs)}
    theirs |= {f"Dense_{i}": {"kernel": w, "bias": b} for i, (w, b) in enumerate(params.layers)}
    found, _ = quick(lambda: model.apply(params, stats, x, settings, None))()
    expected = quick(Linen(model).apply)({"params": theirs}, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_initializers_see_the_fans_of_a_kernel():
    """Var w = 2 / (rows columns channels), to four standard errors of a variance."""
    params, _ = start(convnet([64, 64], [50]), Settings(init=he()))
    for w, _ in (params.convs[1], *params.layers):
        fan = float(np.prod(w.shape[:-1]))
        assert abs(jnp.var(w) * fan / 2 - 1) < 4 * np.sqrt(2 / w.size)


def test_2c2d_can_be_started_as_deepobs_starts_it():
    settings = Settings(init=truncated_normal(0.05), bias_init=constant(0.05))
    params, _ = start(convnet(hidden=[64]), settings)
    for w, b in (*params.convs, *params.layers):
        assert jnp.max(jnp.abs(w)) <= 0.1
        assert jnp.all(b == jnp.float32(0.05))


def test_every_layer_draws_from_its_own_place_whatever_follows():
    one, _ = start(convnet([4], [10]), Settings())
    two, _ = start(convnet([4, 5], [10]), Settings())
    np.testing.assert_array_equal(one.convs[0].w, two.convs[0].w)


def test_batch_norm_of_images_is_flaxs_over_examples_and_pixels():
    z = 2.0 + 3.0 * images(6, 4, 3, 5)
    scale, shift = images(5), images(5)
    module = linen.BatchNorm(momentum=0.9)
    variables = module.init(KEY, z, use_running_average=True)
    variables["params"] = {"scale": scale, "bias": shift}
    theirs, after = module.apply(variables, z, use_running_average=False, mutable=["batch_stats"])
    found, running = normalise(z, Norm(scale, shift), running_init(5), training=True)
    np.testing.assert_allclose(found, theirs, atol=2e-5)
    np.testing.assert_allclose(running.mean, after["batch_stats"]["mean"], rtol=1e-5)
    np.testing.assert_allclose(running.var, after["batch_stats"]["var"], rtol=1e-5)
    evaluated, same = normalise(z, Norm(scale, shift), running, training=False)
    theirs = module.apply({**variables, **after}, z, use_running_average=True)
    np.testing.assert_allclose(evaluated, theirs, atol=2e-5)
    jax.tree.map(np.testing.assert_array_equal, same, running)


@pytest.mark.parametrize("on", [False, True])
def test_batch_norm_off_is_the_network_without_it(on):
    model, x = convnet(**SMALL), images(5, 8, 8, 1)
    plain, normed = Settings(), Settings(batch_norm=jnp.asarray(on))
    params, stats = start(model, normed)
    assert len(params.norms) == len(stats) == 3
    found, after = quick(lambda: model.apply(params, stats, x, normed, KEY))()
    expected, _ = quick(lambda: model.apply(params, (), x, plain, KEY))()
    assert np.allclose(found, expected, atol=1e-5) != on
    assert all(jnp.any(a.mean != b.mean) for a, b in zip(stats, after, strict=True))


@pytest.mark.parametrize("activation", [partial(maxout, pieces=2), jax.nn.softmax])
def test_activations_act_along_the_channels_of_a_pixel(activation):
    """A convolution by kernels of one pixel is a dense layer of every pixel."""
    settings, x = Settings(activation=activation), images(5, 4, 3, 2)
    model = convnet([6], [], kernel=1, pool="none")
    params, stats = start(model, settings, x.shape[1:])
    found, _ = quick(lambda: model.apply(params, stats, x, settings, None))()
    (conv,), (last,) = params.convs, params.layers
    hidden = activation(x.reshape(-1, 2) @ conv.w[0, 0] + conv.b[None])
    expected = hidden.reshape(5, -1) @ last.w + last.b[None]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_maxout_has_as_many_pieces_of_every_layer():
    settings = Settings(activation=partial(maxout, pieces=3))
    model = convnet(**SMALL)
    params, stats = jax.eval_shape(lambda: model.start(KEY, (8, 8, 1), 10, settings))
    assert [w.shape for w, _ in params.convs] == [(3, 3, 1, 12), (3, 3, 4, 18)]
    assert [w.shape for w, _ in params.layers] == [(24, 30), (10, 10)]
    apply = partial(model.apply, settings=settings, key=KEY)
    assert jax.eval_shape(apply, params, stats, images(5, 8, 8, 1))[0].shape == (5, 10)


def test_dropout_drops_in_training_alone():
    model, x, settings = convnet(**SMALL), images(5, 8, 8, 1), Settings(dropout=0.5)
    params, stats = start(model, settings)

    @quick
    def outputs():
        runs = (Settings(), KEY), (settings, None), (settings, KEY)
        return [model.apply(params, stats, x, *run)[0] for run in runs]

    plain, evaluated, trained = outputs()
    np.testing.assert_array_equal(evaluated, plain)
    assert jnp.all(trained != plain)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels": []}, ["channels", "()", "mlp"]),
        ({"channels": [8, 0]}, ["channels", "(8, 0)"]),
        ({"hidden": [-1]}, ["hidden", "(-1,)", "[1024]"]),
        ({"stride": 0}, ["stride", "0"]),
        ({"pool": "avg"}, ["pool", "'avg'", "mean"]),
        ({"padding": "same"}, ["padding", "'same'", "SAME"]),
    ],
)
def test_fields_that_make_no_network_are_refused_in_words(fields, words):
    with pytest.raises(UsageError) as refused:
        convnet(**fields)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("fields", "shape", "words"),
    [
        ({}, (784,), ["images [height, width, channels]", "(784,)", "mlp"]),
        ({}, (28, 28), ["images [height, width, channels]", "(28, 28)"]),
        ({"padding": "VALID"}, (8, 8, 1), ["2 pixels", "window of 5", "SAME"]),
    ],
)
def test_examples_that_are_no_images_are_refused_in_words(fields, shape, words):
    with pytest.raises(UsageError) as refused:
        convnet(**fields).start(KEY, shape, 10, Settings())
    assert all(word in str(refused.value) for word in words)


def pictures():
    """Bright and dark halves: three classes of 6x6 images."""
    y = np.arange(90) % 3
    x = RNG.normal(size=(90, 6, 6, 1))
    x[:, :3] += (y == 0)[:, None, None, None]
    x[:, :, :3] += (y == 1)[:, None, None, None]
    return nnlab.data.from_arrays(x.astype(np.float32), y, validation=15, test=15, name="halves")


def test_a_sweep_trains_a_small_convnet_to_read_digits():
    axes = {"learning_rate": [0.01, 0.02]}
    knobs = {"epochs": 5, "batch_size": 50}
    results = nnlab.Sweep(
        convnet([8], [], kernel=3), nnlab.data.load("digits"), axes, **knobs
    ).run()
    assert (results["val_accuracy"].isel(epoch=-1) > 0.9).all()
    assert (results["test_accuracy"] > 0.9).all()


def test_fields_on_an_axis_are_programs_of_their_own():
    axes = {"channels": [[4], [4, 4]], "hidden": [[], [8]]}
    sweep = nnlab.Sweep(convnet(kernel=3), pictures(), axes, batch_size=20)
    assert sweep.summary().programs == sweep.summary().runs == 4


def test_a_run_alone_equals_the_run_among_others():
    axes = {"batch_norm": [False, True]}
    knobs = {"activation": "tanh", "dropout": 0.2, "optimizer": "sgd", "learning_rate": 0.02}
    model = convnet([3], [], kernel=3)
    sweep = nnlab.Sweep(model, pictures(), axes, **knobs, epochs=2, batch_size=20)
    (group,) = sweep.groups(lanes=2)
    together = every_run(group, sweep)
    alone = train_plainly(sweep, group, position=1, seed=0)
    found = together[group.ids[1], 0]
    for name, values in (("train_loss", alone.train_loss), ("val_loss", alone.valid["loss"])):
        np.testing.assert_allclose(found[name], values, rtol=2e-4, atol=2e-5)


def test_a_shell_trains_convnets_whose_kernels_it_sets(nnlab_):
    words = ["--channels", "2,2-3", "--hidden", "linear", "--set", "kernel=3", "--seeds", "1"]
    status, printed, _ = nnlab_("ablate", *words, "--epochs", "1", "--limit", "100", "--quiet")
    assert status == 0
    assert "2 finished, 0 of them diverged" in printed


def test_channels_are_searched_as_a_list():
    asked = make_search({"channels": "4,8-8", "hidden": "16"})
    assert asked["ranges"] == {"channels": [(4,), (8, 8)]}
    assert asked["model"] == nnlab.models.convnet(hidden=[16])
