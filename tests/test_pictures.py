"""What a picture shows where a sweep is unusual: configs beside axes, nothing finite, one point."""

import numpy as np
import pytest
import xarray as xr
from test_results import synthetic

import nnlab
from nnlab.errors import UsageError
from nnlab.report import heatmap, learning_curves
from nnlab.sweeps.results import Results
from nnlab.sweeps.statistics import t_interval


@pytest.fixture(scope="module")
def mixed() -> Results:
    """Three configs of an optimizer and a rate, crossed with two activations."""
    axes = {"config": np.arange(3), "activation": np.array(["relu", "tanh"])}
    knobs = {
        "optimizer": ("config", ["sgd", "adam", "momentum"]),
        "learning_rate": ("config", [0.1, 0.01, 0.02]),
    }
    return Results(synthetic(axes).dataset.assign_coords(knobs))


def names(figure) -> list[str]:
    (legend,) = figure.legends
    return [entry.get_text().replace("\n", " ") for entry in legend.get_texts()]


def test_configs_beside_an_axis_are_named_by_their_own_knobs(mixed):
    expected = ["optimizer sgd, learning rate 0.1", "optimizer adam, learning rate 0.01"]
    expected += ["optimizer momentum, learning rate 0.02"]
    assert names(nnlab.plot(mixed, "activation", "val_loss", hue="config"))[:3] == expected
    curves = nnlab.plot(mixed, "epoch", "val_loss", hue="config", col="activation")
    assert names(curves)[:3] == expected
    along = nnlab.plot(mixed, "config", "val_loss", hue="activation").axes[0]
    assert [tick.get_text() for tick in along.get_xticklabels()] == expected
    assert not any(len(line.get_xdata()) > 1 for line in along.lines if line.get_linestyle() == "-")


def test_a_knob_of_configs_is_drawn_with_the_other_axes_at_their_best(mixed):
    figure = nnlab.plot(mixed, "learning_rate", "val_loss", hue="optimizer")
    assert sum(len(dots.get_offsets()) for dots in figure.axes[0].collections) == 3
    assert "the best activation by validation loss" in figure.get_supxlabel().replace("\n", " ")
    with pytest.raises(UsageError, match="unknown axis 'activation'; choose from"):
        nnlab.plot(mixed, "learning_rate", "val_loss", hue="activation")


def test_a_curve_that_diverged_at_once_is_crossed_out_at_its_first_epoch():
    results = synthetic({"optimizer": np.array(["sgd", "adam"])}, epochs=4)
    lost = results.dataset.copy(deep=True)
    lost["val_loss"][:] = np.nan
    lost["diverged_at"][:] = 1
    figure = learning_curves(Results(lost), "val_loss", "optimizer")
    (ax,) = figure.axes
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [1, 1]
    assert len({line.get_ydata()[0] for line in crosses}) == 2
    assert names(figure)[-1] == "a seed diverged"
    assert ax.get_xlim()[0] < 1 < 4 < ax.get_xlim()[1]


def test_an_axis_with_zero_fills_its_panel():
    decays = np.array([0.0, 1e-4, 1e-2])
    ax = nnlab.plot(synthetic({"weight_decay": decays}), "weight_decay", "val_loss").axes[0]
    low, high = ax.transAxes.inverted().transform(ax.transData.transform([(0, 1), (1e-2, 1)]))[:, 0]
    assert 0 < low < 0.1 < 0.9 < high < 1


@pytest.mark.parametrize("x", ["epoch", "learning_rate"])
def test_a_single_point_has_its_interval(x):
    results = synthetic({"learning_rate": np.array([0.1])}, epochs=1)
    ax = nnlab.plot(results, x, "val_loss").axes[0]
    (bars,) = ax.containers
    assert bars.has_yerr
    if x == "epoch":
        assert ax.get_xticks().tolist() == [1]


def test_a_heat_map_tells_half_an_interval_even_where_it_ends_at_one():
    axes = {"learning_rate": np.array([0.1, 1.0]), "init": np.array(["he", "xavier"])}
    results = synthetic(axes, seeds=2)
    accuracy = results["val_accuracy"].copy()
    accuracy[..., 0, :], accuracy[..., 1, :] = 0.7, 0.9
    finished = xr.zeros_like(results["diverged_at"])
    results = Results(results.dataset.assign(val_accuracy=accuracy, diverged_at=finished))
    said = {t.get_text() for t in heatmap(results, "learning_rate", "init").axes[0].texts}
    found = t_interval([0.7, 0.9])
    assert said == {f"80.0\n±{100 * float(found.high - found.mean):.1f}"}


def test_a_knob_along_another_axis_is_drawn_over_its_values():
    results = synthetic(
        {"activation": np.array(["relu", "tanh"]), "init": np.array(["he", "unit"])}
    )
    chosen = {"learning_rate": ("activation", [0.1, 0.01])}
    results = Results(results.dataset.assign_coords(chosen))
    figure = nnlab.plot(results, "learning_rate", "val_loss", hue="activation")
    assert sum(len(dots.get_offsets()) for dots in figure.axes[0].collections) == 2
    assert "the best init" in figure.get_supxlabel()
    with pytest.raises(UsageError, match="unknown axis 'nothing'"):
        nnlab.plot(results, "nothing", "val_loss")
