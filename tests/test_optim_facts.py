"""What theory says about optimizers, measured on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.optim.adam import adam, amsgrad
from nnlab.optim.adaptive import adagrad
from nnlab.optim.lbfgs import lbfgs
from nnlab.optim.muon import orthogonalize
from nnlab.optim.sgd import momentum, nesterov, sgd
from nnlab.optim.sophia import hutchinson

CURVATURES = np.array([1.0, 0.1, 0.01])


def descend(tx, steps, w=(1.0, 1.0, 1.0), curvatures=CURVATURES):
    """The weights along sum curvature w^2 / 2, in float64."""
    with jax.enable_x64(True):
        h, w = jnp.asarray(curvatures), jnp.asarray(w, jnp.float64)

        def step(carry, _):
            w, state = carry
            u, state = tx.update(h * w, state, w)
            return (w + u, state), w + u

        return np.asarray(jax.lax.scan(step, (w, tx.init(w)), length=steps)[1])


def rate_of(path, late=100):
    """The factor by which the error shrinks per step, over the last `late` steps."""
    size = np.linalg.norm(path, axis=1)
    return (size[-1] / size[-1 - late]) ** (1 / late)


def test_descent_on_a_parabola_contracts_by_one_minus_rate_times_curvature() -> None:
    path = descend(sgd(0.5), 20)
    expected = (1 - 0.5 * CURVATURES) ** np.arange(1, 21)[:, None]
    np.testing.assert_allclose(path, expected, rtol=1e-12)


def test_best_momentum_reaches_the_rate_of_polyak() -> None:
    """Heavy ball with k = L / mu contracts by (sqrt k - 1) / (sqrt k + 1) = sqrt(momentum)."""
    top, bottom = np.sqrt(CURVATURES.max()), np.sqrt(CURVATURES.min())
    beta = ((top - bottom) / (top + bottom)) ** 2
    path = descend(momentum((2 / (top + bottom)) ** 2, beta), 600)
    # at the optimum both eigenvalues coincide, which adds a factor t: subtract its slope
    t = np.array([500, 600])
    size = np.linalg.norm(path[t - 1], axis=1) / t
    np.testing.assert_allclose((size[1] / size[0]) ** (1 / 100), np.sqrt(beta), rtol=0.01)


def test_momentum_below_its_best_contracts_by_its_square_root() -> None:
    """With complex eigenvalues every mode contracts by sqrt(momentum), whatever its curvature."""
    for h in (0.3, 1.0):
        path = descend(momentum(0.5, 0.81), 400, (1.0,), (h,))
        envelope = np.abs(path[:, 0])
        highs = envelope[-200:].max(), envelope[:200].max()
        np.testing.assert_allclose((highs[0] / highs[1]) ** (1 / 200), 0.9, rtol=0.01)


def test_nesterov_contracts_as_its_characteristic_polynomial_says_and_beats_the_heavy_ball() -> (
    None
):
    """z^2 = (1 + b)(1 - r h) z - b (1 - r h), for each curvature h."""
    rate, beta = 1.0, 0.8
    shrink = 1 - rate * CURVATURES
    roots = [np.roots([1, -(1 + beta) * s, beta * s]) for s in shrink]
    slowest = max(np.abs(r).max() for r in roots)
    measured = rate_of(descend(nesterov(rate, beta), 300))
    np.testing.assert_allclose(measured, slowest, rtol=1e-4)
    beta = ((1 - 0.1) / (1 + 0.1)) ** 0.5  # complex roots: both methods turn around the minimum
    heavy, accelerated = descend(momentum(rate, beta), 300), descend(nesterov(rate, beta), 300)
    assert np.linalg.norm(accelerated[-1]) < 0.5 * np.linalg.norm(heavy[-1])


def test_nesterov_takes_the_root_of_the_condition_number_where_descent_takes_all_of_it() -> None:
    """With rate 1 / L: 1 - 1 / sqrt k at momentum (sqrt k - 1) / (sqrt k + 1), and 1 - 1 / k.

    Source: Nesterov (2004), theorem 2.2.3, constant step scheme.
    """
    k = CURVATURES.max() / CURVATURES.min()
    beta = (np.sqrt(k) - 1) / (np.sqrt(k) + 1)
    np.testing.assert_allclose(rate_of(descend(sgd(1.0), 600)), 1 - 1 / k, rtol=1e-6)
    path = descend(nesterov(1.0, beta), 600)
    t = np.array([500, 600])  # a double eigenvalue adds a factor t
    size = np.linalg.norm(path[t - 1], axis=1) / t
    np.testing.assert_allclose((size[1] / size[0]) ** (1 / 100), 1 - 1 / np.sqrt(k), rtol=1e-3)


def test_nesterov_damps_the_oscillation_of_the_heavy_ball() -> None:
    heavy, accelerated = descend(momentum(0.1, 0.9), 100), descend(nesterov(0.1, 0.9), 100)
    assert np.linalg.norm(accelerated, axis=1).max() < np.linalg.norm(heavy, axis=1).max()
    assert np.abs(accelerated[-1, 0]) < np.abs(heavy[-1, 0])


@pytest.mark.parametrize("seed", range(3))
def test_adagrad_keeps_the_regret_bound_of_duchi(seed: int) -> None:
    """On |<a_t, w> - y_t| over [-1, 1]^d the regret stays below its bound.

    regret <= (D^2 / 2r + r) sum_i |g_{1:T,i}| with D = 2 and r = sqrt 2.
    The bound holds for projected AdaGrad with eps -> 0 (Duchi et al. 2011, theorem 5).
    """
    rng = np.random.default_rng(seed)
    T, d, r = 500, 5, np.sqrt(2)
    a = jnp.asarray(rng.normal(size=(T, d)) * 10.0 ** -np.arange(d), jnp.float32)
    best = jnp.asarray(rng.uniform(-1, 1, d), jnp.float32)
    y = a @ best
    tx = adagrad(float(r), eps=1e-12)

    def step(carry, row):
        w, state = carry
        x, target = row
        loss, g = jax.value_and_grad(lambda w: jnp.abs(x @ w - target))(w)
        u, state = tx.update(g, state, w)
        return (jnp.clip(w + u, -1, 1), state), (loss, g)

    w = jnp.zeros(d)
    _, (losses, gs) = jax.lax.scan(step, (w, tx.init(w)), (a, y))
    bound = (4 / (2 * r) + r) * np.sqrt((np.asarray(gs) ** 2).sum(0)).sum()
    assert 0 < losses.sum() <= bound


def reddi(tx, steps=60_000):
    """Mean position on Reddi et al.'s cycle: gradient 1010 in 1 of 101 steps, else -10."""
    w = jnp.zeros(())

    def step(carry, t):
        w, state = carry
        g = jnp.where(t % 101 == 1, 1010.0, -10.0)
        u, state = tx.update(g, state, w)
        return (jnp.clip(w + u, -1, 1), state), w

    run = jax.jit(lambda: jax.lax.scan(step, (w, tx.init(w)), jnp.arange(1, steps + 1))[1])
    return float(run()[-10_000:].mean())


def test_adam_goes_to_the_worst_point_of_reddis_example_and_amsgrad_to_the_best() -> None:
    """Source: Reddi, Kale and Kumar, ICLR (2018), section 3 and figure 1 (beta1 .9, beta2 .99)."""

    def falling(t):
        return 0.5 / jnp.sqrt(1.0 + t.astype(jnp.float32))

    assert reddi(adam(falling, 0.9, 0.99)) > 0.9
    assert reddi(amsgrad(falling, 0.9, 0.99)) < -0.9


def test_lbfgs_solves_a_badly_scaled_quadratic_in_45_steps() -> None:
    with jax.enable_x64(True):
        h = jnp.asarray(10.0 ** -np.arange(5.0))
        tx, w = lbfgs(), jnp.zeros(5, jnp.float64)
        state = tx.init(w)

        def loss(w):
            return jnp.sum(h * (w - 1.0) ** 2) / 2

        @jax.jit
        def step(w, state):
            value, g = jax.value_and_grad(loss)(w)
            return tx.update(g, state, w, value=value, grad=g, value_fn=loss)

        for _ in range(45):
            u, state = step(w, state)
            w = w + u
        np.testing.assert_allclose(w, 1.0, atol=1e-8)


def test_lbfgs_leaves_a_hilltop_downhill() -> None:
    """On w^4 / 4 - w^2 / 2 from 0.1, where it curves down, to the minimum at 1."""
    tx, w = lbfgs(0.1, line_search=False), jnp.asarray([0.1])
    state, path, update = tx.init(w), [0.1], jax.jit(tx.update)
    for _ in range(120):
        u, state = update(w**3 - w, state, w)
        w = w + u
        path.append(float(w[0]))
    assert np.all(np.diff(path[:20]) > 0)
    np.testing.assert_allclose(path[-1], 1, atol=1e-3)


def test_orthogonalised_matrix_keeps_singular_vectors_and_evens_out_values() -> None:
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    left, _, right = np.linalg.svd(x, full_matrices=False)
    y = np.asarray(orthogonalize(jnp.asarray(x)))
    core = left.T @ y @ right.T
    np.testing.assert_allclose(core, np.diag(np.diag(core)), atol=1e-4)
    assert np.all((np.diag(core) > 0.6) & (np.diag(core) < 1.3))


def test_hutchinson_is_unbiased_for_the_hessian_diagonal() -> None:
    H = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    H = jnp.asarray(H + H.T)
    keys = jax.random.split(jax.random.key(1), 4000)
    draws = jax.vmap(lambda k: hutchinson(lambda w: w @ H @ w / 2, jnp.ones(4), k))(keys)
    error = np.abs(np.asarray(draws.mean(0)) - np.diag(H))
    assert np.all(error < 5 * np.asarray(draws.std(0)) / np.sqrt(4000) + 1e-6)
