"""Places where formulas touch: slopes at 0, gradients of 0, lengths of 0, trees without arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine import blobs

import nnlab
from nnlab.errors import UsageError
from nnlab.models import from_loss, mlp
from nnlab.nn.activations import ACTIVATIONS
from nnlab.optim import OPTIMIZERS, schedules
from nnlab.optim.around import TRANSFORMS
from nnlab.optim.averaging import asgd
from nnlab.optim.core import evaluated
from nnlab.optim.sgd import sgd
from nnlab.optim.wrappers import (
    accumulate,
    average_weights,
    lookahead,
    reduce_on_plateau,
    sam,
)


@pytest.mark.parametrize(
    ("name", "theirs"), [("elu", jax.nn.elu), ("celu", jax.nn.celu), ("selu", jax.nn.selu)]
)
@pytest.mark.parametrize("at", [-1.0, -0.0, 0.0, 1.0])
def test_the_slope_of_smooth_rectifiers_is_jaxs_at_zero_too(name, theirs, at):
    ours = jax.grad(ACTIVATIONS[name])(jnp.float32(at))
    np.testing.assert_allclose(ours, jax.grad(theirs)(jnp.float32(at)), rtol=1e-6)


def test_sam_stays_where_nothing_pulls():
    rule = sam(sgd(0.1), 0.05)
    w = jnp.array([1.0, -2.0])
    state = rule.init(w)
    for _ in range(4):
        update, state = rule.update(jnp.zeros(2), state, w)
        w = optax.apply_updates(w, update)
        np.testing.assert_array_equal(w, [1.0, -2.0])


def test_a_sweep_that_has_solved_its_problem_under_sam_has_not_diverged():
    solved = from_loss(lambda w, _: jnp.sum(jax.nn.relu(w) ** 2), np.array([-1.0, -2.0]))
    results = nnlab.Sweep(solved, axes={"transform": ["none", "sam"]}, epochs=3, batch_size=1).run(
        progress=False
    )
    assert not results.diverged.any()


def test_sam_tells_its_optimizer_the_loss():
    axes = {"optimizer": ["momo", "polyak_sgd"]}
    sweep = nnlab.Sweep(mlp([4]), blobs(), axes, transform="sam", epochs=1, batch_size=20)
    results = sweep.run(progress=False)
    assert np.isfinite(results["train_loss"]).all()


def test_asgd_is_evaluated_at_the_mean_of_its_weights():
    w = jnp.array([3.0, -1.0])
    for start, expected in ((0.0, lambda ws: np.mean(ws[1:], 0)), (1e6, lambda ws: ws[-1])):
        rule = asgd(0.1, decay_rate=0.0, start=start)
        at, state, path = w, rule.init(w), []
        for _ in range(6):
            update, state = rule.update(at, state, at)  # the gradient of |w|^2 / 2
            at = optax.apply_updates(at, update)
            path.append(at)
        np.testing.assert_allclose(evaluated(state, at), expected(path), rtol=1e-5)


@pytest.mark.parametrize("steps", range(1, 7))
def test_sam_is_evaluated_at_home_wherever_in_its_climb(steps):
    rule = sam(sgd(0.1), 0.5, 3)
    at = w = jnp.asarray([3.0, -4.0])
    state, home = rule.init(w), w
    for t in range(steps):
        update, state = rule.update(at, state, at)  # the gradient of |w|^2 / 2
        at = optax.apply_updates(at, update)
        home = at if t % 3 == 2 else home
    np.testing.assert_allclose(evaluated(state, at), home, rtol=1e-6)


def test_what_averages_inside_of_sam_is_evaluated():
    rule = sam(optax.chain(sgd(0.1), average_weights(0.5)), 0.5)
    at = w = jnp.asarray([3.0, -4.0])
    state = rule.init(w)
    for _ in range(3):
        update, state = rule.update(at, state, at)
        at = optax.apply_updates(at, update)
    np.testing.assert_allclose(
        evaluated(state, at), state.memory.home, rtol=1e-6
    )  # one step so far


def test_lookahead_is_evaluated_at_its_slow_weights():
    rule = lookahead(sgd(0.1), 3, 0.5)
    at = w = jnp.asarray([3.0, -4.0])
    state = rule.init(w)
    for t in range(5):
        update, state = rule.update(at, state, at)
        at = optax.apply_updates(at, update)
        slow = w if t < 2 else w + 0.5 * (0.9**3 * w - w)
        np.testing.assert_allclose(evaluated(state, at), slow, rtol=1e-6)


def test_when_asgd_starts_to_average_matters_in_a_sweep():
    axes = {"optimizer": ["asgd(start=0)", "asgd(start=1e6)"]}
    results = nnlab.Sweep(mlp([4]), blobs(), axes, epochs=2, batch_size=20, learning_rate=0.5)
    loss = results.run(progress=False)["val_loss"]
    assert np.abs(loss[0] - loss[1]).max() > 1e-4


@pytest.mark.parametrize(
    "make",
    [
        lambda: accumulate(sgd(0.1), 0),
        lambda: lookahead(sgd(0.1), 0),
        lambda: sam(sgd(0.1), 0.05, 0),
        lambda: reduce_on_plateau(window=0),
        lambda: schedules.step(1.0, 0.5, 0),
        lambda: schedules.exponential(1.0, 0, 0.5),
        lambda: schedules.inverse_time(1.0, 0),
        lambda: schedules.inverse_sqrt(1.0, 0),
        lambda: OPTIMIZERS["schedule_free_sgd"](1.0, beta1=0),
        lambda: nnlab.Sweep(mlp([4]), blobs(), {"schedule": ["step(0.5, 0)"]}),
        lambda: nnlab.Sweep(mlp([4]), blobs(), {"transform": ["accumulate(0)"]}),
    ],
)
def test_a_length_of_nothing_is_refused(make):
    with pytest.raises(UsageError, match=r"(is 0; it needs|beta1 is 0; a schedule-free)"):
        make()


@pytest.mark.parametrize("make", [schedules.step, schedules.inverse_time, schedules.inverse_sqrt])
def test_a_traced_length_of_nothing_gives_no_nan(make):
    more = {"factor": 0.5} if make is schedules.step else {}
    rates = jax.jit(
        lambda n: jnp.stack([make(1.0, **more, **{LAST[make]: n})(t) for t in range(3)])
    )
    assert np.isfinite(rates(jnp.float32(0.0))).all()


LAST = {
    schedules.step: "every", schedules.inverse_time: "half", schedules.inverse_sqrt: "warmup",
}  # fmt: skip


ARGUMENTS = {"noisy_sgd": {"key": jax.random.key(0)}}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_tree_without_arrays_needs_no_step(name):
    make = OPTIMIZERS[name]
    try:
        rule = make(0.1, **ARGUMENTS.get(name, {}))
    except TypeError:
        pytest.skip(f"{name} takes something else than a learning rate first")
    told = {"value": jnp.float32(0.0), "grad": {}, "value_fn": lambda _: jnp.float32(0.0)}
    told |= {"obj_fn": lambda _: jnp.float32(0.0)}
    state = rule.init({})
    rule = optax.with_extra_args_support(rule)
    update, _ = rule.update({}, state, {}, **told)
    assert update == {}


def test_optimizers_that_look_at_the_whole_tree_take_part_in_optaxs_multi_transform():
    w = {"a": jnp.ones(2)}
    for name in ("dog", "prodigy", "momo", "schedule_free_sgd"):
        parts = {"a": OPTIMIZERS["adam"](0.1), "b": OPTIMIZERS[name](1.0)}
        rule = optax.with_extra_args_support(optax.multi_transform(parts, {"a": "a"}))
        update, _ = rule.update(w, rule.init(w), w, value=jnp.float32(1.0))
        assert np.all(update["a"] != 0)


def test_transforms_take_a_tree_without_arrays():
    for name, arguments in (("clip_norm", (1.0,)), ("apply_if_finite", ())):
        rule = optax.with_extra_args_support(TRANSFORMS[name](sgd(0.1), *arguments))
        assert rule.update({}, rule.init({}), {}, value=jnp.float32(0.0))[0] == {}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, y: nnlab.data.from_arrays(x, y, seed=-1),
        lambda x, y: nnlab.data.from_arrays(x, y, seed=0.5),
        lambda x, y: nnlab.data.from_arrays(x, y, test=True),
        lambda *_: nnlab.data.load("digits", limit=1e2),
        lambda *_: nnlab.data.load("digits", limit=True),
    ],
)
def test_numbers_of_another_kind_are_refused_by_the_data(wrong):
    with pytest.raises(UsageError, match="needs a"):
        wrong(np.ones((20, 2), np.float32), np.arange(20) % 2)
