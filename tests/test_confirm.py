"""What was chosen is trained anew: from fresh seeds, with what it reads, and nothing else."""

import numpy as np
import pytest
from engine import blobs

import nnlab
from nnlab import UsageError, confirm
from nnlab.report.confirmed import confirmed, confirmed_values
from nnlab.sweeps.confirm import learned
from nnlab.sweeps.results import Results

SMALL = {"epochs": 3, "batch_size": 20}


def sweep_of(axes, **knobs) -> nnlab.Sweep:
    return nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **SMALL | knobs)


@pytest.fixture(scope="module")
def sweep():
    axes = {"activation": ["tanh", "relu"], "learning_rate": [1e-5, 0.03], "seed": [0, 1]}
    return sweep_of(axes, dropout=0.5)


@pytest.fixture(scope="module")
def results(sweep):
    return sweep.run(progress=False)


def preferring(results: Results, **place) -> Results:
    """The results, had this place been by far the best on validation data."""
    dataset = results.dataset.copy(deep=True)
    dataset["val_accuracy"] *= 0.5
    dataset["val_accuracy"].loc[place] = 1.0
    return Results(dataset)


def test_each_value_is_confirmed_at_its_own_best_place_by_fresh_seeds(sweep, results):
    found = confirm(sweep, results, "activation", [7, 8, 9], progress=False)
    assert found.axes == ("activation",)
    assert found.labels("activation").tolist() == ["tanh", "relu"]
    assert found.labels("learning_rate").tolist() == [0.03, 0.03]
    assert found.labels("seed").tolist() == [7, 8, 9]
    axes = {"activation": ["relu"], "learning_rate": [0.03], "seed": [7]}
    alone = sweep_of(axes, dropout=0.5)
    mine = found["test_accuracy"].sel(activation="relu", seed=7)
    np.testing.assert_allclose(mine, alone.run(progress=False)["test_accuracy"].squeeze())


def test_without_an_axis_the_best_config_is_by_seeds_after_those_that_chose(sweep, results):
    found = confirm(sweep, preferring(results, activation="relu", learning_rate=0.03), seeds=2)
    assert found.axes == ()
    assert found.labels("seed").tolist() == [2, 3]
    alone = sweep_of({"seed": [2, 3]}, activation="relu", learning_rate=0.03, dropout=0.5)
    np.testing.assert_array_equal(
        found["test_accuracy"], alone.run(progress=False)["test_accuracy"]
    )


def test_what_has_no_best_place_cannot_be_confirmed_and_a_fixed_seed_does_not_matter(sweep):
    axes = {"activation": ["tanh", "relu"], "learning_rate": [0.01, 0.03]}
    fixed = sweep_of(axes, seed=3, epochs=1)
    results = fixed.run(progress=False)
    again = confirm(fixed, results, "activation", [7], progress=False)
    assert again.labels("seed").tolist() == [7]
    lost = results.dataset.copy(deep=True)
    lost["diverged_at"][1] = 1
    with pytest.raises(UsageError, match="no run of activation relu finished without diverging"):
        confirm(fixed, Results(lost), "activation", [7], progress=False)
    part = learned(fixed, Results(lost), "activation")
    rest = confirm(fixed, part, "activation", [7], progress=False)
    assert rest.labels("activation").tolist() == ["tanh"]
    np.testing.assert_array_equal(rest["val_loss"][0], again["val_loss"][0])
    lost["diverged_at"][:] = 1
    with pytest.raises(UsageError, match="no run finished without diverging, nothing to confirm"):
        confirm(fixed, Results(lost), progress=False)


@pytest.mark.parametrize("knobs", [{}, {"momentum": 0.8}], ids=["an axis", "a fixed knob"])
def test_a_knob_that_the_best_does_not_read_is_left_out(knobs):
    axes = {"optimizer": ["adam", "momentum"], "seed": [0]}
    axes |= {} if knobs else {"momentum": [0.5, 0.8]}
    sweep = sweep_of(axes, **knobs)
    results = preferring(sweep.run(progress=False), optimizer="adam")
    best = confirm(sweep, results, seeds=1, progress=False)
    assert best.settings["optimizer"] == "adam"
    assert "momentum" not in best.settings
    each = confirm(sweep, results, "optimizer", 1, progress=False)
    if not knobs:
        np.testing.assert_array_equal(np.isnan(each.labels("momentum")), [True, False])
    np.testing.assert_allclose(each["val_loss"].sel(optimizer="adam"), best["val_loss"], rtol=1e-5)


def test_nothing_is_chosen_among_draws_which_are_trained_again():
    sweep = sweep_of({"draw": [0, 1, 2], "activation": ["tanh", "relu"], "seed": [0]}, epochs=1)
    results = sweep.run(progress=False)
    dataset = results.dataset.copy(deep=True)
    dataset["val_accuracy"][:] = np.array([[0.9, 0.6], [0.2, 0.6], [0.2, 0.6]])[..., None, None]
    found = confirm(sweep, Results(dataset), seeds=1, progress=False)
    assert found.settings["activation"] == "relu"
    assert found.axes == ("draw",)
    with pytest.raises(UsageError, match="unknown axis 'draw'"):
        confirm(sweep, results, "draw")


def test_configs_are_confirmed_as_the_knobs_they_set():
    configs = [{"optimizer": "sgd", "learning_rate": 1e-6}, {"optimizer": "adam"} | {
        "learning_rate": 0.03
    }]  # fmt: skip
    sweep = sweep_of({"config": configs, "activation": ["tanh", "relu"], "seed": [0, 1]})
    results = sweep.run(progress=False)
    best = confirm(sweep, results, seeds=1, progress=False)
    assert (best.settings["optimizer"], best.settings["learning_rate"]) == ("adam", 0.03)
    each = confirm(sweep, results, "config", 1, progress=False)
    assert each.labels("learning_rate").tolist() == [1e-6, 0.03]
    assert each.labels("config").tolist() == [0, 1]


def test_what_chose_is_measured_again():
    axes = {"learning_rate": [1e-5, 0.03], "seed": [0]}
    sweep = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, metrics="brier", **SMALL)
    results = sweep.run(progress=False, by="val_brier")
    found = confirm(sweep, results, seeds=2, progress=False)
    assert found.headline == "val_brier"
    assert "test brier" in confirmed(results, found)


def test_of_several_losses_the_chosen_one_is_measured_as_it_was_chosen():
    x = np.linspace(-1, 1, 90, dtype=np.float32)[:, None]
    data = nnlab.data.from_arrays(x, 3 * x[:, 0], validation=20, test=20, name="line")
    axes = {"loss": ["squared_error", "huber"], "seed": [0]}
    sweep = nnlab.Sweep(nnlab.models.mlp([4]), data, axes, **SMALL)
    results = sweep.run(progress=False)
    found = confirm(sweep, results, seeds=2, progress=False)
    assert found.headline == results.headline == "val_squared_error"
    assert "test squared error" in confirmed(results, found)


def test_the_sentence_has_both_scores_and_how_many_were_compared(sweep, results):
    found = confirm(sweep, results, seeds=3, progress=False)
    was = results.best(report="test_accuracy")
    said = confirmed(results, found)
    assert said.startswith("Chosen among 4 configs: test accuracy ")
    assert f"{100 * float(was['test_accuracy']):.1f} %" in said.partition(";")[0]
    assert f"on 3 fresh seeds: {100 * float(found['test_accuracy'].mean()):.1f} %" in said


def test_the_table_has_both_scores_of_each_value_the_best_first(sweep, results):
    found = confirm(sweep, results, "activation", 3, progress=False)
    title, table = confirmed_values(results, found)
    assert title == "Test accuracy of each activation at its best, of 4 configs"
    assert list(table) == ["activation", "learning rate", "by 2 choosing seeds", "by 3 fresh seeds"]
    mean = found.mean("test_accuracy")["mean"]
    first = mean.sel(activation=table["activation"].iloc[0])
    assert float(first) == float(mean.max())
    assert table["by 3 fresh seeds"].iloc[0].startswith(f"{100 * float(first):.1f} %")


REFUSED = {
    "no such axis": (lambda r: r, {"axis": "activatoin"}, "did you mean 'activation'"),
    "seeds that chose": (lambda r: r, {"seeds": [1, 2]}, "seed 1 helped to choose"),
    "no seeds": (lambda r: r, {"seeds": 0}, "seeds needs a whole number from 1"),
    "an axis is missing": (
        lambda r: r.sel(activation="relu"),
        {},
        "with activation, learning_rate; these have learning_rate",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_confirmed_is_one_line(sweep, results, case):
    change, arguments, said = REFUSED[case]
    with pytest.raises(UsageError, match=said) as caught:
        confirm(sweep, change(results), progress=False, **arguments)
    assert "\n" not in str(caught.value)


def test_results_of_another_sweep_confirm_nothing(sweep, results):
    axes = dict(sweep.axes)
    small, data = nnlab.models.mlp([8]), blobs()
    others = {
        "epochs": sweep_of(axes, dropout=0.5, epochs=4),
        "dropout": sweep_of(axes, dropout=0.4),
        "model": nnlab.Sweep(nnlab.models.mlp([9]), data, axes, dropout=0.5, **SMALL),
        "data": nnlab.Sweep(small, blobs(features=6), axes, dropout=0.5, **SMALL),
        "activation relu": sweep_of({**axes, "activation": ["tanh", "elu"]}, dropout=0.5),
    }
    for what, other in others.items():
        with pytest.raises(UsageError, match=f"results of another sweep: the.*{what}"):
            confirm(other, results, progress=False)
    more = sweep_of({**axes, "seed": [5]}, dropout=0.5, record="layers")
    assert confirm(more, results, seeds=1, progress=False).runs == 1
