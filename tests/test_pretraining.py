"""Data-dependent initial weights: LSUV against its theorem, machines against exact enumeration."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from sklearn.datasets import load_digits

from nnlab.errors import UsageError
from nnlab.models.mlp import MLP, Dense, Norm, Weights
from nnlab.models.model import Settings
from nnlab.models.pretraining import (
    Machine,
    Rates,
    base_rate,
    contrastive_divergence,
    fit,
    hidden_probability,
    lsuv,
    rbm,
)
from nnlab.nn.activations import ACTIVATIONS

KEY = jax.random.key(11, impl="rbg")  # compiles faster
EXACT = jax.random.key(11, impl="threefry2x32")  # the same bits under vmap
RNG = np.random.default_rng(11)


def gaussians(*shape, std=1.0):
    return jnp.asarray(std * RNG.normal(size=shape), jnp.float32)


def net(*sizes, bias=0.0, norms=False):
    """Weights of any scale for an MLP of these sizes."""
    layers = tuple(
        Dense(gaussians(m, n, std=0.3), gaussians(n, std=bias))
        for m, n in itertools.pairwise(sizes)
    )
    return Weights(layers, tuple(Norm(jnp.full(n, 2.0), jnp.ones(n)) for n in sizes[1:-1] if norms))


def assert_close(a, b, rtol=1e-4, atol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# --- layer-sequential unit variance ---

DEEP = net(30, *(40,) * 24, 10)
SMALL = net(30, 20, 20, 10, bias=0.5)
BATCH = 3 * gaussians(100, 30) + 1.0
IN_NUMPY = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


def scaled(key, weights, x, activation, tolerance, passes=10):
    return lsuv(key, weights, x, ACTIVATIONS[activation], tolerance, passes)


def variances(weights, activation, x=BATCH):
    """The variance of every layer's pre-activations, in float64."""
    h, found = np.asarray(x, np.float64), []
    for i, (w, b) in enumerate(weights.layers):
        h = (IN_NUMPY[activation](h) if i else h) @ np.asarray(w, np.float64) + np.asarray(b)
        found.append(h.var())
    return np.array(found)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_after_lsuv_all_25_layers_have_unit_variance_on_the_batch(activation):
    assert np.max(np.abs(variances(DEEP, activation) - 1)) > 0.5
    found = variances(scaled(KEY, DEEP, BATCH, activation, 0.01), activation)
    assert len(found) == 25
    np.testing.assert_allclose(found, 1.0, atol=0.01)


def test_with_biases_lsuv_repeats_until_the_variance_is_within_the_tolerance():
    once = variances(scaled(KEY, SMALL, BATCH, "relu", 1e-3, passes=1), "relu")
    often = variances(scaled(KEY, SMALL, BATCH, "relu", 1e-3), "relu")
    assert np.max(np.abs(once - 1)) > 0.02
    np.testing.assert_allclose(often, 1.0, atol=1.1e-3)


def test_lsuv_weights_are_orthonormal_but_for_their_scale():
    for w, _ in scaled(KEY, DEEP, BATCH, "tanh", 0.01).layers:
        gram = np.asarray(w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w)
        scale = gram[0, 0]
        np.testing.assert_allclose(gram, scale * np.eye(len(gram)), atol=2e-5 * scale)


def test_a_layer_within_the_tolerance_keeps_its_orthonormal_weights():
    for w, _ in scaled(KEY, DEEP, BATCH, "tanh", 1e9).layers:
        np.testing.assert_allclose(np.linalg.norm(w, 2), 1.0, rtol=1e-5)


def test_lsuv_does_not_see_norms_or_earlier_weights_and_keeps_biases_and_norms():
    bare = scaled(KEY, SMALL, BATCH, "relu", 1e-3)
    other = net(30, 20, 20, 10, norms=True)
    layers = tuple(Dense(a.w, b.b) for a, b in zip(other.layers, SMALL.layers, strict=True))
    normed = scaled(KEY, Weights(layers, other.norms), BATCH, "relu", 1e-3)
    assert_equal(normed.norms, other.norms)
    assert_close(normed.layers, bare.layers)
    assert_equal([b for _, b in bare.layers], [b for _, b in SMALL.layers])


def test_lanes_of_lsuv_equal_separate_calls():
    weights = net(30, 20, 10, bias=0.5)
    keys, tolerances = jax.random.split(EXACT, 2), jnp.array([0.5, 0.001])

    def one(key, tolerance):
        return scaled(key, weights, BATCH, "tanh", tolerance)

    lifted = jax.jit(jax.vmap(one))(keys, tolerances)
    for i in range(2):
        alone = one(keys[i], tolerances[i])
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], lifted), alone)


def test_inputs_without_variance_leave_finite_weights():
    for x in (jnp.zeros_like(BATCH), jnp.ones_like(BATCH)):
        weights = scaled(KEY, SMALL, x, "relu", 1e-3)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(weights))


def test_lsuv_takes_images_and_activations_that_join_units():
    x = BATCH.reshape(100, 5, 6)
    layers = (*net(30, 16).layers, *net(8, 16).layers, *net(8, 5).layers)
    h = BATCH
    for i, (w, _) in enumerate(scaled(KEY, Weights(layers, ()), x, "maxout", 0.01).layers):
        h = (jnp.max(h.reshape(100, 8, 2), -1) if i else h) @ w
        np.testing.assert_allclose(np.var(h), 1.0, atol=0.01)


# --- restricted Boltzmann machines ---


def machine_of(visible, hidden, std=0.5):
    return Machine(
        gaussians(visible, hidden, std=std), gaussians(visible, std=std), gaussians(hidden, std=std)
    )


@pytest.mark.parametrize("gaussian", [False, True])
def test_contrastive_divergence_is_the_published_recipe_written_as_loops(gaussian):
    machine = machine_of(4, 3)
    w, a, b = (np.asarray(part, np.float64) for part in machine)
    v = RNG.normal(size=(6, 4)) if gaussian else RNG.uniform(size=(6, 4))
    u = np.asarray(jax.random.uniform(KEY, (6, 3)))
    dw, da, db = np.zeros((4, 3)), np.zeros(4), np.zeros(3)
    for n in range(6):
        p0 = [expit(b[j] + sum(v[n, i] * w[i, j] for i in range(4))) for j in range(3)]
        h = [1.0 if u[n, j] < p0[j] else 0.0 for j in range(3)]
        drive = [a[i] + sum(w[i, j] * h[j] for j in range(3)) for i in range(4)]
        v1 = drive if gaussian else [expit(d) for d in drive]
        p1 = [expit(b[j] + sum(v1[i] * w[i, j] for i in range(4))) for j in range(3)]
        for i, j in itertools.product(range(4), range(3)):
            dw[i, j] += (v[n, i] * p0[j] - v1[i] * p1[j]) / 6
        da += (v[n] - v1) / 6
        db += (np.array(p0) - p1) / 6
    found = contrastive_divergence(KEY, machine, jnp.asarray(v, jnp.float32), gaussian)
    assert_close(found, Machine(dw, da, db), atol=1e-6)


@pytest.mark.parametrize("gaussian", [False, True])
def test_a_machine_learns_with_momentum_and_decay_and_gaussian_units_at_a_tenth_of_the_rate(
    gaussian,
):
    """By hand, on equal rows: their order does not matter, each batch has its own random bits."""
    machine, v = machine_of(4, 3), jnp.tile(jnp.array([[1.0, 0.0, 1.0, 0.5]]), (5, 1))
    rates = Rates(learning_rate=0.5, momentum=0.25, weight_decay=0.125)
    found = fit(KEY, machine, v, gaussian, rates, epochs=1, batch_size=2)
    (epoch,) = jax.random.split(KEY, 1)
    _, bits = jax.random.split(epoch)
    m = jax.tree.map(jnp.zeros_like, machine)
    for key in jax.random.split(bits, 2):  # five rows make two batches of two
        g = contrastive_divergence(key, machine, v[:2], gaussian)
        g = g._replace(w=g.w - 0.125 * machine.w)
        rate = 0.05 if gaussian else 0.5
        m = jax.tree.map(lambda m, g, rate=rate: 0.25 * m + rate * g, m, g)
        machine = jax.tree.map(jnp.add, machine, m)
    assert_close(found, machine, atol=1e-6)


def test_an_epoch_shows_every_example_once():
    """Rows that light one unit each: without weights to learn, a is the sum of rate (v - 1 / 2)."""
    silent = Machine(jnp.zeros((6, 2)), jnp.zeros(6), jnp.zeros(2))
    rates = Rates(learning_rate=1e-3, momentum=0.0, weight_decay=0.0)
    found = fit(KEY, silent, jnp.eye(6), False, rates, epochs=1, batch_size=2)
    np.testing.assert_allclose(found.a, 1e-3 * (1 / 2 - 3 / 2), rtol=1e-2)


def test_the_base_rate_alone_gives_every_mean():
    v = jnp.asarray(np.c_[np.zeros(50), np.ones(50), np.arange(50) < 20], jnp.float32)
    np.testing.assert_allclose(expit(base_rate(v, False)), [0.5 / 51, 50.5 / 51, 20.5 / 51], 1e-5)
    np.testing.assert_allclose(base_rate(v, True), [0.0, 1.0, 0.4], rtol=1e-6)


def log_likelihood(machine, v):
    """Mean log p(v), the partition function summed over every state of all units."""
    w, a, b = (np.asarray(part, np.float64) for part in machine)

    def states(n):
        return np.array(list(itertools.product([0.0, 1.0], repeat=n)))

    def log_weight(v):  # log sum_h exp(v w h + a v + b h)
        v, h = np.asarray(v), states(len(b))
        return logsumexp(v @ w @ h.T + h @ b, axis=1) + v @ a

    return np.mean(log_weight(v)) - logsumexp(log_weight(states(len(a))))


def test_the_exact_log_likelihood_rises_from_independent_units_towards_the_entropy():
    patterns = np.array([[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 1]])
    v = jnp.asarray(np.tile(patterns, (20, 1)), jnp.float32)
    rates = Rates(learning_rate=0.1, momentum=0.5, weight_decay=2e-4)
    machine = Machine(gaussians(6, 5, std=0.01), base_rate(v, False), jnp.zeros(5))
    found = [log_likelihood(machine, v)]
    for i in range(4):
        machine = fit(jax.random.fold_in(KEY, i), machine, v, False, rates, 12, 10)
        found.append(log_likelihood(machine, v))
    p = np.asarray(v).mean(0)
    np.testing.assert_allclose(found[0], np.sum(p * np.log(p) + (1 - p) * np.log(1 - p)), 0.02)
    assert np.all(np.diff(found) > 0)
    assert -np.log(3) - 0.7 < found[-1] < -np.log(3)


def bars(n, side=6):
    """Images of a few rows and columns lit: many pixels, few causes."""
    rows, columns = (RNG.uniform(size=(n, side, 1)) < 0.25 for _ in range(2))
    return (rows | columns.transpose(0, 2, 1)).reshape(n, -1).astype(np.float32)


def rebuilt(machine, v, gaussian):
    drive = hidden_probability(machine, v) @ machine.w.T + machine.a[None, :]
    return drive if gaussian else jax.nn.sigmoid(drive)


def free_energy(machine, v):
    drive = v @ machine.w + machine.b[None, :]
    return np.mean(-v @ machine.a - jnp.sum(jax.nn.softplus(drive), axis=1))


def learned(v, gaussian):
    """A machine before and after it learns v."""
    rates = Rates(learning_rate=0.2, momentum=0.5, weight_decay=2e-4)
    begin = Machine(gaussians(36, 24, std=0.01), base_rate(v, gaussian), jnp.zeros(24))
    return begin, fit(KEY, begin, v, gaussian, rates, epochs=80, batch_size=20)


@pytest.mark.parametrize("gaussian", [True])
def test_unseen_patterns_are_rebuilt_from_their_hidden_units(gaussian):
    v, unseen = bars(600), bars(200)
    if gaussian:
        v, unseen = ((part - v.mean(0)) / v.std(0) for part in (v, unseen))
    machines = learned(jnp.asarray(v), gaussian)
    errors = [np.mean((unseen - rebuilt(m, jnp.asarray(unseen), gaussian)) ** 2) for m in machines]
    np.testing.assert_allclose(errors[0], np.mean(unseen.var(0)), rtol=0.03)  # all are the mean
    assert errors[1] < 0.5 * errors[0]


def test_data_come_to_have_less_free_energy_than_noise_of_the_same_means():
    v = bars(600)
    noise = np.stack([RNG.permutation(column) for column in v.T], axis=1)
    machines = learned(jnp.asarray(v), gaussian=False)
    gaps = [free_energy(m, jnp.asarray(noise)) - free_energy(m, jnp.asarray(v)) for m in machines]
    assert abs(gaps[0]) < 0.3
    assert gaps[1] > 3.0


few = functools.partial(rbm, epochs=2, batch_size=20)


@pytest.mark.parametrize("gaussian", [True])
def test_rbm_stacks_machines_on_what_came_and_leaves_output_layer_and_norms(gaussian):
    """Inputs in [0, 1] are probabilities; one input below 0 makes all of them Gaussian."""
    x = bars(60).reshape(60, 6, 6)
    x[0, 0, 0] = -0.01 if gaussian else 0.0
    weights = net(36, 8, 8, 5, bias=0.1, norms=True)
    found = few(KEY, weights, jnp.asarray(x))
    v = jnp.asarray(x.reshape(60, 36))
    rates = Rates(learning_rate=0.1, momentum=0.5, weight_decay=2e-4)
    for i, layer in enumerate(found.layers[:2]):
        begin, learn = jax.random.split(jax.random.fold_in(KEY, i))
        kind = gaussian and i == 0
        w = 0.01 * jax.random.normal(begin, layer.w.shape)
        machine = Machine(w, base_rate(v, kind), weights.layers[i].b)
        machine = fit(learn, machine, v, kind, rates, 2, 20)
        assert_close(layer, Dense(machine.w, machine.b))
        v = hidden_probability(machine, v)
    assert_equal((found.layers[2], found.norms), (weights.layers[2], weights.norms))


def test_without_epochs_hidden_weights_are_small_and_normal():
    found = rbm(KEY, net(36, 60, 10), jnp.asarray(bars(20)), epochs=0, std=0.02)
    w, b = found.layers[0]
    assert abs(np.std(w) / 0.02 - 1) < 4 / np.sqrt(2 * w.size)
    np.testing.assert_array_equal(b, 0.0)


def test_lanes_of_rbm_equal_separate_calls():
    x, weights = jnp.asarray(bars(60)), net(36, 8, 5)
    rates, keys = jnp.array([0.05, 0.2]), jax.random.split(EXACT, 2)

    def one(key, rate):
        return few(key, weights, x, learning_rate=rate)

    lifted = jax.jit(jax.vmap(one))(keys, rates)
    for i in range(2):
        alone = one(keys[i], rates[i])
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], lifted), alone)


def test_a_linear_model_has_nothing_to_pre_train():
    weights = net(36, 10)
    assert_equal(rbm(KEY, weights, jnp.asarray(bars(5))), weights)


@pytest.mark.parametrize(
    ("sizes", "numbers", "word"),
    [
        ((36, 8, 5), {"epochs": -1}, "0 or more epochs"),
        ((36, 8, 5), {"batch_size": 0}, "1 or more in a batch"),
        ((30, 8, 5), {}, "keep their shape"),
    ],
)
def test_rbm_says_what_it_cannot_train(sizes, numbers, word):
    with pytest.raises(UsageError, match=word) as error:
        rbm(KEY, net(*sizes), jnp.asarray(bars(5)), **numbers)
    assert "\n" not in str(error.value)


def test_gradient_descent_learns_digits_from_stacked_machines_but_not_from_small_weights():
    """Three sigmoid layers of N(0, 0.01^2) weights do not begin to learn (Hinton et al., 2006)."""
    raw, labels = load_digits(return_X_y=True)
    x, y = jnp.asarray((raw - raw.mean()) / raw.std(), jnp.float32), jnp.asarray(labels, jnp.int32)
    model, settings = MLP((64, 64, 64)), Settings(activation=ACTIVATIONS["sigmoid"])

    def loss(weights):
        z, _ = model.apply(weights, (), x, settings, None)
        right = jnp.argmax(z, axis=1) == y
        hit = jax.nn.log_softmax(z) * jax.nn.one_hot(y, 10)
        return -jnp.mean(jnp.sum(hit, axis=1)), jnp.mean(right.astype(jnp.float32))

    def step(weights, _):
        (_, accuracy), g = jax.value_and_grad(loss, has_aux=True)(weights)
        return jax.tree.map(lambda w, g: w - 0.5 * g, weights, g), accuracy

    train = jax.jit(lambda weights: jax.lax.scan(step, weights, length=150)[1][-1])
    layers = net(64, 64, 64, 64, 10).layers
    small = Weights(tuple(Dense(w / 30, b) for w, b in layers), ())
    assert train(small) < 0.2
    assert train(rbm(KEY, small, x, epochs=10)) > 0.6
