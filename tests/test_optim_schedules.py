"""Schedules equal optax's where it has them, else closed forms; their numbers may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnlab.optim import adam, schedules

COUNTS = jnp.arange(130)


def rates(schedule):
    return np.asarray(jax.jit(jax.vmap(schedule))(COUNTS))


def optax_rates(schedule):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return np.asarray([schedule(int(c)) for c in COUNTS])


PAIRS = {
    "constant": (schedules.constant(0.3), optax.constant_schedule(0.3)),
    "linear": (schedules.linear(0.3, 50, 0.1, 7), optax.linear_schedule(0.3, 0.1, 50, 7)),
    "polynomial": (
        schedules.polynomial(0.3, 70, 0.01, 2.5, 10),
        optax.polynomial_schedule(0.3, 0.01, 2.5, 70, 10),
    ),
    "exponential": (
        schedules.exponential(0.3, 20, 0.5, 5),
        optax.exponential_decay(0.3, 20, 0.5, 5),
    ),
    "exponential in stairs, bounded": (
        schedules.exponential(0.3, 20, 0.5, staircase=True, end=0.05),
        optax.exponential_decay(0.3, 20, 0.5, staircase=True, end_value=0.05),
    ),
    "exponential growth, bounded": (
        schedules.exponential(0.3, 20, 1.5, end=0.7),
        optax.exponential_decay(0.3, 20, 1.5, end_value=0.7),
    ),
    "cosine": (
        schedules.cosine(0.3, 100, 0.03, 1.5),
        optax.cosine_decay_schedule(0.3, 100, 0.1, 1.5),
    ),
    "piecewise constant": (
        schedules.piecewise_constant(0.3, [10, 50], [0.1, 5.0]),
        optax.piecewise_constant_schedule(0.3, {10: 0.1, 50: 5.0}),
    ),
    "piecewise linear": (
        schedules.piecewise_interpolate(0.3, [10, 50], [0.1, 5.0]),
        optax.piecewise_interpolate_schedule("linear", 0.3, {10: 0.1, 50: 5.0}),
    ),
    "piecewise cosine": (
        schedules.piecewise_interpolate(0.3, [10, 50], [0.1, 5.0], cosine=True),
        optax.piecewise_interpolate_schedule("cosine", 0.3, {10: 0.1, 50: 5.0}),
    ),
    "linear one-cycle": (
        schedules.linear_onecycle(0.3, 100),
        optax.linear_onecycle_schedule(100, 0.3),
    ),
    "cosine one-cycle": (
        schedules.cosine_onecycle(0.3, 100),
        optax.cosine_onecycle_schedule(100, 0.3),
    ),
    "warm-up constant": (
        schedules.warmup_constant(0.3, 20, 0.0),
        optax.warmup_constant_schedule(0.0, 0.3, 20),
    ),
    "warm-up cosine": (
        schedules.warmup_cosine(0.3, 100, 20, 0.0, 0.01),
        optax.warmup_cosine_decay_schedule(0.0, 0.3, 20, 100, 0.01),
    ),
    "warm-up exponential": (
        schedules.warmup_exponential(0.3, 30, 0.5, 20, 0.0, 3, end=0.05),
        optax.warmup_exponential_decay_schedule(0.0, 0.3, 20, 30, 0.5, 3, end_value=0.05),
    ),
    "restarts": (
        schedules.sgdr(
            [
                {"start": 0.0, "peak": 0.3, "warmup": 5, "steps": 40},
                {"start": 0.1, "peak": 0.2, "warmup": 5, "steps": 60, "end": 0.01},
            ]
        ),
        optax.sgdr_schedule(
            [
                {"init_value": 0.0, "peak_value": 0.3, "warmup_steps": 5, "decay_steps": 40},
                {
                    "init_value": 0.1, "peak_value": 0.2, "warmup_steps": 5, "decay_steps": 60,
                    "end_value": 0.01,
                },
            ]
        ),
    ),
    "join": (
        schedules.join([schedules.constant(0.1), schedules.linear(0.2, 30)], [10]),
        optax.join_schedules(
            [optax.constant_schedule(0.1), optax.linear_schedule(0.2, 0.0, 30)], [10]
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_schedule_equals_optax_at_every_step(ours, theirs) -> None:
    np.testing.assert_allclose(rates(ours), optax_rates(theirs), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (schedules.step(0.5, 0.1, 30), lambda t: 0.5 * 0.1 ** (t // 30)),
        (schedules.inverse_time(0.5, 10), lambda t: 0.5 / (1 + t / 10)),
        (
            schedules.inverse_sqrt(0.5, 16),
            lambda t: np.where(t < 16, 0.5 * t / 16, 2 / np.sqrt(np.maximum(t, 16))),
        ),
    ],
    ids=["step", "1/t", "1/sqrt(t)"],
)
def test_schedule_equals_its_formula(schedule, formula) -> None:
    np.testing.assert_allclose(rates(schedule), formula(np.arange(130)), rtol=1e-5)


TRACED = {
    "polynomial": lambda x: schedules.polynomial(0.3, 50 + x, x, 1 + x, x),
    "exponential": lambda x: schedules.exponential(x, 20 + x, x, 5, staircase=x > 0.4, end=0.01),
    "cosine": lambda x: schedules.cosine(0.3, 50 + x, x / 9, 1 + x),
    "one-cycle": lambda x: schedules.linear_onecycle(x, 100.0 + x, final=x / 2 + 0.4),
    "warm-up, stable, decay": lambda x: schedules.warmup_stable_decay(
        0.3, 100 + x, 20 * x, 0.2 + x, x, x, 0.5 + x
    ),
    "warm-up cosine": lambda x: schedules.warmup_cosine(0.3, 100 + x, 20 * x, x),
    "1/sqrt(t)": lambda x: schedules.inverse_sqrt(x, 20 * x),
    "piecewise": lambda x: schedules.piecewise_interpolate(x, [10 * x, 70], [x, 2.0], x > 0.4),
}


@pytest.mark.parametrize("make", TRACED.values(), ids=TRACED)
def test_vmapped_numbers_give_the_rates_of_separate_schedules(make) -> None:
    xs = jnp.asarray([0.2, 0.3, 0.5])
    one = jax.jit(lambda x: jax.vmap(make(x))(COUNTS))
    lifted = jax.jit(jax.vmap(one))(xs)
    for x, row in zip(xs, lifted, strict=True):
        np.testing.assert_allclose(row, one(x), rtol=1e-4, atol=1e-7)


def test_optimizer_reads_its_schedule_from_count_zero() -> None:
    seen = schedules.piecewise_constant(1.0, [1, 2], [0.5, 0.5])
    tx, w, g = adam(seen), jnp.ones(3), jnp.ones(3)
    state, sizes = tx.init(w), []
    for _ in range(3):
        u, state = tx.update(g, state, w)
        sizes.append(float(-u[0]))
    np.testing.assert_allclose(sizes, [1.0, 0.5, 0.25], rtol=1e-4)


@pytest.mark.parametrize("cycle", [schedules.cosine_onecycle, schedules.linear_onecycle])
@pytest.mark.parametrize("divisor", [1e4, 1e6, 1e8])
def test_a_cycle_ends_at_its_end_however_far_below_the_peak(cycle, divisor):
    for peak in (0.37, 0.1, 3.0):
        rate = cycle(peak, 100, final_divisor=divisor)
        np.testing.assert_allclose(rate(100), peak / 25 / divisor, rtol=1e-5)


def test_a_schedule_begins_at_its_value_however_far_below_its_end():
    np.testing.assert_allclose(schedules.warmup_constant(0.1, 10, 1e-8)(0), 1e-8, rtol=1e-6)
    np.testing.assert_allclose(schedules.polynomial(1e-9, 100, 1.0)(0), 1e-9, rtol=1e-6)


def test_a_curve_that_does_not_fall_stays_where_it_is():
    assert schedules.exponential(0.1, 10, 1.0, end=1e-3)(5) == jnp.float32(0.1)


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_a_stable_rate_falls_in_the_last_share_of_the_steps(power):
    r = rates(schedules.warmup_stable_decay(0.3, 100, 20, 0.25, 0.1, 0.03, power))
    np.testing.assert_allclose(r[:21], np.linspace(0.1, 0.3, 21), rtol=1e-6)
    np.testing.assert_allclose(r[20:76], 0.3, rtol=1e-6)
    gone = (np.arange(26) / 25) ** power
    np.testing.assert_allclose(r[75:101], 0.3 * (1 - gone) + 0.03 * gone, rtol=1e-5)
    np.testing.assert_allclose(r[100:], 0.03, rtol=1e-5)
    np.testing.assert_array_equal(
        rates(schedules.warmup_stable_decay(0.3, 100, 0, 0.0))[:100], r[20]
    )
