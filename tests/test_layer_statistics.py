"""What passes through layers: right for any model, the same lifted as plain, kept like results."""

from dataclasses import dataclass
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs, train_plainly

import nnlab
from nnlab import UsageError
from nnlab.models import (
    MLP,
    Settings,
    Signal,
    convnet,
    from_flax,
    layer_statistics,
    mlp,
    signals,
)
from nnlab.nn.activations import leaky_relu, maxout, relu, sigmoid, tanh
from nnlab.sweeps.starts import draw
from nnlab.train.keys import root
from nnlab.train.task import unasked

CLOSE = {"rtol": 2e-4, "atol": 2e-5}
SMALL = {"epochs": 2, "batch_size": 20}


@dataclass(frozen=True)
class InFlax:
    """A person's own model: a flax module that takes its activation from the settings."""

    knobs = frozenset({"activation"})

    def module(self, settings: Settings) -> linen.Module:
        return linen.Sequential([linen.Dense(4), settings.activation, linen.Dense(3)])

    def start(self, key, shape, outputs, settings) -> tuple[Any, Any]:
        return self.module(settings).init(key, jnp.zeros((1, *shape))), ()

    def apply(self, params, stats, x, settings, key) -> tuple[Any, Any]:
        return self.module(settings).apply(params, x), stats


def begun(model: Any, shape: tuple[int, ...], settings: Settings) -> tuple[Any, Any, Any]:
    x = jax.random.normal(root(1), (7, *shape))
    return (*model.start(root(0), shape, 3, settings), x)


def test_a_signal_is_what_the_activation_is_given_and_returns():
    settings = Settings(activation=tanh)
    params, stats, x = begun(mlp([5, 4]), (6,), settings)
    first, second = signals(mlp([5, 4]), params, stats, x, settings, None)
    z = x @ params.layers[0].w + params.layers[0].b[None]
    np.testing.assert_allclose(first.before, z, rtol=1e-5)
    np.testing.assert_allclose(first.after, np.tanh(z), rtol=1e-5)
    np.testing.assert_allclose(first.slope, 1 - np.tanh(z) ** 2, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(second.before, first.after @ params.layers[1].w, rtol=1e-4)


def test_a_models_outputs_are_those_of_its_last_signal():
    settings = Settings(activation=sigmoid)
    params, stats, x = begun(InFlax(), (6,), settings)
    (signal,) = signals(InFlax(), params, stats, x, settings, None)
    last = params["params"]["layers_2"]
    outputs, _ = InFlax().apply(params, stats, x, settings, None)
    np.testing.assert_allclose(
        signal.after @ last["kernel"] + last["bias"][None], outputs, rtol=1e-5
    )


@pytest.mark.parametrize("activation", [relu, maxout], ids=["elementwise", "along features"])
def test_examples_come_first_wherever_a_model_keeps_them(activation):
    model, settings = convnet([4], [6], kernel=3), Settings(activation=activation)
    params, stats, x = begun(model, (8, 8, 1), settings)
    look = jax.jit(lambda x: signals(model, params, stats, x, settings, None))
    whole, part = look(x), look(x[2:4])
    assert [signal.after.shape[0] for signal in whole] == [7, 7]
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_allclose(one.after[2:4], other.after, rtol=1e-4, atol=1e-5)


def test_signals_under_vmap_are_those_of_each_run():
    settings = Settings(activation=leaky_relu)
    starts = [begun(mlp([4, 3]), (6,), settings._replace(init=nnlab.nn.initializers.normal(s)))
              for s in (0.5, 2.0)]  # fmt: skip
    x = starts[0][2]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *(params for params, _, _ in starts))

    def deviations(params):
        found = signals(mlp([4, 3]), params, (), x, settings, None)
        return jnp.stack([layer_statistics(signal).std for signal in found])

    lifted = jax.jit(jax.vmap(deviations))(stacked)
    for i, (params, _, _) in enumerate(starts):
        np.testing.assert_allclose(lifted[i], jax.jit(deviations)(params), rtol=1e-5)


def test_batch_norm_hands_on_normalised_signals_in_training_only():
    settings = Settings(activation=tanh, batch_norm=True, dropout=0.5)
    params, stats, x = begun(mlp([5]), (6,), settings)
    (trains,) = signals(mlp([5]), params, stats, 10 * x, settings, root(2))
    (evaluates,) = signals(mlp([5]), params, stats, 10 * x, settings, None)
    np.testing.assert_allclose(trains.before.std(0), 1, rtol=1e-3)
    assert evaluates.before.std() > 3


def test_a_model_that_reads_no_activation_has_no_signals():
    for model in (mlp([]), from_flax(linen.Dense(3))):
        params, stats, x = begun(model, (6,), Settings())
        assert signals(model, params, stats, x, Settings(), None) == ()


def of(activation: Any, z: Any) -> Signal:
    z = jnp.asarray(z, jnp.float32)
    return Signal(z, *jax.jvp(activation, (z,), (jnp.ones_like(z),)))


def test_a_unit_is_dead_where_no_example_moves_it():
    z = [[-1.0, -1.0, 2.0, 0.0], [-2.0, 1.0, 3.0, -3.0]]
    assert float(layer_statistics(of(relu, z)).dead) == 0.5
    assert float(layer_statistics(of(leaky_relu, z)).dead) == 0.0


def test_saturation_is_where_next_to_no_gradient_passes():
    """sigmoid' = a (1 - a) = 0.05 at a = 0.0528 and 0.9472, that is at z = ±2.887."""
    z = [[-3.0, -2.8, 0.0, 2.8, 3.0]]
    assert float(layer_statistics(of(sigmoid, z)).saturated) == pytest.approx(0.4)
    assert float(layer_statistics(of(relu, z)).saturated) == pytest.approx(0.6)


def test_statistics_are_numpys_over_all_units_and_examples():
    z = np.random.default_rng(0).normal(0.3, 2, (50, 4)).astype(np.float32)
    found = layer_statistics(of(tanh, z))
    np.testing.assert_allclose(found.mean, np.tanh(z).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.std, np.tanh(z).std(), rtol=1e-5)
    np.testing.assert_allclose(found.input_std, z.std(), rtol=1e-5)
    np.testing.assert_allclose(found.percentiles, np.percentile(z, [15, 50, 85]), rtol=1e-5)


def test_a_histogram_counts_every_finite_number_and_piles_the_rest_at_its_ends():
    x = np.random.default_rng(0).normal(0, 3, (30, 5)).astype(np.float32)
    edges = np.linspace(-2, 2, 9)
    found = layer_statistics(of(lambda z: z, x), edges).histogram
    counts, _ = np.histogram(x, [-np.inf, *edges[1:-1], np.inf])
    np.testing.assert_array_equal(found, counts)
    x[0], x[1, 0] = np.nan, np.inf
    assert layer_statistics(of(lambda z: z, x), edges).histogram.sum() == 150 - 6


RECORD = [
    "layers",
    "train_accuracy",
    "test_outputs",
    {"size": lambda run: jnp.sum(jnp.square(run.outputs()))},
]


MIXED = {
    "activation": ["tanh", "leaky_relu(0.2)"],
    "dropout": [0.0, 0.2],
    "batch_norm": [False, True],
    "seed": [0, 1],
}


def test_what_a_lifted_run_records_is_what_the_plain_run_records():
    sweep = nnlab.Sweep(
        mlp([8]), blobs(), MIXED, record=RECORD, optimizer="schedule_free_sgd", **SMALL
    )
    (group,) = sweep.groups()
    results = sweep.run(progress=False)
    record = train_plainly(sweep, group, 7, seed=1)
    cell = np.unravel_index(group.ids[7], sweep.grid.cells.shape)
    for name, values in record.observed.items():
        found = results.recorded[name].values[*cell, 1]
        if name == "layer_histogram":  # a rounded activation may cross an edge
            assert np.abs(found - values).sum() <= 0.02 * values.sum()
        else:
            np.testing.assert_allclose(found, values, err_msg=name, **CLOSE)
    fit = results["train_accuracy"].values[*cell, 1]
    np.testing.assert_allclose(fit, record.fit["accuracy"], **CLOSE)
    found = results.recorded["test_outputs"].values[*cell, 1]
    np.testing.assert_allclose(found, record.outputs["test"][: len(found)], **CLOSE)


def small_sweep(record: Any) -> nnlab.Sweep:
    return nnlab.Sweep(mlp([8]), blobs(), {"seed": [0, 1]}, record=record, **SMALL)


@pytest.fixture(scope="module")
def watched() -> nnlab.Results:
    return small_sweep(RECORD).run(progress=False)


def test_epoch_zero_is_the_start_and_the_last_epoch_the_end(watched):
    sweep, recorded = small_sweep(RECORD), watched.recorded
    assert recorded["layer_std"].dims == ("seed", "epoch", "layer")
    assert recorded["epoch"].values.tolist() == [0, 1, 2]
    (group,) = sweep.groups()
    drawn = draw(group.recipes[0], [1], sweep.data, batch_norm=False)
    params, stats = jax.tree.map(lambda a: a[0], drawn)
    x = (sweep.data.valid.x - sweep.data.offset) * sweep.data.scale
    params, x = jax.tree.map(jnp.asarray, (params, x))
    (signal,) = signals(MLP((8,)), params, stats, x, Settings(), None)
    start = recorded.sel(seed=1, epoch=0, layer=1)
    np.testing.assert_allclose(start["layer_std"], signal.after.std(), rtol=1e-4)
    assert start["layer_histogram"].sum() == signal.after.size
    assert (recorded["layer_std"].diff("epoch") != 0).all()
    size = float(watched.recorded["size"].sel(seed=1, epoch=2))
    assert size != float(watched.recorded["size"].sel(seed=1, epoch=0))


def test_what_nobody_asks_for_is_not_computed_and_what_is_changes_no_run(watched):
    sweep = small_sweep(())
    (group,) = sweep.groups()
    assert all(task.observe is unasked for task in group.layout(sweep.data).tasks)
    assert group.plan.keep == ()
    plain = sweep.run(progress=False)
    assert not plain.recorded.variables
    np.testing.assert_allclose(plain["train_loss"], watched["train_loss"], rtol=1e-6)


def recorded_sweep(**asked: Any) -> nnlab.Sweep:
    axes = {"hidden": [[], [4], [5, 4]], "learning_rate": [0.01, 0.1]}
    return nnlab.Sweep(mlp([4]), blobs(), axes, **({"record": RECORD} | SMALL | asked))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "recorded"
    return out, recorded_sweep().run(out, lanes=1, progress=False)


def test_networks_of_different_depth_share_a_variable_with_missing_layers(stored):
    _, results = stored
    missing = results.recorded["layer_mean"].isnull().all(["learning_rate", "seed", "epoch"])
    assert missing.values.tolist() == [[True, True], [False, True], [False, False]]


def test_a_resumed_sweep_has_the_same_recorded_arrays_bit_for_bit(stored, tmp_path):
    out, results = stored
    chunks = sorted((out / "chunks").iterdir())
    assert len(chunks) == 6
    for lost in chunks[2:]:
        lost.rename(tmp_path / lost.name)
    begun = nnlab.load(out).recorded  # only the linear networks, which have no layers
    assert begun["layer_std"].isnull().all()
    assert dict(begun.sizes) == dict(results.recorded.sizes)
    for found in chunks[3:]:
        (tmp_path / found.name).rename(found)
    assert not nnlab.load(out).recorded.equals(results.recorded)
    again = recorded_sweep().run(out, progress=False)
    assert again.recorded.identical(results.recorded)
    assert nnlab.load(out).recorded.identical(results.recorded)


def test_a_sweep_that_records_something_else_is_another_sweep(stored):
    out, _ = stored
    for record in ((), "layers"):
        with pytest.raises(UsageError, match=r"holds another sweep \(record: "):
            recorded_sweep(record=record).run(out, progress=False)


def test_recorded_arrays_follow_their_results_into_parts_and_files(stored, tmp_path):
    _, results = stored
    part = results.sel(hidden="5-4").tuned(over="learning_rate")
    chosen = float(part.dataset["learning_rate"])
    expected = results.recorded.sel(hidden="5-4", learning_rate=chosen)
    np.testing.assert_array_equal(part.recorded["layer_std"], expected["layer_std"])
    assert nnlab.Results.open(results.save(tmp_path / "r.nc")).recorded.equals(results.recorded)


def ragged(run: Any) -> Any:
    return run.layers()[0].before.mean(0)


def cubes(run: Any) -> Any:
    return jnp.zeros((2,) * len(run.layers()))


BAD: dict[str, tuple[dict, str]] = {
    "a name": ({"record": "layer"}, "unknown record 'layer'; did you mean 'layers'"),
    "a number": ({"record": 3}, "record takes names or {name: function}, got 3"),
    "no function": ({"record": {"mine": 3}}, "record mine needs a function of a run, got 3"),
    "taken": ({"record": {"layers": len}}, "needs a name of letters, digits and _, other than"),
    "odd name": ({"record": {"a b": len}}, "record 'a b': a recording needs a name"),
    "broken": ({"record": {"mine": lambda run: run.weights}}, "record mine does not work"),
    "text": ({"record": {"mine": lambda run: "much"}}, "record mine returns str as mine"),
    "twice": (
        {"record": ["layers", {"layer": lambda run: {"mean": run.x.mean()}}]},
        "record layer gives layer_mean a second time",
    ),
    "no layers": ({"record": "layers", "hidden": []}, "no layer that reads the sweep's activation"),
    "by activation": (
        {"record": {"mine": ragged}, "axes": {"activation": ["relu", "maxout(2)"]}},
        "recorded mine has shape (4,) with one activation and (8,) with another",
    ),
    "rank": (
        {"record": {"mine": cubes}, "axes": {"hidden": [[4], [4, 4]]}},
        "recorded mine has 1 axes for some networks and 2 for others",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_recording_that_cannot_work_is_one_line_and_nothing_is_written(case, tmp_path):
    asked, words = BAD[case]
    with pytest.raises(UsageError) as refused:
        nnlab.Sweep(mlp([4]), blobs(), **SMALL | asked).run(tmp_path / "out", progress=False)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["hidden", "epoch", "layer", "seed"])
def test_a_recording_with_the_name_of_an_axis_is_refused_before_anything_is_trained(name):
    sweep = nnlab.Sweep(
        nnlab.models.mlp([4]), blobs(), {"hidden": [[4], [5]]},
        record={name: lambda run: jnp.sum(run.x)}, epochs=1, batch_size=20,
    )  # fmt: skip
    with pytest.raises(UsageError, match=f"record {name} has the name of an axis"):
        sweep.run(progress=lambda _: pytest.fail("it trained"))
