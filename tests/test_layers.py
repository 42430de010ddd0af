"""Dense, dropout and batch normalisation."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.errors import UsageError
from nnlab.nn.layers import (
    Running,
    batch_norm_eval,
    batch_norm_train,
    dense,
    dropout,
    normalise_batch,
    running_init,
)

KEY = jax.random.key(3)
X = np.random.default_rng(3).normal(size=(400, 64)).astype(np.float32)
dropped_out = jax.jit(dropout)  # one shape and one program for all tests


def rows(examples, features):
    """A batch of standard normal features."""
    return jnp.asarray(X.ravel()[: examples * features].reshape(examples, features))


def test_dense_is_the_affine_map_of_each_row():
    x, w, b = jnp.arange(6.0).reshape(2, 3), jnp.arange(12.0).reshape(3, 4), jnp.arange(4.0)
    rows = [[sum(x[n, i] * w[i, j] for i in range(3)) + b[j] for j in range(4)] for n in range(2)]
    np.testing.assert_allclose(dense(x, w, b), np.array(rows))


@pytest.mark.parametrize("lift", [float, jnp.float32])
def test_dropout_at_rate_zero_is_exactly_the_identity(lift):
    np.testing.assert_array_equal(dropped_out(KEY, X, lift(0.0)), X)


def test_dropout_drops_its_rate_and_keeps_the_mean():
    n, rate = X.size, 0.3
    y = np.asarray(dropped_out(KEY, np.ones_like(X), rate))
    dropped = np.mean(y == 0)
    assert abs(dropped - rate) < 4 * np.sqrt(rate * (1 - rate) / n)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_lanes_that_share_a_key_drop_nested_sets():
    x = jnp.ones(X.shape)
    rates = jnp.array([0.0, 0.2, 0.5, 0.9, 1.0])
    dropped = jax.vmap(lambda rate: dropped_out(KEY, x, rate) == 0)(rates)
    assert np.all(np.diff(dropped.astype(int), axis=0) >= 0)
    assert not dropped[0].any()
    assert dropped[-1].all()
    for rate, lane in zip(rates, dropped, strict=True):
        np.testing.assert_array_equal(lane, dropped_out(KEY, x, rate) == 0)


gradient_of_dropout = jax.jit(jax.grad(lambda key, x, r: jnp.sum(dropout(key, x, r)), 1))


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_gradient_of_dropout_is_its_own_mask(rate):
    gradient = gradient_of_dropout(KEY, X, rate)
    np.testing.assert_array_equal(gradient, dropped_out(KEY, np.ones_like(X), rate))


@pytest.mark.parametrize("rate", [0.0, 1e-7, 0.2, 1 / 3, 0.999999, 1.0])
def test_dropout_keeps_what_jax_draws_at_its_rate_or_above(rate):
    kept = jax.random.uniform(KEY, X.shape) >= jnp.float32(rate)
    np.testing.assert_array_equal(dropped_out(KEY, np.ones_like(X), rate) > 0, kept)


@pytest.mark.parametrize("rate", [-0.1, 1.5, 20.0])
def test_a_dropout_rate_outside_zero_to_one_is_refused(rate):
    with pytest.raises(UsageError, match="drop probability"):
        dropout(KEY, jnp.ones(3), rate)


@jax.jit
def normed(x, momentum=0.9, eps=1e-5):
    features = x.shape[1]
    scale, shift = jnp.linspace(0.5, 2.0, features), jnp.linspace(-1.0, 1.0, features)
    return batch_norm_train(x, scale, shift, running_init(features), momentum, eps)


def test_batch_norm_gives_each_feature_mean_shift_and_deviation_scale():
    x = 3.0 + 5.0 * rows(64, 4)
    y, _ = normed(x)
    np.testing.assert_allclose(np.mean(y, 0), np.linspace(-1, 1, 4), atol=1e-5)
    np.testing.assert_allclose(np.std(y, 0), np.linspace(0.5, 2, 4), rtol=1e-5)


def test_batch_norm_ignores_the_scale_and_offset_of_its_input():
    x = rows(64, 4)
    np.testing.assert_allclose(normed(x, eps=0.0)[0], normed(7.0 * x - 3.0, eps=0.0)[0], atol=2e-5)


def test_derivatives_of_batch_norm_are_those_of_its_formula_in_any_order_and_mode():
    with jax.enable_x64(True):
        draw = np.random.default_rng(1)
        shapes = (9, 3), (3,), (3,), ()
        primals, tangents = (tuple(jnp.asarray(draw.normal(size=n)) for n in shapes) for _ in "ab")
        primals = (*primals[:3], jnp.asarray(0.3))

        def formula(x, scale, shift, eps):
            m = jnp.mean(x, 0)
            v = jnp.mean((x - m[None]) ** 2, 0)
            return (scale / jnp.sqrt(v + eps))[None] * (x - m[None]) + shift[None]

        def ours(x, scale, shift, eps):
            return batch_norm_train(x, scale, shift, running_init(3), 0.9, eps)[0]

        def derivatives(f):
            gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a))), (0, 1, 2, 3))
            ahead = jax.jvp(gradient, primals, tangents)[1]
            back = jax.vjp(gradient, *primals)[1](tangents)
            return jax.jvp(f, primals, tangents), gradient(*primals), ahead, back

        found, expected = (jax.jit(lambda f=f: derivatives(f))() for f in (ours, formula))
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected
        )


def test_the_gradient_of_batch_norm_sums_over_the_batch_twice():
    scale, x = jnp.ones(4), rows(64, 4)
    backward = jax.vjp(normalise_batch, x, scale, scale, 1e-5)[1]
    equations = jax.make_jaxpr(backward)(x).jaxpr.eqns
    sums = [e for e in equations if e.primitive.name == "reduce_sum"]
    assert sum(e.invars[0].aval.shape == x.shape for e in sums) == 2


def test_batch_norm_equals_flax_in_training_and_in_evaluation():
    x = 2.0 + 3.0 * rows(32, 5)
    module = flax.linen.BatchNorm(momentum=0.8, epsilon=1e-3)
    variables = module.init(KEY, x, use_running_average=True)
    scale, shift = jnp.linspace(0.5, 2.0, 5), jnp.linspace(-1.0, 1.0, 5)
    variables["params"] = {"scale": scale, "bias": shift}
    running = running_init(5)
    for step in range(3):
        batch = x + float(step)
        theirs, moved = module.apply(
            variables, batch, use_running_average=False, mutable="batch_stats"
        )
        variables = {**variables, **moved}
        mine, running = batch_norm_train(batch, scale, shift, running, 0.8, 1e-3)
        np.testing.assert_allclose(mine, theirs, atol=2e-5)
    np.testing.assert_allclose(running.mean, variables["batch_stats"]["mean"], rtol=1e-5)
    np.testing.assert_allclose(running.var, variables["batch_stats"]["var"], rtol=1e-5)
    np.testing.assert_allclose(
        batch_norm_eval(x, scale, shift, running, 1e-3),
        module.apply(variables, x, use_running_average=True),
        atol=2e-5,
    )


def test_batch_norm_equals_the_published_formula_and_torch_up_to_its_unbiased_running_variance():
    """torch documents y = (x - E x) / sqrt(Var x + eps) gamma + beta, Var biased in training;
    running' = (1 - momentum) running + momentum observed, the observed variance unbiased."""
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    mean, var = x.mean(0), x.var(0)
    scale, shift = np.linspace(0.5, 2, 3, dtype=np.float32), np.linspace(-1, 1, 3, dtype=np.float32)
    running = Running(jnp.full(3, 0.5), jnp.full(3, 2.0))
    y, moved = batch_norm_train(
        jnp.asarray(x), jnp.asarray(scale), jnp.asarray(shift), running, 0.9, 1e-5
    )
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5) * scale + shift, atol=1e-5)
    np.testing.assert_allclose(moved.mean, 0.9 * 0.5 + 0.1 * mean, rtol=1e-5)
    torch_var = 0.9 * 2.0 + 0.1 * x.var(0, ddof=1)
    np.testing.assert_allclose(moved.var, 0.9 * 2.0 + (torch_var - 0.9 * 2.0) * 15 / 16, rtol=1e-5)


def test_running_statistics_converge_to_those_of_the_data():
    x = 2.0 + 3.0 * rows(6400, 4).reshape(100, 64, 4)

    def step(running, batch):
        return batch_norm_train(batch, jnp.ones(4), jnp.zeros(4), running, 0.95)[1], None

    running, _ = jax.lax.scan(step, running_init(4), x)
    np.testing.assert_allclose(running.mean, 2.0, atol=0.4)
    np.testing.assert_allclose(running.var, 9.0, rtol=0.15)


def test_lifted_batch_norm_equals_separate_ones():
    x = rows(60, 4).reshape(3, 20, 4)
    lifted = jax.vmap(normed)(x)
    for lane in range(3):
        alone = normed(x[lane])
        jax.tree.map(
            lambda a, b, i=lane: np.testing.assert_allclose(a[i], b, atol=1e-6), lifted, alone
        )


def test_a_constant_feature_normalises_to_its_shift_with_finite_gradients():
    y, _ = normed(jnp.full((8, 3), 4.0))
    np.testing.assert_allclose(y, np.broadcast_to(np.linspace(-1, 1, 3), (8, 3)), atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(normed(x)[0] ** 2))(jnp.full((8, 3), 4.0))
    assert np.all(np.isfinite(gradient))
