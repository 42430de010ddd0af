"""Optimizers where formulas cancel, divide 0 by 0, stop at size 0, or stand around one another."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from nnlab.errors import UsageError
from nnlab.optim import NEEDS, OPTIMIZERS, clipping
from nnlab.optim.adam import adam
from nnlab.optim.adam_variants import radam
from nnlab.optim.averaging import asgd
from nnlab.optim.core import evaluated, filled
from nnlab.optim.dual import ftrl
from nnlab.optim.galore import galore
from nnlab.optim.parameter_free import cocob, prodigy
from nnlab.optim.schedule_free import schedule_free_sgd
from nnlab.optim.sgd import sgd
from nnlab.optim.shampoo import soap
from nnlab.optim.sophia import sophia
from nnlab.optim.wrappers import accumulate, apply_if_finite, average_weights, lookahead, sam
from nnlab.parity.compare import lenient

KEY = jax.random.key(0)


def normal(*shape):
    """Drawn anew for each test, so that none depends on another."""
    return np.random.default_rng(0).normal(size=shape)


def updates(tx, gs, dtype=jnp.float32, w=None):
    """The updates for a sequence of gradients, the weights moving or held at w."""
    gs = jnp.asarray(np.asarray(gs), dtype)
    start = jnp.zeros(gs.shape[1:], dtype) if w is None else jnp.asarray(w, dtype)

    def step(carry, g):
        at, state = carry
        u, state = tx.update(g, state, at)
        return (at if w is not None else at + u, state), u

    run = jax.jit(lambda w: jax.lax.scan(step, (w, tx.init(w)), gs)[1])
    return np.asarray(run(start), np.float64)


def exactly(make, gs, **more):
    """The same in float64."""
    with jax.enable_x64(True):
        return updates(make(), gs, jnp.float64, **more)


def test_soaps_first_gradient_moves_nothing_and_one_that_returns_steps_by_its_directions() -> None:
    """In the eigenbasis of g g^T and g^T g the gradient is diagonal: Adam makes it U V^T."""
    g = normal(32, 32)
    left, _, right = np.linalg.svd(g)
    us = updates(soap(1.0), [g] * 4)
    np.testing.assert_array_equal(us[0], 0)
    for u in us[1:]:
        np.testing.assert_allclose(u, -left @ right, atol=1e-3)


@pytest.mark.parametrize("refresh", [1, 3])
def test_soap_in_float32_follows_float64(refresh: int) -> None:
    gs = normal(8, 6, 6)  # of full rank: a null space has no basis of its own
    found = updates(soap(1.0, refresh=refresh), gs)
    expected = exactly(lambda: soap(1.0, refresh=refresh), gs)
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_soap_looks_at_no_gradient_in_a_basis_made_of_it() -> None:
    """Two steps in: the basis is still the first gradient's, whatever the second one was."""
    gs = normal(2, 4, 4)
    expected = exactly(lambda: soap(1.0, refresh=5), gs)[1]
    found = exactly(lambda: soap(1.0, refresh=1), gs)[1]
    left, _, right = np.linalg.svd(gs[0])
    turned = left.T @ gs[1] @ right.T
    np.testing.assert_allclose(found, -left @ np.sign(turned) @ right, rtol=1e-4)
    np.testing.assert_array_equal(found, expected)


BETAS = [0.9, 0.99, 0.999, 0.9999, 0.99999]
KINDS = pytest.mark.parametrize("kind", [float, jnp.float32], ids=["python", "traced"])


@KINDS
@pytest.mark.parametrize("beta2", BETAS)
def test_radam_in_float32_rectifies_as_in_float64(beta2: float, kind) -> None:
    """Liu et al.'s algorithm 2 transcribed, from a constant gradient: the step is r, or 1 before.

    Before rho reaches 5 radam follows the mean.
    """
    t = np.arange(1.0, 51)
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf + 2 * t * beta2**t / np.expm1(t * np.log1p(beta2 - 1))
    top = (rho - 4) * (rho - 2) * rho_inf
    r = np.sqrt(np.maximum(top / ((rho_inf - 4) * (rho_inf - 2) * rho), 0))
    found = -updates(radam(1.0, beta2=kind(beta2), eps=kind(0.0)), np.ones(50))
    np.testing.assert_allclose(found, np.where(rho >= 5, r, 1), rtol=0.01)


@KINDS
@pytest.mark.parametrize("beta2", [*BETAS, 0.999999])
def test_adam_on_a_constant_gradient_steps_by_its_rate(beta2: float, kind) -> None:
    found = -updates(adam(1.0, beta2=kind(beta2), eps=kind(0.0)), np.ones(200))
    np.testing.assert_allclose(found, 1, rtol=2e-5)


def test_the_weights_of_a_running_mean_add_up_to_what_it_is_corrected_by() -> None:
    t = np.arange(1.0, 1001)
    for beta in (0.0, 0.3, 0.9, 0.999, 1 - 2.0**-20):
        found = filled(jnp.float32(beta), jnp.asarray(t, jnp.float32))
        given = (1 - np.float64(np.float32(beta))) * np.float64(np.float32(beta)) ** (t - 1)
        np.testing.assert_allclose(found, np.cumsum(given), rtol=1e-5)


def test_radam_refuses_a_threshold_at_which_its_root_is_negative() -> None:
    with pytest.raises(UsageError, match="threshold is 3; it needs threshold >= 4"):
        radam(0.1, threshold=3)
    assert np.isfinite(updates(radam(0.1, threshold=4.0), np.ones(20))).all()


def falling(count):
    """A rate of 0 at first, as in warm-up; then one that jumps up and falls."""
    return jnp.where(count < 2, 0.0, 1 / (1 + count % 5).astype(jnp.float32))


def test_ftrl_with_a_changing_rate_follows_mcmahan() -> None:
    """sigma_t = 1 / eta_t - 1 / eta_(t-1), and w the minimiser of the sum of all gradients' models.

    With l1 = l2 = 0: sum_s g_s + sum_s sigma_s (w - w_s) = 0, here from v = 0 where sigma_1 is all
    of 1 / eta_1; that is w_t = w_(t-1) - eta_t g_t.
    """
    rates, gs = [0.5, 0.1, 0.7, 0.2, 0.2], normal(5, 3)
    for beta in (0.0, 0.3):

        def make(beta=beta):
            def rate(t):
                return jnp.asarray(rates)[t]

            return ftrl(rate, initial_accumulator=0.0, beta=beta)

        eta = np.asarray(rates)[:, None] / (beta + np.sqrt(np.cumsum(gs**2, 0)))
        expected = -eta * gs
        if beta:  # the start has a pull of its own, towards 0: here the weights begin there
            expected[0] = exactly(make, gs)[0]
        np.testing.assert_allclose(exactly(make, gs), expected, rtol=1e-9)


def test_ftrl_without_a_gradient_stays_whatever_the_rate_does() -> None:
    gs = np.concatenate([normal(4, 3), np.zeros((8, 3))])
    us = exactly(lambda: ftrl(falling), gs)
    assert np.abs(us[2:4]).min() > 1e-3
    np.testing.assert_allclose(us[4:], 0, atol=1e-13)


def test_ftrl_at_rate_0_makes_no_step_and_remembers_nothing() -> None:
    gs = normal(6, 3)
    us = exactly(lambda: ftrl(falling), gs)
    np.testing.assert_array_equal(us[:2], 0)
    later = exactly(lambda: ftrl(lambda count: falling(count + 2)), gs[2:])
    np.testing.assert_allclose(us[2:], later, rtol=1e-12)
    w = updates(ftrl(0.0), gs, w=np.ones(3))
    np.testing.assert_array_equal(w, 0)


def test_ftrl_from_no_squares_stays_where_nothing_has_pulled() -> None:
    us = updates(ftrl(0.1, initial_accumulator=0.0), [[0.0, 2.0]] * 3, w=[3.0, 3.0])
    np.testing.assert_array_equal(us[:, 0], 0)
    np.testing.assert_allclose(us[0, 1], -0.1, rtol=1e-5)  # -eta g / |g|


def curved(learning_rate, refresh):
    """Sophia with curvatures large enough that nothing is clipped."""
    return sophia(learning_rate, KEY, gamma=10.0, clip=1e3, refresh=refresh)


@pytest.mark.parametrize(
    "make",
    [soap, galore, curved],
    ids=["soap", "galore", "sophia"],
)
def test_a_basis_is_renewed_every_whole_number_of_steps(make) -> None:
    gs = normal(9, 4, 3)

    def path(refresh):
        tx = optax.with_extra_args_support(make(0.1, refresh=refresh))
        w = jnp.asarray(gs[0], jnp.float32)
        state, us = tx.init(w), []
        for g in jnp.asarray(gs, jnp.float32):
            u, state = tx.update(g, state, w, obj_fn=lambda w: jnp.sum(w**4))
            w = w + u
            us.append(u)
        return np.stack(us)

    np.testing.assert_array_equal(path(2.7), path(2))
    np.testing.assert_array_equal(path(jnp.float32(2.7)), path(2))
    assert np.abs(path(2) - path(50)).max() > 1e-4
    with pytest.raises(UsageError, match="refresh is 0; it needs 1 or more"):
        make(0.1, refresh=0)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4)])
def test_galore_projects_the_shorter_side_so_that_its_length_as_rank_loses_nothing(shape) -> None:
    """With a huge eps Adam is linear: the step of rank k is P P^T g, P of the first gradient."""
    big, gs = 1e8, normal(3, *shape)
    for rank in (2, min(shape)):
        us = -big * exactly(lambda: galore(1.0, 0.0, 0.0, eps=big, rank=rank), gs)  # noqa: B023
        left, _, right = np.linalg.svd(gs[0], full_matrices=False)
        rows, columns = left[:, :rank], right[:rank].T
        for u, g in zip(us, gs, strict=True):
            tall = shape[0] > shape[1]
            expected = g @ columns @ columns.T if tall else rows @ rows.T @ g
            np.testing.assert_allclose(u, expected, rtol=1e-5, atol=1e-6)
            if rank == min(shape):
                np.testing.assert_allclose(u, g, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
def test_galore_is_optaxs_on_the_square_that_a_matrix_fills_in_part(shape) -> None:
    """optax projects the longer side, and the rows of a square; nnlab the shorter one.

    One basis for all steps: the signs of a second one would be another's choice.
    """
    gs = normal(10, *shape)
    numbers = {"rank": 3, "scale": 0.7}
    found = updates(galore(0.1, **numbers), gs)
    wide = gs if shape[0] <= shape[1] else gs.swapaxes(1, 2)
    square = np.zeros((10, max(shape), max(shape)))
    square[:, : wide.shape[1], : wide.shape[2]] = wide
    with lenient():
        theirs = updates(contrib.galore(0.1, **numbers), square)
    theirs = theirs[:, : wide.shape[1], : wide.shape[2]]
    theirs = theirs if shape[0] <= shape[1] else theirs.swapaxes(1, 2)
    np.testing.assert_allclose(found, theirs, atol=2e-5)


INNER = {
    "asgd": lambda: asgd(0.1, start=0.0),
    "schedule_free": lambda: schedule_free_sgd(0.1),
    "lookahead": lambda: lookahead(sgd(0.1), 3),
    "average": lambda: optax.chain(sgd(0.1), average_weights(0.9)),
}


@pytest.mark.parametrize("make", INNER.values(), ids=INNER)
def test_an_average_around_another_is_the_one_evaluated(make) -> None:
    tx = optax.chain(make(), average_weights(0.5))
    w = jnp.asarray([3.0, -1.0])
    state, path = tx.init(w), []
    for _ in range(5):
        u, state = tx.update(w, state, w)
        w = w + u
        path.append(np.asarray(w))
    expected = np.average(path, 0, 0.5 ** np.arange(4.0, -1, -1))
    np.testing.assert_allclose(evaluated(state, w), expected, rtol=1e-5)


def test_an_average_inside_of_sam_is_one_of_homes_and_outside_one_of_all_places() -> None:
    w = jnp.asarray([3.0, -4.0])

    def walk(tx):
        at, state, path = w, tx.init(w), []
        for _ in range(6):
            u, state = tx.update(at, state, at)
            at = at + u
            path.append(np.asarray(at))
        return evaluated(state, at), path

    inside, path = walk(sam(optax.chain(sgd(0.1), average_weights(0.5)), 0.5))
    np.testing.assert_allclose(inside, np.average(path[1::2], 0, [1, 2, 4]), rtol=1e-5)
    outside, path = walk(optax.chain(sam(sgd(0.1), 0.5), average_weights(0.5)))
    np.testing.assert_allclose(outside, np.average(path, 0, 2.0 ** np.arange(6)), rtol=1e-5)


def test_wrappers_of_an_optimizer_that_needs_no_weights_need_none() -> None:
    inner = optax.sgd(0.1)
    pairs = (
        (accumulate(inner, 2), optax.MultiSteps(inner, 2), 4.0),
        (apply_if_finite(inner, 2), optax.apply_if_finite(inner, 2), np.nan),
    )
    for ours, theirs, second in pairs:
        gs = jnp.asarray([[1.0, 2.0], [3.0, second], [5.0, 6.0]])
        a, b = ours.init(gs[0]), theirs.init(gs[0])
        for g in gs:
            u, a = ours.update(g, a)
            with lenient():
                v, b = theirs.update(g, b)
            np.testing.assert_allclose(u, v, rtol=1e-6)


def test_wrappers_of_an_optimizer_that_needs_weights_ask_for_them() -> None:
    decayed = OPTIMIZERS["adamw"](0.1)
    for tx in (accumulate(decayed, 2), apply_if_finite(decayed, 2)):
        with pytest.raises(UsageError, match="the weights"):
            tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_by_default_a_gradient_that_is_not_finite_is_skipped_until_it_comes_too_often() -> None:
    us = updates(apply_if_finite(sgd(0.1)), [1.0, *[np.nan] * 5, 2.0, *[np.nan] * 6])
    np.testing.assert_allclose(us, -0.1 * np.array([1, *[0] * 5, 2, *[0] * 5, np.nan]), rtol=1e-6)


def test_clipping_to_0_leaves_0() -> None:
    for tx in (clipping.clip_norm(0.0), clipping.clip_block_rms(0.0), clipping.clip_values(0.0)):
        np.testing.assert_array_equal(updates(tx, [[0.0, 0.0], [3.0, 4.0]]), 0)


def test_a_clipped_gradient_that_is_not_finite_stays_so() -> None:
    us = updates(clipping.clip_norm(1.0), [[np.nan, 1.0], [np.inf, 1.0]])
    np.testing.assert_array_equal(us, [[np.nan, np.nan], [np.nan, 0]])


def construct(name, **numbers):
    parameters = inspect.signature(OPTIMIZERS[name]).parameters
    if parameters["learning_rate"].default is inspect.Parameter.empty:
        numbers["learning_rate"] = 0.1
    if "weight_decay" in parameters:
        numbers["weight_decay"] = 0.0
    if "key" in NEEDS.get(name, ()):
        numbers["key"] = KEY
    return optax.with_extra_args_support(OPTIMIZERS[name](**numbers))


TOLD = {
    "value": jnp.float32(1.0),
    "value_fn": lambda _: jnp.float32(1.0),
    "obj_fn": lambda w: 0 * sum(jnp.sum(x) for x in w.values()),
}
WITH_EPS = sorted(
    name for name, f in OPTIMIZERS.items() if "eps" in inspect.signature(f).parameters
)


@KINDS
@pytest.mark.parametrize("name", WITH_EPS)
def test_without_an_eps_what_has_no_gradient_stays(name: str, kind) -> None:
    """Yogi's means start above 0, so it moves; it must but stay finite."""
    tx = construct(name, eps=kind(0.0))
    w = {"matrix": jnp.ones((4, 3)), "vector": jnp.ones(3), "number": jnp.ones(())}
    g, state = jax.tree.map(jnp.zeros_like, w), tx.init(w)
    update = jax.jit(lambda g, state: tx.update(g, state, w, grad=g, **TOLD))
    for _ in range(3):
        u, state = update(g, state)
        for x in jax.tree.leaves(u):
            np.testing.assert_allclose(x, 0, atol=1e-4 if name == "yogi" else 0)


@KINDS
def test_an_eps_of_0_is_below_every_rounding_error_of_a_gradient(kind) -> None:
    for scale in (1e-9, 1.0, 1e9):
        us = updates(adam(1.0, eps=kind(0.0)), [[scale, -scale, 0.0]] * 2)
        np.testing.assert_allclose(us, [[-1, 1, 0]] * 2, rtol=1e-5)
    tiny = updates(adam(1.0, eps=kind(0.0)), [[1e-25]])  # its square is 0 in float32
    assert 0 < -tiny[0] <= 1


def test_cocob_bets_nothing_before_its_first_gradient_even_without_an_eps() -> None:
    us = updates(cocob(eps=0.0), [[0.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(us[:, 0], 0)
    assert us[1, 1] < 0


def test_a_number_beyond_float32_is_infinite_there() -> None:
    us = updates(OPTIMIZERS["rprop"](0.1, max_step=1e300), np.ones(3))
    np.testing.assert_allclose(us, -0.1 * 1.2 ** np.arange(3), rtol=1e-5)


def test_a_distance_of_0_is_refused() -> None:
    with pytest.raises(UsageError, match="initial_distance is 0; it needs initial_distance > 0"):
        prodigy(initial_distance=0.0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,), (2, 0, 3)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_array_without_numbers_takes_part_in_every_step(name: str, shape) -> None:
    tx = construct(name)
    w = {"empty": jnp.zeros(shape), "full": jnp.asarray([[3.0, -1.0], [2.0, 0.5]])}
    told = TOLD | {"value_fn": lambda w: jnp.sum(w["full"] ** 2) / 2}
    u, state = jax.eval_shape(lambda: tx.update(w, tx.init(w), w, grad=w, **told))
    assert u["empty"].shape == shape
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(w))
