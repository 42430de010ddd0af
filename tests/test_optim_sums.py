"""What theory asks of a schedule is its sum: here are the sums, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, polygamma

from nnlab.optim import schedules
from nnlab.optim.sgd import sgd


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def rates(schedule, steps: int) -> np.ndarray:
    """The first rates, count 0 to steps - 1."""
    return np.asarray(jax.vmap(schedule)(jnp.arange(steps)))


def test_robbins_and_monros_rates_sum_to_infinity_as_a_logarithm_and_their_squares_converge() -> (
    None
):
    value, n, T = 0.3, 7, 100_000
    r = rates(schedules.inverse_time(value=value, half=n), T)
    np.testing.assert_allclose(r.sum(), value * n * (digamma(T + n) - digamma(n)), rtol=1e-12)
    np.testing.assert_allclose(r.sum() - r[: T // 10].sum(), value * n * np.log(10), rtol=1e-3)
    everything = (value * n) ** 2 * polygamma(1, n)
    np.testing.assert_allclose((r**2).sum(), everything, rtol=1e-3)
    assert (r**2).sum() < everything


def test_descent_with_the_rate_one_over_t_is_the_running_mean() -> None:
    """On (w - x_t)^2 / 2 with learning rate 1 / t the weights are the mean of x_1 ... x_t."""
    x = np.random.default_rng(0).normal(size=500)
    tx = sgd(schedules.inverse_time(value=1.0, half=1))

    def step(carry, x):
        w, state = carry
        u, state = tx.update(w - x, state, w)
        return (w + u, state), w + u

    w = jnp.zeros(())
    path = jax.lax.scan(step, (w, tx.init(w)), jnp.asarray(x))[1]
    np.testing.assert_allclose(path, np.cumsum(x) / np.arange(1, 501), rtol=1e-10, atol=1e-12)


def test_inverse_roots_sum_as_a_root_and_their_squares_as_a_logarithm() -> None:
    value, n, T = 0.3, 50, 100_000
    r = rates(schedules.inverse_sqrt(value=value, warmup=n), T)
    np.testing.assert_allclose(r[:n].sum(), value * (n - 1) / 2, rtol=1e-12)
    np.testing.assert_allclose(r.sum() / (2 * value * np.sqrt(n * T)), 1, rtol=0.02)
    late = (r[T // 10 :] ** 2).sum()
    np.testing.assert_allclose(late, value**2 * n * np.log(10), rtol=1e-3)


@pytest.mark.parametrize("n", [1, 10, 137])
def test_half_a_cosine_sums_to_half_a_constant(n: int) -> None:
    """value (n + 1) / 2 over the n steps from value down to, but without, 0."""
    total = rates(schedules.cosine(value=0.3, steps=n), n).sum()
    np.testing.assert_allclose(total, 0.3 * (n + 1) / 2, rtol=1e-12)
    lifted = rates(schedules.cosine(value=0.3, steps=n, end=0.1), n).sum()
    np.testing.assert_allclose(lifted, 0.2 * (n + 1) / 2 + 0.1 * n, rtol=1e-12)


def test_a_line_sums_to_its_mean_times_its_length() -> None:
    r = rates(schedules.linear(value=0.3, end=0.1, steps=40), 41)
    np.testing.assert_allclose(r.sum(), 41 * (0.3 + 0.1) / 2, rtol=1e-12)


@pytest.mark.parametrize("power", [0.5, 2.0, 3.0])
def test_a_polynomial_has_the_mean_of_its_integral(power: float) -> None:
    n = 20_000
    r = rates(schedules.polynomial(value=0.3, end=0.1, steps=n, power=power), n)
    np.testing.assert_allclose(r.mean(), 0.2 / (power + 1) + 0.1, rtol=1e-3)


def test_geometric_rates_sum_to_a_geometric_series() -> None:
    q, T = 0.5 ** (1 / 20), 130
    r = rates(schedules.exponential(value=0.3, steps=20, factor=0.5), T)
    np.testing.assert_allclose(r.sum(), 0.3 * (1 - q**T) / (1 - q), rtol=1e-12)
    stairs = rates(schedules.step(value=0.3, every=20, factor=0.5), 100)
    np.testing.assert_allclose(stairs.sum(), 20 * 0.3 * (1 - 0.5**5) / (1 - 0.5), rtol=1e-12)


def test_a_warm_up_and_half_a_cosine_sum_to_half_of_a_constant_at_the_peak() -> None:
    n, first = 200, 40
    r = rates(schedules.warmup_cosine(start=0.0, peak=0.3, warmup=first, steps=n), n)
    up, down = 0.3 * (first - 1) / 2, 0.3 * (n - first + 1) / 2
    np.testing.assert_allclose(r.sum(), up + down, rtol=1e-12)
    np.testing.assert_allclose(r.sum(), 0.3 * n / 2, rtol=1e-12)
