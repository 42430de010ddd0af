"""Schedules, transforms, losses and configs on an axis: data and segments, never another result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs, train_plainly

import nnlab
from nnlab.errors import UsageError
from nnlab.nn.losses import LOSSES
from nnlab.optim import OPTIMIZERS, schedules
from nnlab.optim.around import TRANSFORMS
from nnlab.optim.core import evaluated
from nnlab.optim.sgd import sgd
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.build import build_cost, rate_factor
from nnlab.sweeps.starts import Starts, examples
from nnlab.train.keys import root
from nnlab.train.loop import train_run

SMALL = {"epochs": 3, "batch_size": 20, "learning_rate": 0.1}


def sweep(axes: dict, **knobs) -> nnlab.Sweep:
    knobs = {name: value for name, value in (SMALL | knobs).items() if name not in axes}
    together = axes.get("config", [{}])[0]
    knobs = {name: value for name, value in knobs.items() if name not in together}
    return nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **knobs)


def histories(axes: dict, **knobs) -> np.ndarray:
    """[axes..., seed, epoch] validation losses."""
    return sweep(axes, **knobs).run(progress=False)["val_loss"].values


SWEPT = {
    "constant": lambda n: schedules.constant(1.0),
    "cosine": lambda n: schedules.cosine(1.0, 3 * n),
    "cosine:0.1:2": lambda n: schedules.cosine(1.0, 3 * n, end=0.1, power=2.0),
    "cosine(steps=1)": lambda n: schedules.cosine(1.0, n),
    "cosine_onecycle": lambda n: schedules.cosine_onecycle(1.0, 3 * n),
    "exponential:0.5": lambda n: schedules.exponential(1.0, 3 * n, factor=0.5),
    "inverse_sqrt": lambda n: schedules.inverse_sqrt(1.0, warmup=n),
    "inverse_time:2": lambda n: schedules.inverse_time(1.0, half=2 * n),
    "linear": lambda n: schedules.linear(1.0, 3 * n),
    "linear_onecycle": lambda n: schedules.linear_onecycle(1.0, 3 * n),
    "piecewise_constant:1=0.1:2=5": lambda n: schedules.piecewise_constant(
        1.0, [n, 2 * n], [0.1, 5.0]
    ),
    "piecewise_interpolate(0.5=2, 3=0.1, cosine=true)": lambda n: schedules.piecewise_interpolate(
        1.0, [n / 2, 3 * n], [2.0, 0.1], cosine=True
    ),
    "polynomial:0.2:3": lambda n: schedules.polynomial(1.0, 3 * n, end=0.2, power=3.0),
    "step:0.5:1": lambda n: schedules.step(1.0, factor=0.5, every=n),
    "warm_restarts:2": lambda n: schedules.warm_restarts(1.0, 3 * n, cycles=2),
    "warmup_constant": lambda n: schedules.warmup_constant(1.0, warmup=n),
    "warmup_cosine:0.5": lambda n: schedules.warmup_cosine(1.0, 3 * n, warmup=n / 2),
    "warmup_exponential": lambda n: schedules.warmup_exponential(1.0, 3 * n, warmup=n),
    "warmup_stable_decay:1:0.5": lambda n: schedules.warmup_stable_decay(1.0, 3 * n, n, 0.5),
}


def test_every_schedule_of_the_table_is_swept_here() -> None:
    assert {name.split(":")[0].split("(")[0] for name in SWEPT} == set(schedules.SCHEDULES)


def test_schedules_mixed_in_one_rule_have_the_rates_of_each_alone_with_lengths_in_epochs() -> None:
    asked = sweep({"schedule": list(SWEPT)}, optimizer="sgd")
    (group,) = asked.groups()
    per_epoch = len(asked.data.train.y) // 20
    assert len(group.layout(asked.data).rules) == 1, "kinds of schedules are no segments"
    for numbers, (name, make) in zip(group.for_rules, SWEPT.items(), strict=True):
        traced = {k: v if isinstance(v, bool) else jnp.float32(v) for k, v in numbers.items()}
        factor = jax.jit(
            lambda t, traced=traced: rate_factor(traced, group.schedules[0], per_epoch, t)
        )
        steps = jnp.arange(3 * per_epoch)
        expected = jax.vmap(make(per_epoch))(steps)
        np.testing.assert_allclose(jax.vmap(factor)(steps), expected, rtol=1e-5, err_msg=name)


def test_a_rate_of_zero_after_the_first_epoch_stops_the_run_there() -> None:
    stopped, going = histories({"schedule": ["piecewise_constant:1=0", "constant"]})[:, 0]
    np.testing.assert_allclose(stopped[0], going[0], rtol=1e-5)
    np.testing.assert_array_equal(stopped[1:], stopped[0])
    assert np.ptp(going) > 1e-3


def test_a_schedule_of_ones_own_multiplies_the_learning_rate_by_the_step() -> None:
    mine = {"mine": lambda t: jnp.where(t < 6, 1.0, 0.25)}
    per_epoch = len(blobs().train.y) // 20
    named = f"piecewise_constant:{6 / per_epoch}=0.25"
    first, second = histories({"schedule": [mine, named]}, optimizer="momentum")[:, 0]
    np.testing.assert_allclose(first, second, rtol=1e-5)


ARGUMENTS = {"accumulate": {"every": 2.0}, "average_weights": {"decay": 0.9},
             "l1": {"strength": 0.01}, "clip_norm": {"max_norm": 0.1},
             "clip_values": {"bound": 0.01},
             "clip_adaptive": {"ratio": 0.01}, "clip_block_rms": {"bound": 0.01},
             "elastic_net": {"l1": 0.01, "l2": 0.01}, "l2": {"weight_decay": 0.1},
             "decoupled_weight_decay": {"weight_decay": 0.2}, "max_norm": {"radius": 0.5},
             "schedule_free": {"beta1": 0.8}}  # fmt: skip


def written(name: str) -> str:
    return f"{name}({', '.join(f'{k}={v}' for k, v in ARGUMENTS.get(name, {}).items())})"


def test_every_transform_mixed_with_all_others_does_what_it_does_alone() -> None:
    """Alone: as a person's own optimizer function, with Python numbers, in a program of its own."""
    names = [name for name in TRANSFORMS if name != "add_noise"]
    mixed = histories({"transform": [written(name) for name in names]}, optimizer="sgd")[:, 0]

    def alone(name: str):
        told = {"learning_rate": 0.1} if name in ("schedule_free", "decoupled_weight_decay") else {}
        arguments = ARGUMENTS.get(name, {}) | told
        return lambda learning_rate: TRANSFORMS[name](sgd(learning_rate), **arguments)

    separate = histories({"optimizer": [{name: alone(name)} for name in names]})[:, 0]
    for name, one, other in zip(names, mixed, separate, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, err_msg=name)
    different = {tuple(np.round(one, 5)) for one in mixed}
    same_here = {"none", "zero_nans", "apply_if_finite", "reduce_on_plateau", "cautious"}
    assert len(different) == len(names) - len(same_here) + 1


def test_noise_on_the_gradient_is_the_runs_own() -> None:
    noisy = histories({"transform": ["add_noise(eta=0.5)"], "seed": [0, 1]}, optimizer="sgd")[0]
    again = histories({"transform": ["add_noise(eta=0.5)"], "seed": [1, 0]}, optimizer="sgd")[0]
    np.testing.assert_allclose(noisy, again[::-1], rtol=1e-5)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_schedule_free_runs_are_evaluated_at_their_average(name: str) -> None:
    asked = sweep({"optimizer": [name]})
    (group,) = asked.groups()
    layout, data = group.layout(asked.data), jax.tree.map(np.asarray, program_data(asked.data))
    (task,), (rule,) = layout.tasks, layout.rules
    starts = Starts(asked.data, group.batch_norm)(group.recipes[0], [0])
    start = jax.tree.map(lambda a: a[0], starts)
    numbers = tuple(
        {k: np.float32(v) for k, v in row.items()}
        for row in (group.for_tasks[0], group.for_rules[0])
    )
    state, record = train_run(group.plan, task, rule, start, numbers, data, root(0))
    x, y = data.test.x[0], data.test.y[0]
    network_input = jnp.asarray((x - data.offset) * data.scale)

    def loss(params):
        return float(task.measure(params, (), network_input, y, numbers[0])["loss"].mean())

    average = evaluated(state.memory, state.params)
    assert average is not None
    np.testing.assert_allclose(record.test["loss"], loss(average), rtol=1e-5)
    assert abs(loss(average) - loss(state.params)) > 1e-4
    lifted = asked.run(progress=False)["test_loss"].values.item()
    np.testing.assert_allclose(lifted, record.test["loss"], rtol=2e-4)


CLASS_LOSSES = [name for name in LOSSES if name != "generalized_kl"]
"""The loss of counts is smallest at a rate of 1, not where the label's output is large."""


def test_losses_mixed_in_one_program_train_as_alone() -> None:
    names = ["focal:3", "squared_error", "cross_entropy"]
    mixed = histories({"loss": names})[:, 0]
    for name, history in zip(names[:2], mixed[:2], strict=True):
        np.testing.assert_allclose(history, histories({}, loss=name)[0], rtol=2e-4, err_msg=name)
    assert len({round(float(history[-1]), 5) for history in mixed}) == len(names)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_every_loss_takes_a_class_and_learns_it(name: str) -> None:
    cost = build_cost((LOSSES[name], ()), classes=3)
    others = jnp.asarray([0.3, 0.2, 0.1])
    for label in range(3):
        low, high = (others.at[label].set(value) for value in (-0.4, 0.9))
        assert cost(high, jnp.asarray(label), {}) < cost(low, jnp.asarray(label), {})
        slope = jax.grad(cost)(low, jnp.asarray(label), {})
        assert slope[label] < 0, "the label's output should grow"


def test_a_config_is_the_cell_of_the_grid_with_its_knobs() -> None:
    configs = [
        {"optimizer": "sgd", "learning_rate": 0.3, "epochs": 3},
        {"optimizer": "adam", "learning_rate": 0.01, "epochs": 3},
        {"optimizer": "adam", "learning_rate": 0.1, "epochs": 2},
    ]
    found = sweep({"config": configs, "seed": [0, 1]}).run(progress=False)
    assert found.knobs == ("optimizer", "learning_rate", "epochs")
    np.testing.assert_array_equal(found.labels("learning_rate"), [0.3, 0.01, 0.1])
    best = found.best("val_loss")
    assert str(best["optimizer"].item()) in ("sgd", "adam")
    ends = found.values("val_loss")
    alone = sweep({"seed": [0, 1]}, **configs[2]).run(progress=False)
    np.testing.assert_allclose(ends[2], alone.values("val_loss"), rtol=2e-4)


def test_a_scheduled_run_alone_equals_the_run_in_its_chunk() -> None:
    asked = sweep(
        {"optimizer": ["sgd", "schedule_free_sgd"], "schedule": ["cosine", "step:0.5:1"],
         "transform": ["none", "clip_norm:0.1"]},
    )  # fmt: skip
    (group,) = asked.groups()
    results = asked.run(progress=False)
    flat = results["val_loss"].values.reshape(-1, 3)
    for position in (1, 2, 7):
        record = train_plainly(asked, group, position, 0)
        np.testing.assert_allclose(record.valid["loss"], flat[group.ids[position]], rtol=2e-4)


def test_the_table_of_optimizers_has_no_name_of_a_transform() -> None:
    assert not set(OPTIMIZERS) & set(TRANSFORMS)


def test_initializers_that_look_at_the_data_are_inits_like_others() -> None:
    asked = sweep({"init": ["lsuv", "rbm(epochs=2)", "he"]}, activation="sigmoid")
    (group,) = asked.groups()
    draw = Starts(asked.data, group.batch_norm)
    x = examples(asked.data)
    for recipe in group.recipes:
        params, _ = jax.tree.map(lambda a: a[0], draw(recipe, [0]))
        z = x @ params.layers[0].w + params.layers[0].b
        kind = dict(recipe.start)["init"][0].__name__
        if kind == "lsuv":
            np.testing.assert_allclose(z.std(), 1, rtol=0.02)
        if kind == "rbm":
            assert np.abs(params.layers[0].w).std() < 0.5


def test_weight_decay_is_part_of_what_a_line_search_and_polyaks_rate_see() -> None:
    """(w - 1)^2 / 2 + w^2 / 2 is least at 1/2, where it is 1/4 and the loss alone 1/8."""
    parabola = nnlab.models.from_loss(
        lambda w, _: jnp.sum((w - 1) ** 2) / 2, np.full((1, 1), 3.0), {"place": jnp.sum}
    )
    names = ["lbfgs", "polyak_sgd(lower_bound=0.25)"]
    knobs = {"learning_rate": 1.0, "epochs": 15, "batch_size": 1}
    for axes, more in (
        ({"optimizer": names}, {"weight_decay": 1.0}),
        ({"optimizer": names, "transform": ["l2(1)"]}, {}),
    ):
        found = nnlab.Sweep(parabola, axes=axes, **knobs, **more).run(progress=False)
        np.testing.assert_allclose(found["place"].values[..., -1], 0.5, atol=1e-3)
        np.testing.assert_allclose(found["train_loss"].values[..., -1], 0.125, atol=1e-3)


def test_a_schedule_leaves_rprop_alone_which_reads_its_rate_once() -> None:
    axes = {"optimizer": ["sgd", "rprop"], "schedule": ["constant", "warmup_constant(2)"]}
    sgd, rprop = histories(axes, learning_rate=0.01)[:, :, 0]
    np.testing.assert_array_equal(rprop[0], rprop[1])
    assert rprop[0, -1] < rprop[0, 0] - 0.01
    assert np.abs(sgd[0] - sgd[1]).max() > 1e-4
    with pytest.raises(UsageError, match="schedule changes nothing"):
        sweep({"optimizer": ["rprop"], "schedule": ["constant", "linear"]}).groups()
