"""Parts of results by value, and what is best where runs diverged."""

import numpy as np
import pytest
import xarray as xr
from engine import blobs
from test_results import random_search, synthetic

import nnlab
from nnlab.errors import UsageError
from nnlab.report import learning_curves
from nnlab.report.cautions import cautions
from nnlab.report.drawing import looks
from nnlab.report.page import write
from nnlab.report.style import number, text, texts
from nnlab.report.table import headline, leaders
from nnlab.report.terminal import crossed
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.results import Results

RATES = {"learning_rate": np.array([0.01, 0.1, 1.0])}


@pytest.fixture(scope="module")
def results() -> Results:
    return synthetic(RATES)


@pytest.mark.parametrize("make", [list, tuple, np.array])
def test_several_values_keep_their_axis(results, make):
    part = results.sel(learning_rate=make([1.0, 0.01]))
    assert part.labels("learning_rate").tolist() == [1.0, 0.01]
    np.testing.assert_array_equal(part["val_loss"], results["val_loss"][[2, 0]])


@pytest.mark.parametrize("value", [0.1, np.float32(0.1), np.float64(0.1), np.array(0.1)[()]])
def test_one_value_leaves_its_axis(results, value):
    part = results.sel(learning_rate=value)
    assert part.axes == ()
    np.testing.assert_array_equal(part["val_loss"], results["val_loss"][1])


def test_seeds_stay_an_axis(results):
    assert results.sel(seed=1).labels("seed").tolist() == [1]
    assert results.sel(seed=range(2)).labels("seed").tolist() == [0, 1]
    assert results.sel(seed=1).best("val_loss")["n"] == 1


def test_no_value_is_refused(results):
    with pytest.raises(UsageError, match="sel got no value of seed; give one or more"):
        results.sel(seed=[])


def known_epochs() -> Results:
    """Runs of 2 and of 4 epochs, of two seeds each, of which no loss or accuracy is missing."""
    dims = ("epochs", "seed", "epoch")
    value = np.arange(1.0, 17.0).reshape(2, 2, 4) / 100
    value[0, :, 2:] = np.nan
    died = (dims[:2], np.zeros((2, 2), int))
    coords = {"epochs": [2, 4], "seed": [0, 1], "epoch": [1, 2, 3, 4]}
    variables = {"val_loss": (dims, value), "val_accuracy": (dims, value), "diverged_at": died}
    return Results(xr.Dataset(variables, coords))


def test_a_selected_number_of_epochs_ends_where_its_runs_end():
    results = known_epochs()
    short = results.sel(epochs=2)
    for metric in ("val_loss", "val_accuracy"):
        np.testing.assert_array_equal(short.values(metric), [0.02, 0.06])
        assert np.isnan(short.values(metric, "all").sel(epoch=3)).all()
        assert np.isnan(results.values(metric, 3).sel(epochs=2)).all()
    assert float(results.sel(epochs=[2]).best("val_accuracy")["val_accuracy"]) == 0.04
    assert float(results.best("val_loss")["val_loss"]) == 0.04
    assert "Validation accuracy 14.0 %" in headline(results)


def test_the_best_number_of_epochs_is_missing_where_no_run_is_finished():
    results = known_epochs()
    results.dataset["diverged_at"][:] = -1
    best = results.best("val_loss")
    assert np.isnan(best["epochs"])
    assert np.isnan(best["val_loss"])


def test_the_smaller_gap_between_accuracies_is_the_better():
    results = synthetic(RATES)
    gap = xr.DataArray([0.3, 0.1, 0.2], dims="learning_rate").broadcast_like(results.finished)
    results = Results(results.dataset.assign(accuracy_gap=gap).isel(learning_rate=[0, 1]))
    assert float(results.best("accuracy_gap")["learning_rate"]) == 0.1
    assert number(0.123, "accuracy_gap") == "12.3 %"


def test_a_place_of_which_every_run_diverged_is_never_best():
    diverged = synthetic(RATES, diverge=0.0)
    assert bool(diverged.diverged.all())
    best = diverged.best("val_accuracy")
    assert np.isnan(best["learning_rate"])
    assert not best["at_border"]
    some = synthetic(RATES, diverge=20.0)
    assert some.diverged.all("seed").values.tolist() == [False, False, True]
    worse = some.dataset.assign(val_accuracy=some["val_accuracy"].copy())
    worse["val_accuracy"][2] = 0.999  # what a diverged network answers counts for nothing
    assert float(Results(worse).best("val_accuracy")["learning_rate"]) < 1.0


def test_a_picture_of_what_diverged_has_no_numbers_along_y():
    figure = nnlab.plot(synthetic(RATES, diverge=0.0), "learning_rate", "val_loss")
    assert figure.axes[0].get_yticks().size == 0


def test_the_directory_of_a_sweep_is_not_a_saved_file(tmp_path):
    out = tmp_path / "runs"
    nnlab.Sweep(nnlab.models.mlp([4]), blobs(), {}, epochs=1, batch_size=20).run(
        out, progress=False
    )
    with pytest.raises(UsageError, match=r"there is no .*results.nc; nnlab.load\('.*runs'\) reads"):
        Results.open(out)


NEAR_ONE = [0.9, 0.99, 0.999, 0.9999, 0.99999]


def test_numbers_are_short_and_told_apart():
    assert [text(v) for v in (0.1, 1e-4, 0.000316228, 0.5, 1.0, 123.0)] == [
        *("0.1", "0.0001", "0.000316", "0.5", "1", "123")
    ]
    assert texts(NEAR_ONE) == [*("0.9", "0.99", "0.999", "0.9999", "0.99999")]
    assert texts([1e-3, 1.0001e-3]) == ["0.001", "0.0010001"]
    assert texts(["a", True, None, 0.25]) == ["a", "on", "–", "0.25"]
    assert texts([0.1, float("nan"), float("nan"), 0.1]) == ["0.1", "–", "–", "0.1"]


@pytest.mark.parametrize("values", [NEAR_ONE, [1.0, 1.0001, 1.0002, 1.0003, 1.0004]])
def test_every_value_of_a_hue_has_a_curve_and_a_column_of_its_own(values):
    results = synthetic({"beta2": np.array(values), "init": np.array(["he", "xavier"])})
    figure = nnlab.plot(results, "init", "val_accuracy", hue="beta2")
    (legend,) = figure.legends
    names = [entry.get_text() for entry in legend.get_texts()]
    assert len(set(names)) >= len(values)
    assert len(figure.axes[0].containers) == len(values)
    assert crossed(results, "init", "beta2", "val_accuracy").shape == (2, 1 + len(values))


def test_configs_that_read_alike_have_curves_of_their_own():
    results = random_search(configs=3)
    alike = {k: ("config", [results.labels(k)[0]] * 3) for k in results.knobs}
    found = looks(Results(results.dataset.assign_coords(alike)), "config")
    assert [name[-4:] for name in found] == [" (0)", " (1)", " (2)"]


def test_a_panel_of_a_config_says_what_the_config_is():
    axes = {"config": np.arange(2), "activation": np.array(["relu", "tanh"])}
    knobs = {"optimizer": ("config", ["sgd", "adam"]), "learning_rate": ("config", [0.1, 0.01])}
    results = Results(synthetic(axes).dataset.assign_coords(knobs))
    figure = nnlab.plot(results, "activation", col="config")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["optimizer sgd,\nlearning rate 0.1", "optimizer adam,\nlearning rate 0.01"]


# Draws of initial weights are chance -------------------------------------------------------------


@pytest.fixture
def drawn() -> Results:
    axes = {"learning_rate": np.array([0.01, 0.1]), "draw": np.array([0, 1, 2, 3, 4])}
    return synthetic(axes, noise=0.05)


def test_no_number_is_that_of_the_best_draw(drawn):
    averaged = over_draws(drawn)
    assert averaged.axes == ("learning_rate",)
    best = drawn.best("val_accuracy")
    assert best["val_accuracy"].dims == ("draw",)
    everything = drawn.mean("val_accuracy", over=["draw", "seed"])["mean"]
    np.testing.assert_allclose(averaged.mean("val_accuracy")["mean"], everything)
    mean = float(averaged.best("val_accuracy")["val_accuracy"])
    assert mean < float(drawn.best("val_accuracy", over=drawn.axes)["val_accuracy"])
    assert f"{100 * mean:.1f} %" in headline(drawn)
    assert "draw" not in headline(drawn)
    assert not any("draw" in sentence for sentence in cautions(drawn))
    assert next(iter(leaders(drawn).columns)) == "learning_rate"


def test_figures_say_that_they_show_means_of_draws(drawn):
    for figure in (
        nnlab.plot(drawn, "learning_rate", "val_loss"),
        learning_curves(drawn, "val_loss", "learning_rate"),
    ):
        assert "Means of 5 draws of initial weights." in figure.get_supxlabel().replace("\n", " ")
    assert "draws" not in nnlab.plot(drawn, "draw", "val_loss").get_supxlabel()


def test_one_draw_that_diverged_or_is_missing_is_not_averaged_away(drawn):
    at = drawn.dataset["diverged_at"]
    at[:] = 0
    at[0, 3, 1], at[1, 2, 0] = 7, -1
    averaged = over_draws(drawn)["diverged_at"]
    assert averaged.values.tolist() == [[0, 7, 0], [-1, 0, 0]]
    assert averaged.dtype == at.dtype


def test_a_report_of_draws_keeps_all_of_them_in_its_files(drawn, tmp_path):
    page = write(drawn, tmp_path).read_text()
    assert "<h2>By draw" not in page
    assert Results.open(tmp_path).axes == drawn.axes
