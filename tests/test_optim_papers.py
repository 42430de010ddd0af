"""Optimizers that optax lacks, or has otherwise, against their papers transcribed in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnlab.optim.adam_variants import acprop, adan
from nnlab.optim.adaptive import rmsprop
from nnlab.optim.averaging import asgd
from nnlab.optim.dual import ftrl
from nnlab.optim.layerwise import lars
from nnlab.optim.parameter_free import cocob
from nnlab.optim.polyak import momo, momo_adam
from nnlab.optim.private import noisy_sgd
from nnlab.optim.sgd import sgd
from nnlab.optim.shampoo import shampoo, soap
from nnlab.optim.sign import rprop
from nnlab.optim.wrappers import mechanize

STEPS = 60
KEY = jax.random.key(0)
rng = np.random.default_rng(0)
A = np.diag([1.0, 0.1, 0.01]) + 0.05 * np.ones((3, 3))
TARGET, START = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))


def slope(w):
    """The gradient of <w - target, A (w - target)> / 2 over the columns."""
    return A @ (w - TARGET)


def ours(tx):
    with jax.enable_x64(True):
        w = jnp.asarray(START, jnp.float64)

        def step(carry, _):
            w, state = carry
            g = jnp.asarray(A) @ (w - jnp.asarray(TARGET))
            u, state = tx.update(g, state, w)
            return (w + u, state), w + u

        (_, state), path = jax.lax.scan(step, (w, tx.init(w)), length=STEPS)
        return np.asarray(path), jax.tree.map(np.asarray, state)


def test_adan_follows_xie_and_others() -> None:
    """Algorithm 1 in the paper's betas, with the bias correction of the authors' code."""
    (b1, b2, b3), eps, lr = (0.02, 0.08, 0.01), 1e-8, 0.05
    w, last, path = START.copy(), slope(START), []
    m, v, n = (np.zeros_like(START) for _ in range(3))
    for k in range(1, STEPS + 1):
        g = slope(w)
        m = (1 - b1) * m + b1 * g
        v = (1 - b2) * v + b2 * (g - last)
        n = (1 - b3) * n + b3 * (g + (1 - b2) * (g - last)) ** 2
        m_hat, v_hat, n_hat = (mean / (1 - (1 - b) ** k) for mean, b in ((m, b1), (v, b2), (n, b3)))
        w, last = w - lr * (m_hat + (1 - b2) * v_hat) / (np.sqrt(n_hat) + eps), g
        path.append(w)
    np.testing.assert_allclose(ours(adan(lr, eps=eps, eps_root=0.0))[0], path, rtol=1e-9)


def test_rprop_follows_igel_and_huesken() -> None:
    w, size, last = START.copy(), np.full_like(START, 0.1), np.zeros_like(START)
    path = []
    for _ in range(STEPS):
        g = slope(w)
        size = np.where(g * last > 0, np.minimum(size * 1.2, 50), size)
        size = np.where(g * last < 0, np.maximum(size * 0.5, 1e-6), size)
        g = np.where(g * last < 0, 0, g)
        w, last = w - np.sign(g) * size, g
        path.append(w)
    np.testing.assert_allclose(ours(rprop(0.1))[0], path, rtol=1e-10)


def test_asgd_follows_torch_and_averages_after_its_start() -> None:
    lr, lambd, alpha, t0 = 0.3, 1e-2, 0.75, 20
    w, mean, eta, mu, path = START.copy(), START.copy(), lr, 1.0, []
    for t in range(1, STEPS + 1):
        g = slope(w)
        w = w * (1 - lambd * eta) - eta * g
        mean = mean + (w - mean) * mu
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / max(1, t - t0)
        path.append(w)
    got, state = ours(asgd(lr, lambd, alpha, float(t0)))
    np.testing.assert_allclose(got, path, rtol=1e-10)
    np.testing.assert_allclose(state.memory.mean, mean, rtol=1e-10)


@pytest.mark.parametrize("power", [0.5, 0.4])
def test_ftrl_follows_mcmahan(power: float) -> None:
    lr, l1, l2, beta = 0.5, 0.05, 0.01, 0.2
    w, z, n, path = START.copy(), np.zeros_like(START), np.full_like(START, 0.1), []
    for _ in range(STEPS):
        g = slope(w)
        sigma = ((n + g * g) ** power - n**power) / lr
        z, n = z + g - sigma * w, n + g * g
        shrunk = np.sign(z) * np.maximum(np.abs(z) - l1, 0)
        w = -shrunk / ((beta + n**power) / lr + 2 * l2)
        path.append(w)
    got, _ = ours(ftrl(lr, l1, l2, power, beta=beta))
    np.testing.assert_allclose(got, path, rtol=1e-9, atol=1e-12)


def test_ftrl_penalty_makes_weights_exactly_zero() -> None:
    got, _ = ours(ftrl(0.5, l1=100.0))
    assert np.all(got[-1] == 0)


def test_shampoo_follows_gupta_koren_singer() -> None:
    def root(matrix, p):
        size, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(size**p) @ vectors.T

    w, path = START.copy(), []
    left, right = 1e-3 * np.eye(3), 1e-3 * np.eye(2)
    for _ in range(STEPS):
        g = slope(w)
        left, right = left + g @ g.T, right + g.T @ g
        w = w - 0.1 * root(left, -0.25) @ g @ root(right, -0.25)
        path.append(w)
    np.testing.assert_allclose(ours(shampoo(0.1, eps=1e-3))[0], path, rtol=1e-8)


def test_shampoo_of_a_rank_one_gradient_is_its_direction() -> None:
    """As eps -> 0, (g g^T)^(-1/4) g (g^T g)^(-1/4) = U V^T."""
    a, b = np.array([3.0, 4.0]) / 5, np.array([1.0, 2.0, 2.0]) / 3
    g = jnp.asarray(7 * np.outer(a, b), jnp.float32)
    tx = shampoo(1.0, eps=1e-4)
    u, _ = tx.update(g, tx.init(g), g)
    np.testing.assert_allclose(u, -np.outer(a, b), atol=2e-3)


def test_soap_follows_vyas() -> None:
    lr, b1, b2, every = 0.05, 0.9, 0.95, 5
    w, m, v, path = START.copy(), np.zeros_like(START), np.zeros_like(START), []
    left, right = np.zeros((3, 3)), np.zeros((2, 2))
    for t in range(STEPS):  # as in the authors' code, the first gradient makes no step
        g = slope(w)
        left, right = b2 * left + (1 - b2) * g @ g.T, b2 * right + (1 - b2) * g.T @ g
        if t == 0:
            P, Q = (np.linalg.eigh(L)[1][:, ::-1] for L in (left, right))
        else:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (P.T @ g @ Q) ** 2
            d = (P.T @ m @ Q) / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
            w = w - lr * P @ d @ Q.T
            if t % every == 0:
                P, Q = np.linalg.qr(left @ P)[0], np.linalg.qr(right @ Q)[0]
        path.append(w)
    np.testing.assert_allclose(ours(soap(lr, b1, b2, refresh=every))[0], path, rtol=1e-6)


def test_soap_turns_its_basis_to_the_axes_of_the_gradients_largest_first() -> None:
    draw = np.random.default_rng(0)
    axes = np.linalg.qr(draw.normal(size=(4, 4)))[0]
    gs = axes @ np.diag([3.0, 1.0, 0.3, 0.1]) @ draw.normal(size=(400, 4, 3))
    tx = soap(0.01, refresh=5)
    state = tx.init(jnp.zeros((4, 3)))
    step = jax.jit(lambda state, g: (tx.update(g, state, g)[1], None))
    state, _ = jax.lax.scan(step, state, jnp.asarray(gs, jnp.float32))
    np.testing.assert_allclose(np.abs(axes.T @ state[0].memory.bases[0]), np.eye(4), atol=0.1)


def test_noise_has_the_announced_variance_and_the_same_draw_at_the_same_step() -> None:
    tx = noisy_sgd(1.0, KEY, eta=0.04, gamma=0.5)
    w = jnp.zeros(40_000)
    state = tx.init(w)
    seen = []
    for _ in range(4):
        u, state = tx.update(w, state, w)
        seen.append(np.asarray(u))
    np.testing.assert_allclose([u.var() for u in seen], 0.04 / np.arange(1, 5) ** 0.5, rtol=0.03)
    np.testing.assert_allclose([u.mean() for u in seen], 0, atol=5e-3)
    assert abs(np.corrcoef(seen[0], seen[1])[0, 1]) < 0.02
    np.testing.assert_array_equal(seen[0], tx.update(w, tx.init(w), w)[0])


def test_noiseless_noisy_sgd_is_sgd() -> None:
    plain = ours(optax.sgd(0.3))[0]
    np.testing.assert_allclose(ours(noisy_sgd(0.3, KEY, eta=0.0))[0], plain, rtol=1e-12)


def steps(tx, gs, w):
    """The updates for given gradients at weights that move, in float64, and the last state."""
    with jax.enable_x64(True):
        w = jnp.asarray(w, jnp.float64)
        state, us = tx.init(w), []
        for g in jnp.asarray(gs, jnp.float64):
            u, state = tx.update(g, state, w)
            w = w + u
            us.append(np.asarray(u))
        return np.stack(us), state


def test_acprop_follows_zhuang_and_others() -> None:
    """Algorithm 2, its first step g alone; of g = 1, 1 the second is 1 / (1 - m) = 1 / 0.9."""
    b1, b2, lr = 0.9, 0.999, 0.05
    w, m, v, path = START.copy(), np.zeros_like(START), np.zeros_like(START), []
    for t in range(STEPS):
        g = slope(w)
        w = w - lr * g / (np.sqrt(v / (1 - b2**t)) if t else 1.0)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (g - m) ** 2
        path.append(w)
    np.testing.assert_allclose(ours(acprop(lr, b1, b2, 0.0, 0.0))[0], path, rtol=1e-9)
    us, _ = steps(acprop(1.0, b1, b2, 0.0, 0.0), np.ones((2, 1)), [0.0])
    np.testing.assert_allclose(us[:, 0], [-1, -1 / 0.9], rtol=1e-12)


def test_lars_follows_you_gitman_and_ginsburg() -> None:
    lr, momentum, trust, decay = 0.5, 0.9, 0.02, 0.1
    w, v, path = START.copy(), np.zeros_like(START), []
    for _ in range(STEPS):
        g, size = slope(w), np.linalg.norm(w)
        local = trust * size / (np.linalg.norm(g) + decay * size)
        v = momentum * v + lr * local * (g + decay * w)
        w = w - v
        path.append(w)
    np.testing.assert_allclose(ours(lars(lr, momentum, trust, 0.0, decay))[0], path, rtol=1e-9)


def test_lars_masks_take_the_decay_or_the_scale_off_an_array() -> None:
    """With w = (3, 4), g = (0, 5): 5 / (5 + 5) of g + w; without decay 5 / 5 of g."""
    names = "both", "undecayed", "unscaled"
    w, g = ({name: jnp.asarray(x) for name in names} for x in ([3.0, 4.0], [0.0, 5.0]))
    masks = ({name: name != without for name in names} for without in names[1:])
    tx = lars(1.0, 0.0, 1.0, 0.0, 1.0, False, *masks)
    u, _ = tx.update(g, tx.init(w), w)
    np.testing.assert_allclose(u["both"], [-1.5, -4.5])
    np.testing.assert_allclose(u["undecayed"], [0.0, -5.0])
    np.testing.assert_allclose(u["unscaled"], [-3.0, -9.0])


def test_momo_with_decay_steps_to_the_minimum_of_its_regularised_model() -> None:
    """(w - 3)^2 / 2 + w^2 / 2 from w = 1 is least at 1.5: tau = 1, w = (1 + 2) / (1 + 1)."""
    w, g = jnp.asarray([1.0]), jnp.asarray([-2.0])
    tx = momo(1.0, weight_decay=1.0)
    u, _ = tx.update(g, tx.init(w), w, value=jnp.float32(2.0))
    np.testing.assert_allclose(w + u, [1.5], rtol=1e-6)


def test_momo_adam_with_decay_divides_the_step_too() -> None:
    """The same from w = 2, a first step of the rate 0.5 against the sign: (2 + 0.5) / (1 + 0.5)."""
    w, g = jnp.asarray([2.0]), jnp.asarray([-1.0])
    tx = momo_adam(0.5, weight_decay=1.0)
    u, _ = tx.update(g, tx.init(w), w, value=jnp.float32(0.5))
    np.testing.assert_allclose(w + u, [2.5 / 1.5], rtol=1e-5)


def test_cocobs_rate_multiplies_its_step() -> None:
    """After g = 1, L = S = 1 and R = 0 make a stake of 1 / max(1 + 1, 100); no rate, no step."""
    us, _ = steps(cocob(0.5), [[1.0]], [3.0])
    np.testing.assert_allclose(us, [[-0.005]], rtol=1e-12)
    us, _ = steps(cocob(lambda t: jnp.where(t < 1, 1.0, 0.0)), [[1.0], [2.0]], [3.0])
    np.testing.assert_allclose(us, [[-0.01], [0.0]], rtol=1e-12)


def test_centred_rmsprop_begins_as_if_it_were_not() -> None:
    """g = 3, 1 with decay 1/2: first 3 / sqrt(9), then 1 / sqrt(11/3 - (5/3)^2) = 3 / sqrt(8)."""
    tx = rmsprop(1.0, 0.5, 0.0, centered=True, bias_correction=True)
    us, _ = steps(tx, [[3.0], [1.0]], [0.0])
    np.testing.assert_allclose(us[:, 0], [-1, -3 / np.sqrt(8)], rtol=1e-12)


def test_mechanics_bettors_that_lost_all_begin_again_at_nothing() -> None:
    """Cutkosky and others' algorithm 1 around sgd(1), with optax's clip by the m of before."""
    decays, start, weight_decay, eps = 3, 1e-2, 0.01, 1e-8
    turning = np.where(np.arange(STEPS) % 20 < 10, 1, -1)[:, None]
    gs = turning + np.random.default_rng(1).normal(size=(STEPS, 2))
    b = 1 - 0.1 ** np.arange(1, decays + 1)
    r, m, v, s = (np.full(decays, x) for x in (0.0, 0.0, 0.0, start))
    first = w = np.array([1.0, -2.0])
    path, lowest = [], 0.0
    for g in gs:
        total = s.sum()
        delta = (w - first) / (total + eps)
        pull = weight_decay * total * np.linalg.norm(g) / (np.linalg.norm(w) + eps) * w
        c = (g + pull) @ delta
        lost = b * r - s * np.clip(c, -m, m)
        lowest = min(lowest, lost.min())
        r, m = np.maximum(lost, 0), np.maximum(b * m, np.abs(c) + eps)
        v = b**2 * v + c**2
        s = (start / decays * m + r) / (np.sqrt(v) + eps)
        w = first + s.sum() * (delta - g)
        path.append(w)
    assert lowest < -1e-3, "some bettor should have lost more than it had"
    tx = mechanize(sgd(1.0), weight_decay, eps, start, decays)
    us, state = steps(tx, gs, first)
    np.testing.assert_allclose(first + np.cumsum(us, 0), path, rtol=1e-8)
    np.testing.assert_allclose(state.memory.r, r, rtol=1e-8)
