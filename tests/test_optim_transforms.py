"""Transformations around optimizers: optax's where it has them, else true to their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from nnlab.errors import UsageError
from nnlab.optim import clipping, private, transforms, wrappers
from nnlab.optim.adam import adam, adamw
from nnlab.optim.core import Nothing, State, evaluated
from nnlab.optim.schedule_free import average, schedule_free, schedule_free_sgd
from nnlab.optim.sgd import momentum, sgd
from nnlab.parity.compare import lenient, quick
from nnlab.parity.problems import PROBLEMS
from nnlab.trees import flatten, unflatten

KEY = jax.random.key(0)
PROBLEM = PROBLEMS["network"]


def path(tx, steps=25, told=()):
    """Some steps on the network in float64; the weights after each."""
    tx = optax.with_extra_args_support(tx)
    w = PROBLEM.begin(jnp.float64)

    def step(carry, _):
        w, state = carry
        value, g = jax.value_and_grad(PROBLEM.loss)(w)
        known = {"value": value, "grad_fn": lambda w, _: jax.grad(PROBLEM.loss)(w)}
        u, state = tx.update(g, state, w, **{k: known[k] for k in told})
        w = optax.apply_updates(w, u)
        return (w, state), w

    run = jax.jit(
        lambda w: jax.lax.scan(step, (w, tx.init(w)), length=steps),
        compiler_options=quick(),
    )
    return run(w)


def assert_same(ours, theirs, rtol=1e-9, told=()):
    with jax.enable_x64(True):
        (_, _), a = path(ours, told=told)
        with lenient():
            (_, _), b = path(theirs, told=told)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


def adversary(radius):
    return optax.chain(contrib.normalize(), optax.sgd(radius))


PAIRS = {
    "clip_values": (clipping.clip_values(0.01), optax.clip(0.01)),
    "clip_norm": (clipping.clip_norm(0.1), optax.clip_by_global_norm(0.1)),
    "clip_block_rms": (clipping.clip_block_rms(0.01), optax.clip_by_block_rms(0.01)),
    "clip_adaptive": (clipping.clip_adaptive(0.01), optax.adaptive_grad_clip(0.01)),
    "l2": (transforms.l2(0.1, None), optax.add_decayed_weights(0.1)),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_gradient_transformation_equals_optax(ours, theirs) -> None:
    assert_same(optax.chain(ours, momentum(0.3)), optax.chain(theirs, optax.sgd(0.3, 0.9)))


def test_centralized_gradients_of_each_units_incoming_weights_sum_to_nothing() -> None:
    """optax reads a matrix as [out, in], nnlab as [in, out]."""
    random = np.random.default_rng(0)
    g = {"w": jnp.asarray(random.normal(size=(5, 3))), "b": jnp.ones(3)}
    u, _ = clipping.centralize().update(g, clipping.centralize().init(g))
    np.testing.assert_allclose(u["w"].sum(0), 0, atol=1e-6)
    np.testing.assert_array_equal(u["b"], g["b"])
    theirs, _ = optax.centralize().update({"w": g["w"].T}, optax.centralize().init(g))
    np.testing.assert_allclose(u["w"], theirs["w"].T, rtol=1e-6)
    kernel = jnp.asarray(random.normal(size=(3, 3, 2, 4)))
    u, _ = clipping.centralize().update(kernel, clipping.centralize().init(kernel))
    np.testing.assert_allclose(u.sum((0, 1, 2)), 0, atol=1e-5)


AROUND = {
    "accumulate": (
        wrappers.accumulate(momentum(0.3), 4),
        optax.MultiSteps(optax.sgd(0.3, 0.9), 4, accumulator_dtype="float64"),
        (),
    ),
    "apply_if_finite": (
        wrappers.apply_if_finite(momentum(0.3), 2),
        optax.apply_if_finite(optax.sgd(0.3, 0.9), 2),
        (),
    ),
    "mechanize": (
        wrappers.mechanize(momentum(0.1), initial_scale=1e-3),
        contrib.mechanize(optax.sgd(0.1, 0.9), s_init=1e-3),
        (),
    ),
    "sam, transparent": (
        wrappers.sam(momentum(0.3), 0.1, 3),
        contrib.sam(optax.sgd(0.3, 0.9), adversary(0.1), 3),
        (),
    ),
    "sam, opaque": (
        wrappers.sam(momentum(0.3), 0.1, 2, opaque=True),
        contrib.sam(optax.sgd(0.3, 0.9), adversary(0.1), 2, opaque_mode=True),
        ("grad_fn",),
    ),
    "schedule_free": (
        schedule_free(adam(0.1, beta1=0.0), 0.1),
        contrib.schedule_free(optax.adam(0.1, b1=0.0), 0.1),
        (),
    ),
    "reduce_on_plateau": (
        optax.chain(sgd(8.0), wrappers.reduce_on_plateau(0.5, 1, 1e-2, cooldown=2, window=2)),
        optax.chain(
            optax.sgd(8.0),
            contrib.reduce_on_plateau(0.5, 1, 1e-2, cooldown=2, accumulation_size=2),
        ),
        ("value",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "told"), AROUND.values(), ids=AROUND)
def test_wrapped_optimizer_follows_optax(ours, theirs, told) -> None:
    assert_same(ours, theirs, 1e-8, told)


def test_lookahead_follows_the_fast_weights_of_optax() -> None:
    ours = wrappers.lookahead(momentum(0.3), 4, 0.5)
    theirs = optax.lookahead(optax.sgd(0.3, 0.9), 4, 0.5)
    with jax.enable_x64(True):
        (_, _), a = path(ours)
        w = optax.LookaheadParams.init_synced(PROBLEM.begin(jnp.float64))
        state = theirs.init(w)
        for k in range(25):
            with lenient():
                u, state = theirs.update(jax.grad(PROBLEM.loss)(w.fast), state, w)
                w = optax.apply_updates(w, u)
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(w.fast), strict=True):
                np.testing.assert_allclose(x[k], y, rtol=1e-9)


def test_decoupled_decay_after_adam_is_adamw() -> None:
    after = optax.chain(adam(0.03), transforms.decoupled_weight_decay(0.1, 0.03, mask=None))
    assert_same(after, adamw(0.03, weight_decay=0.1))


def test_penalties_touch_matrices_and_spare_biases() -> None:
    w = {"w": jnp.full((2, 2), -2.0), "b": jnp.full(2, -2.0)}
    zero = jax.tree.map(jnp.zeros_like, w)
    for tx, pull in [
        (transforms.l2(0.1), -0.2),
        (transforms.l1(0.1), -0.1),
        (transforms.elastic_net(0.1, 0.1), -0.3),
        (transforms.decoupled_weight_decay(0.1, 0.5), 0.1),
    ]:
        u, _ = tx.update(zero, tx.init(w), w)
        np.testing.assert_allclose(u["w"], pull, rtol=1e-6)
        np.testing.assert_array_equal(u["b"], 0)


def test_mask_by_name_picks_arrays_by_their_path() -> None:
    w = {"layers": [{"w": jnp.ones(2), "bias": jnp.ones(2)}]}
    mask = wrappers.by_name(lambda name: name.endswith("bias"))
    assert mask(w) == {"layers": [{"w": False, "bias": True}]}
    seen = []
    wrappers.by_name(lambda name: seen.append(name) or True)(w)
    assert seen == ["layers/0/bias", "layers/0/w"]
    tx = transforms.l2(1.0, mask)
    u, _ = tx.update(w, tx.init(w), w)
    np.testing.assert_array_equal(u["layers"][0]["bias"], 2)
    np.testing.assert_array_equal(u["layers"][0]["w"], 1)


def test_max_norm_projects_every_unit_onto_its_ball() -> None:
    tx = optax.chain(sgd(1.0), transforms.max_norm(1.5))
    w = jnp.asarray([[3.0, 0.3], [4.0, 0.4]])
    u, _ = tx.update(jnp.zeros_like(w), tx.init(w), w)
    np.testing.assert_allclose(w + u, [[0.9, 0.3], [1.2, 0.4]], rtol=1e-6)


def test_nonnegative_weights_stop_at_zero() -> None:
    tx = optax.chain(sgd(1.0), transforms.keep_nonnegative())
    w = jnp.asarray([1.0, 1.0])
    u, _ = tx.update(jnp.asarray([3.0, 0.5]), tx.init(w), w)
    np.testing.assert_allclose(w + u, [0.0, 0.5])


def test_nan_components_become_zero_and_nan_steps_are_skipped() -> None:
    g = jnp.asarray([jnp.nan, 2.0])
    np.testing.assert_array_equal(
        clipping.zero_nans().update(g, clipping.zero_nans().init(g))[0], [0, 2]
    )
    tx = wrappers.apply_if_finite(momentum(1.0), 5)
    state = tx.init(g)
    _, state = tx.update(jnp.ones(2), state, g)
    u, after = tx.update(g, state, jnp.ones(2))
    np.testing.assert_array_equal(u, 0)
    np.testing.assert_array_equal(
        jax.tree.leaves(after.memory.base)[0], jax.tree.leaves(state.memory.base)[0]
    )


def test_mean_of_weights_is_unbiased_from_the_first_step() -> None:
    tx = optax.chain(sgd(0.5), wrappers.average_weights(0.9))
    w, state, seen = jnp.asarray([1.0, 2.0]), tx.init(jnp.ones(2)), []
    for _ in range(5):
        u, state = tx.update(w, state, w)
        w = w + u
        seen.append(np.asarray(w))
    weights = 0.9 ** np.arange(4, -1, -1)
    expected = (weights[:, None] * np.stack(seen)).sum(0) / weights.sum()
    np.testing.assert_allclose(evaluated(state, w), expected, rtol=1e-5)


def test_schedule_free_average_is_the_mean_of_the_fast_sequence() -> None:
    """With weight_power 0 every z counts the same: x_t = mean(z_1 ... z_t)."""
    tx = schedule_free_sgd(0.3, weight_power=0.0)
    w = PROBLEMS["quadratic"].begin(jnp.float32)
    state, zs = tx.init(w), []
    for _ in range(6):
        u, state = tx.update(jax.grad(PROBLEMS["quadratic"].loss)(w), state, w)
        w = w + u
        zs.append(state.memory.z)
    np.testing.assert_allclose(average(state, w), np.mean(zs, 0), rtol=1e-5)


def test_private_mean_bounds_every_example_and_adds_the_announced_noise() -> None:
    g = {"w": jnp.asarray([[30.0, 40.0], [0.3, 0.4]]), "b": jnp.zeros((2, 1))}
    tx = private.private_mean(KEY, 1.0, 0.0)
    u, _ = tx.update(g, tx.init(g))
    np.testing.assert_allclose(u["w"], [(0.6 + 0.3) / 2, (0.8 + 0.4) / 2], rtol=1e-6)
    many = jnp.zeros((4, 50_000))
    noisy = private.private_mean(KEY, 2.0, 3.0)
    u, _ = noisy.update(many, noisy.init(many))
    np.testing.assert_allclose(np.std(u), 2.0 * 3.0 / 4, rtol=0.02)


def test_noiseless_dpsgd_equals_optax() -> None:
    g = {"w": jnp.asarray([[30.0, 40.0], [0.3, 0.4]]), "b": jnp.ones((2, 1))}
    w = jax.tree.map(lambda x: x[0], g)
    ours = private.dpsgd(0.1, KEY, 1.0, 0.0, momentum=0.9)
    with pytest.warns(DeprecationWarning, match="seed"):
        theirs = contrib.dpsgd(0.1, 1.0, 0.0, 0, momentum=0.9)
    a, b = ours.init(w), theirs.init(w)
    for _ in range(3):
        u, a = ours.update(g, a, w)
        v, b = theirs.update(g, b, w)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), u, v)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: sgd(-0.1), "learning_rate"),
        (lambda: sgd(np.float32("nan")), "NaN"),
        (lambda: adam(0.1, beta2=1.0), "beta2"),
        (lambda: momentum(0.1, -0.5), "momentum"),
        (lambda: adamw(0.1, weight_decay=-1.0), "weight_decay"),
        (lambda: transforms.l2(0.1, None).update(jnp.ones(2), State(None, Nothing())), "weights"),
    ],
)  # fmt: skip
def test_an_impossible_request_is_answered_in_one_line(make, word: str) -> None:
    with pytest.raises(UsageError, match=word) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_traced_number_is_never_refused() -> None:
    u = jax.vmap(lambda b: adam(0.1, b).update(jnp.ones(2), adam(0.1, b).init(jnp.ones(2)))[0])(
        jnp.asarray([0.5, 1.0, jnp.nan])
    )
    assert np.isfinite(u[0]).all()
    assert not np.isfinite(u[2]).any()


def test_a_plateau_without_patience_is_every_loss_that_is_no_progress():
    tx = wrappers.reduce_on_plateau(factor=0.5, patience=0)
    state = tx.init(jnp.ones(2))
    scales = []
    for loss in (5.0, 4.0, 4.0, 3.0, 3.0):
        update, state = tx.update(jnp.ones(2), state, jnp.ones(2), value=jnp.asarray(loss))
        scales.append(float(update[0]))
    assert scales == [1, 1, 0.5, 0.5, 0.25]


PENALTIES = {
    "l2": (transforms.l2(0.3), lambda w: 0.15 * jnp.sum(w**2)),
    "l1": (transforms.l1(0.3), lambda w: 0.3 * jnp.sum(jnp.abs(w))),
    "elastic_net": (
        transforms.elastic_net(0.2, 0.6),
        lambda w: jnp.sum(0.2 * jnp.abs(w) + 0.3 * w**2),
    ),
}


@pytest.mark.parametrize("flat", [False, True], ids=["tree", "vector"])
@pytest.mark.parametrize(("pull", "penalty"), PENALTIES.values(), ids=PENALTIES)
def test_a_penalised_optimizer_is_told_of_the_loss_and_the_penalty(pull, penalty, flat) -> None:
    def loss(w):
        return sum(jnp.sum((x - 1) ** 2) for x in (w["w"], w["b"]))

    told = {}
    spy = optax.GradientTransformationExtraArgs(
        lambda w: (), lambda g, s, w, **extra: (g, told.update(extra, g=g) or s)
    )
    show, read = (flatten, unflatten) if flat else (lambda x: x, lambda x: x)
    w = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray([4.0])}
    value, g = jax.value_and_grad(loss)(w)
    known = {"value": value, "grad": show(g), "value_fn": lambda w: loss(read(w))}
    known |= {"obj_fn": known["value_fn"], "grad_fn": jax.grad(known["value_fn"])}
    tx = transforms.penalised(spy, pull)
    tx.update(show(g), tx.init(show(w)), show(w), **known)

    def close(found, expected) -> None:
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)

    whole = jax.value_and_grad(lambda w: loss(w) + penalty(w["w"]))
    close((told["value"], told["grad"], told["g"]), (whole(w)[0], *[show(whole(w)[1])] * 2))
    there = jax.tree.map(lambda x: -2 * x, w)
    for name in ("value_fn", "obj_fn"):
        value, g = jax.value_and_grad(told[name])(show(there))
        close((value, g), (whole(there)[0], show(whole(there)[1])))
    close(told["grad_fn"](show(there)), show(whole(there)[1]))


def test_a_penalty_that_changes_in_time_is_told_as_it_is_now() -> None:
    """0.1 (3^2 / 2) and then 0.2 (3^2 / 2), beside a loss of 1."""
    told = []
    spy = optax.GradientTransformationExtraArgs(
        lambda w: (), lambda g, s, w, value: (g, told.append(value) or s)
    )
    tx = transforms.penalised(spy, transforms.l2(lambda t: jnp.where(t == 0, 0.1, 0.2), mask=None))
    w = jnp.asarray([3.0])
    state = tx.init(w)
    for _ in range(2):
        _, state = tx.update(w, state, w, value=jnp.float32(1.0))
    np.testing.assert_allclose(told, [1.45, 1.9], rtol=1e-6)
