"""Parts of results by value, and what is best where runs diverged."""

import numpy as np
import pytest
from engine import blobs
from test_results import synthetic

import nnlab
from nnlab.errors import UsageError
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
