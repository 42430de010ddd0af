"""The equality contract: a run is the same run wherever it trains."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs, every_run, mixed_sweep, train_plainly
from hurry import environment

import nnlab
from nnlab.lanes.planner import Shape
from nnlab.train.loop import in_batches

CLOSE = {"rtol": 2e-4, "atol": 2e-5}
"""Float32 rounding, grown over a few epochs of training."""


@pytest.fixture(scope="module")
def sweep() -> nnlab.Sweep:
    return mixed_sweep()


@pytest.fixture(scope="module")
def chunked(sweep) -> dict:
    (group,) = sweep.groups(lanes=24)
    assert group.shape.chunks > 1
    return every_run(group, sweep)


def test_every_cell_and_seed_is_trained_exactly_once(sweep, chunked):
    assert set(chunked) == {(r, s) for r in range(len(sweep.grid.recipes)) for s in (0, 1)}
    assert len(sweep.grid.recipes) == sweep.grid.cells.size == 128


@pytest.mark.parametrize("position", [0, 43, 95, 127])
def test_a_run_alone_equals_the_run_in_a_chunk(sweep, chunked, position):
    (group,) = sweep.groups(lanes=24)
    record = train_plainly(sweep, group, position, seed=1)
    run = chunked[group.ids[position], 1]
    np.testing.assert_allclose(run["train_loss"], record.train_loss, **CLOSE)
    np.testing.assert_allclose(run["val_loss"], record.valid["loss"], **CLOSE)
    np.testing.assert_allclose(run["test_loss"], record.test["loss"], **CLOSE)
    np.testing.assert_allclose(run["test_accuracy"], record.test["accuracy"], atol=0.04)


def test_seeds_side_by_side_equal_seeds_one_after_the_other(sweep, chunked):
    (group,) = sweep.groups(lanes=24)
    pieces = group.shape.config_chunks
    together = dataclasses.replace(group, shape=Shape(group.shape.counts, pieces, 2, 1))
    for key, run in every_run(together, sweep).items():
        np.testing.assert_allclose(run["train_loss"], chunked[key]["train_loss"], **CLOSE)


def test_a_run_does_not_feel_its_neighbours(sweep, chunked):
    """The same runs beside others: half of one axis' values, hence other chunks and lanes."""
    fewer = mixed_sweep_with("activation", ["leaky_relu(0.2)"])
    (group,) = fewer.groups(lanes=10)
    runs = every_run(group, fewer)
    index = {recipe: i for i, recipe in enumerate(sweep.grid.recipes)}
    for (i, seed), run in runs.items():
        same = chunked[index[fewer.grid.recipes[i]], seed]
        np.testing.assert_allclose(run["train_loss"], same["train_loss"], **CLOSE)


def mixed_sweep_with(axis: str, values: list) -> nnlab.Sweep:
    whole = mixed_sweep()
    axes = {**whole.axes, axis: values}
    return nnlab.Sweep(whole.model, whole.data, axes, epochs=2, batch_size=20)


def test_the_same_chunk_again_is_the_same_bit_for_bit(sweep, chunked):
    (group,) = sweep.groups(lanes=24)
    for key, run in every_run(group, sweep).items():
        for name, values in run.items():
            np.testing.assert_array_equal(values, chunked[key][name], err_msg=f"{key} {name}")


def test_a_diverging_run_leaves_its_neighbours_alone():
    axes = {"learning_rate": [0.01, 1e12], "activation": ["relu", "tanh"], "seed": [0]}
    calm = {**axes, "learning_rate": [0.01, 0.02]}
    knobs = {"optimizer": "sgd", "epochs": 3, "batch_size": 20}
    wild = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **knobs).run()
    tame = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), calm, **knobs).run()
    for name in ("train_loss", "val_loss", "test_loss"):
        np.testing.assert_allclose(
            wild[name].sel(learning_rate=0.01), tame[name].sel(learning_rate=0.01), **CLOSE
        )
    relu = {"activation": "relu", "seed": 0}
    assert int(wild["diverged_at"].sel(learning_rate=1e12, **relu)) >= 1
    assert int(wild["diverged_at"].sel(learning_rate=0.01, **relu)) == 0


def test_mixing_shapes_of_parameters_in_one_program():
    """Maxout has more weights than relu; both train in one program under one optimizer."""
    axes = {"activation": ["relu", "maxout(3)", "tanh"], "optimizer": ["sgd", "adam"]}
    knobs = {"learning_rate": 0.05, "epochs": 2, "batch_size": 20}
    sweep = nnlab.Sweep(nnlab.models.mlp([6]), blobs(), axes, **knobs)
    assert sweep.summary().programs == 1
    results = sweep.run()
    alone = nnlab.Sweep(
        nnlab.models.mlp([6]), blobs(), activation="maxout(3)", optimizer="adam", **knobs
    ).run()
    together = results["train_loss"].sel(activation="maxout(3)", optimizer="adam")
    np.testing.assert_allclose(together, alone["train_loss"], **CLOSE)


def test_sizes_batches_and_epochs_on_an_axis_are_groups_of_their_own():
    axes = {"hidden": [[4], [6, 5]], "batch_size": [10, 20], "epochs": [1, 3], "seed": [0]}
    assert nnlab.Sweep(nnlab.models.mlp(), blobs(), axes).summary().programs == 8
    del axes["batch_size"]
    results = nnlab.Sweep(nnlab.models.mlp(), blobs(), axes).run()
    assert dict(results.dataset.sizes) == {"hidden": 2, "epochs": 2, "seed": 1, "epoch": 3}
    assert results.dataset["hidden"].values.tolist() == ["4", "6-5"]
    short = results["val_loss"].sel(epochs=1)
    assert np.isfinite(short.sel(epoch=1)).all()
    assert np.isnan(short.sel(epoch=2)).all()
    assert (results["diverged_at"] == 0).all()
    assert np.isfinite(results["test_accuracy"]).all()


def test_all_configs_of_a_seed_share_initial_draws_and_batches():
    """Common random numbers: two scales of one initializer are proportional draws."""
    sweep = nnlab.Sweep(nnlab.models.mlp([6]), blobs(), {"init": ["normal(1)", "normal(0.1)"]})
    (group,) = sweep.groups()
    from nnlab.sweeps.starts import Starts

    starts = Starts(sweep.data, batch_norm=False)
    (one, _), (tenth, _) = (starts(recipe, [3]) for recipe in group.recipes)
    np.testing.assert_allclose(one.layers[0].w, 10 * tenth.layers[0].w, rtol=1e-5)


def test_an_optax_optimizer_a_jax_initializer_and_a_function_work_wherever_a_name_does():
    import optax

    axes = {
        "optimizer": {"theirs": optax.adam, "ours": "adam"},
        "init": {"jax": jax.nn.initializers.he_normal(), "nnlab": "he_normal"},
        "activation": {"jax": jax.nn.relu, "nnlab": "relu"},
    }
    knobs = {"learning_rate": 0.01, "epochs": 3, "batch_size": 20}
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam relies on it
        results = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **knobs).run()
    loss = results["train_loss"].transpose("epoch", ...).values.reshape(3, -1)
    np.testing.assert_allclose(loss, loss[:, :1] + np.zeros((1, 8)), rtol=1e-4)


def test_a_flax_module_trains_as_a_model():
    import flax.linen as linen

    module = linen.Sequential([linen.Dense(8), linen.relu, linen.Dense(3)])
    axes = {"optimizer": ["sgd", "adam"], "learning_rate": [0.03, 0.1]}
    results = nnlab.Sweep(nnlab.models.from_flax(module), blobs(), axes, epochs=10).run()
    assert float(results["test_accuracy"].max()) > 0.8


def test_regression_trains_on_squared_error():
    x = np.linspace(-1, 1, 300, dtype=np.float32)[:, None]
    data = nnlab.data.from_arrays(x, 3 * x[:, 0] + 1, validation=50, test=50)
    axes = {"learning_rate": [0.01, 0.1]}
    results = nnlab.Sweep(nnlab.models.mlp([]), data, axes, optimizer="sgd", epochs=40).run()
    assert results["test_loss"].sel(learning_rate=0.1).item() < 1e-3
    assert "test_accuracy" not in results.dataset


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
import jax
jax.config.update("jax_num_cpu_devices", {devices})
from engine import mixed_sweep
results = mixed_sweep().run(lanes=24, progress=False)
assert jax.device_count() == {devices}
print(json.dumps(results["train_loss"].values.ravel().tolist()))
"""


def test_one_device_and_two_give_the_same_runs():
    from pathlib import Path

    def losses(devices: int) -> np.ndarray:
        code = SCRIPT.format(tests=str(Path(__file__).parent), devices=devices)
        printed = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=environment(),
        )
        return np.array(json.loads(printed.stdout.splitlines()[-1]))

    np.testing.assert_allclose(losses(1), losses(2), **CLOSE)


def test_weight_decay_is_an_optimizer_s_own_where_it_has_one_and_l2_elsewhere():
    knobs = {"learning_rate": 0.1, "epochs": 1, "batch_size": 20}
    axes = {"optimizer": ["adamw", "adamw(weight_decay=0)", "adam", "sgd"]}
    plain = nnlab.Sweep(nnlab.models.mlp([6]), blobs(), axes, **knobs).run()["train_loss"]
    assert not np.allclose(*(plain.sel(optimizer=o) for o in axes["optimizer"][:2]), rtol=1e-9)
    np.testing.assert_allclose(
        plain.sel(optimizer="adamw(weight_decay=0)"), plain.sel(optimizer="adam"), rtol=1e-5
    )
    decayed = nnlab.Sweep(nnlab.models.mlp([6]), blobs(), axes, weight_decay=0.5, **knobs).run()
    assert not np.allclose(decayed["train_loss"].sel(optimizer="sgd"), plain.sel(optimizer="sgd"))
    assert not np.allclose(decayed["train_loss"].sel(optimizer="adam"), plain.sel(optimizer="adam"))


def test_optimizers_that_ask_for_the_loss_or_a_key_mix_with_those_that_do_not():
    """A line search evaluates its own task's loss, whatever stands beside it."""
    knobs = {"learning_rate": 0.1, "epochs": 2, "batch_size": 20}
    axes = {
        "optimizer": ["lbfgs", "noisy_sgd", "polyak_sgd", "sgd"],
        "activation": ["tanh", "relu"],
    }
    mixed = nnlab.Sweep(nnlab.models.mlp([6]), blobs(), axes, **knobs).run()["train_loss"]
    assert np.isfinite(mixed).all()
    alone = nnlab.Sweep(
        nnlab.models.mlp([6]), blobs(), optimizer="lbfgs", activation="relu", **knobs
    ).run()["train_loss"]
    np.testing.assert_allclose(
        mixed.sel(optimizer="lbfgs", activation="relu"), alone, rtol=1e-3, atol=1e-4
    )


def test_batch_norm_in_all_runs_needs_no_choice_and_trains_as_beside_runs_without_it():
    def sweep(values):
        axes = {"batch_norm": values, "learning_rate": [0.01, 0.1], "seed": [0]}
        return nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, epochs=2, batch_size=20)

    always, mixed = sweep([True]), sweep([False, True])
    assert [group.always for group in always.groups()] == [{"batch_norm"}]
    assert [group.always for group in mixed.groups()] == [frozenset()]
    ours, theirs = always.run(), mixed.run().sel(batch_norm=True)
    for name in ("train_loss", "val_loss", "test_loss"):
        np.testing.assert_allclose(
            ours[name].values.squeeze(), theirs[name].values.squeeze(), rtol=1e-4
        )


def test_a_loss_that_is_infinite_on_zeros_is_finite_where_batches_are_filled_up():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1_301, 3)).astype(np.float32)
    y = np.exp(x[:, :1]).astype(np.float32)
    data = nnlab.data.from_arrays(x, y, validation=1_001, test=100)
    assert np.any(in_batches(data.valid.x, data.valid.y).weight == 0)
    loss = {"of logarithms": lambda output, target: jnp.mean((output - jnp.log(target)) ** 2)}
    results = nnlab.Sweep(nnlab.models.mlp([4]), data, epochs=1, batch_size=50, loss=loss).run(
        progress=False
    )
    assert np.isfinite(results["val_loss"]).all()


@pytest.mark.parametrize(
    "knobs",
    [{"optimizer": "noisy_sgd"}, {"transform": "add_noise(eta=0.5)"}, {"activation": "rrelu"}],
)
def test_noise_is_that_of_the_plain_loop(knobs):
    """Whose numbers have places: a matrix turned round would have the noise of another."""
    sweep = nnlab.Sweep(
        nnlab.models.mlp([8, 4]), blobs(), {"learning_rate": [0.05, 0.1], "seed": [3]},
        **{"optimizer": "sgd", "epochs": 2, "batch_size": 20} | knobs,
    )  # fmt: skip
    (group,) = sweep.groups()
    runs = every_run(group, sweep)
    for i in range(2):
        alone = train_plainly(sweep, group, i, 3)
        np.testing.assert_allclose(runs[i, 3]["train_loss"], alone.train_loss, rtol=1e-5)


def test_a_random_activation_is_random_in_training_and_not_in_evaluation():
    axes = {"activation": ["rrelu", "leaky_relu(0.2291666667)", "relu"], "seed": [0]}
    knobs = {"epochs": 3, "batch_size": 20, "learning_rate": 0.05}
    sweep = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **knobs)
    results = sweep.run(progress=False)
    drawn, mean = (results["val_loss"].isel(activation=i) for i in (0, 1))
    assert np.abs(drawn - mean).max() > 1e-4
    still = nnlab.Sweep(
        nnlab.models.mlp([8]), blobs(), axes, **knobs | {"learning_rate": 1e-9}
    ).run(progress=False)
    drawn, mean = (still["val_loss"].isel(activation=i) for i in (0, 1))
    np.testing.assert_allclose(drawn, mean, rtol=1e-5)
    assert np.ptp(still["train_loss"].isel(activation=0).values) > 1e-4
