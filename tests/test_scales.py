"""Scales: intervals lie in the frame, what explodes or vanishes flattens nothing and is said."""

import numpy as np
import pytest
import xarray as xr
from test_report import small_print

import nnlab
from nnlab.report import heatmap, learning_curves, plot
from nnlab.studies import loss_map
from nnlab.sweeps.results import Results


def losses(table, spread=0.0, **axes) -> Results:
    """Results whose validation loss is a table that we know; two seeds, this part off each mean."""
    table, spread = np.broadcast_arrays(np.asarray(table, float), spread)
    loss = np.stack([table * (1 - spread), table * (1 + spread)], axis=-1)[..., None]
    dims = (*axes, "seed")
    died = np.where(np.isinf(table), 1, 0)[..., None].repeat(2, -1)
    history = dict.fromkeys(("val_loss", "train_loss"), ((*dims, "epoch"), loss))
    return Results(
        xr.Dataset(history | {"diverged_at": (dims, died)}, {**axes, "seed": [0, 1], "epoch": [1]})
    )


RATES = {"learning_rate": [0.001, 0.01, 0.1]}


def test_the_colours_of_a_map_tell_the_good_apart_where_one_cell_explodes():
    table = [[123.0, 90.0, 2.3e30], [160.0, 150.0, 100.0]]
    figure = heatmap(
        losses(table, optimizer=["sgd", "adam"], **RATES), "learning_rate", "optimizer"
    )
    image = figure.axes[0].images[0]
    assert image.norm.vmax == pytest.approx(900)
    assert figure.axes[1]._colorbar.extend == "max"
    shades = image.norm(image.get_array())
    assert shades[1, 0] - shades[0, 1] > 0.2
    assert [t.get_text().split("\n")[0] for t in figure.axes[0].texts] == [
        "123", "90.0", "2.30e+30", "160", "150", "100",
    ]  # fmt: skip
    assert "Colours end at 900." in small_print(figure)


def test_the_colours_of_negative_losses_end_too_where_one_explodes():
    table = [[-3.0, -2.0, 1e20], [-1.0, -2.5, -2.0]]
    figure = heatmap(
        losses(table, optimizer=["sgd", "adam"], **RATES), "learning_rate", "optimizer"
    )
    norm = figure.axes[0].images[0].norm
    assert (norm.vmin, norm.vmax) == (-3, 7)


def test_colours_reach_the_worst_cell_where_none_explodes():
    table = [[0.3, 0.1, 0.5], [0.9, 0.2, 0.4]]
    figure = heatmap(
        losses(table, optimizer=["sgd", "adam"], **RATES), "learning_rate", "optimizer"
    )
    assert figure.axes[0].images[0].norm.vmax == pytest.approx(0.9)
    assert "Colours end" not in small_print(figure)
    assert figure.axes[1]._colorbar.extend == "neither"


def test_a_loss_of_zero_lies_on_the_floor_of_a_log_scale_and_the_small_print_says_so():
    results = losses([[3.4, 1.4, np.inf], [6e-7, 2e-9, 0.0]], optimizer=["sgd", "lbfgs"], **RATES)
    figure = nnlab.plot(results, "learning_rate", hue="optimizer")
    (ax,) = figure.axes
    assert ax.get_yscale() == "log"
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [6e-7, 2e-9, 1e-9])
    assert ax.get_ylim()[0] < 1e-9
    assert "What is below 1e-09 is drawn at 1e-09." in small_print(figure)
    map_ = heatmap(results, "learning_rate", "optimizer")
    assert [t.get_text().split("\n")[0] for t in map_.axes[0].texts][-1] == "0.00"
    assert not np.ma.getmaskarray(map_.axes[0].images[0].get_array())[1].any()
    assert "below 1e-09 is coloured as 1e-09" in small_print(map_)


def test_a_log_scale_ends_twelve_decades_below_its_top():
    values, said = nnlab.report.style.floored([20.0, 1.0, 1e-3, 1e-38], "val_loss")
    np.testing.assert_allclose(values, [20, 1, 1e-3, 1e-11])
    assert "1e-11" in said
    for kept in ([-1.0, 0.0], [1e-3, 1.0], [np.inf, 2.0], [np.nan]):
        values, said = nnlab.report.style.floored(kept, "val_loss")
        np.testing.assert_array_equal(values, kept)
        assert said == ""
    assert nnlab.report.style.floored([0.0, 0.5], "val_accuracy")[1] == ""


def test_every_loss_zero_has_a_figure():
    results = losses([[0.0, 0.0, 0.0]], optimizer=["lbfgs"], **RATES)
    assert nnlab.plot(results, "learning_rate").axes[0].get_yscale() == "log"
    heatmap(results, "learning_rate", "optimizer").draw_without_rendering()


def test_a_map_of_losses_bears_a_loss_of_zero():
    grid = {"optimizer": ["a", "b"], "learning_rate": [0.1, 1.0]}
    loss = xr.DataArray([[0.0, 1e-3], [1.0, np.inf]], grid, ("optimizer", "learning_rate"))
    figure = loss_map(loss, "Loss", "loss")
    figure.draw_without_rendering()
    assert "below 0.0001 is drawn at 0.0001" in small_print(figure)


# Intervals --------------------------------------------------------------------------------------

CUT = "Intervals that meet the frame reach beyond it."
STUDENT = 12.706205  # t of 95 % for two seeds: the half of an interval is that part of its mean


@pytest.mark.parametrize(
    "draw",
    [
        lambda r: nnlab.plot(r, "optimizer", "val_loss"),
        lambda r: nnlab.plot(r, "optimizer", "val_loss", hue="learning_rate"),
        lambda r: nnlab.plot(r, "learning_rate", "val_loss", col="optimizer"),
        lambda r: learning_curves(r, "val_loss", "optimizer"),
    ],
)
def test_a_frame_holds_the_intervals_of_what_is_drawn(draw):
    results = losses([[2.5, 2.5, 2.5], [2.46, 2.46, 2.46]], 0.02, optimizer=["a", "b"], **RATES)
    figure = draw(Results(results.dataset.isel(epoch=[0, 0]).assign_coords(epoch=[1, 2])))
    bottom, top = figure.axes[0].get_ylim()
    half = 0.02 * STUDENT
    assert bottom < 2.46 * (1 - half) < 2.5 * (1 + half) < top
    assert CUT not in small_print(figure)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_absurd_interval_is_cut_and_the_small_print_says_so(sign):
    table = np.array([1.0, 1.1, 1.2, 1.0]) + (sign < 0) * -2
    results = losses(table, [0.01, 0.01, 0.01, 50.0], optimizer=["a", "b", "c", "d"])
    figure = nnlab.plot(results, "optimizer", "val_loss")
    bottom, top = figure.axes[0].get_ylim()
    assert table.min() - 0.5 < bottom < top < table.max() + 0.5
    assert bottom < table.min() - 0.01 * STUDENT
    assert top > table.max() + 0.8 * 0.01 * STUDENT
    assert CUT in small_print(figure)


def test_a_lone_interval_that_is_not_zero_has_its_frame():
    results = losses([1.0, 1.0, 1.0], [0.0, 0.0, 0.05], optimizer=["a", "b", "c"])
    figure = nnlab.plot(results, "optimizer", "val_loss")
    assert figure.axes[0].get_ylim()[1] > 1 + 0.05 * STUDENT


@pytest.mark.parametrize("diverging", [50.0, 3.94e4])
def test_a_band_whose_lower_limit_no_log_scale_has_leaves_the_frame_at_the_bottom(diverging):
    results = losses([1.0, 0.8, diverging], [0.01, 0.01, 0.2], **RATES)
    figure = nnlab.plot(results, "learning_rate", "val_loss")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    corners = ax.transData.transform(ax.collections[0].get_paths()[0].vertices)
    there = ax.transData.transform((0.1, 1.0))[0]
    ends = corners[np.isclose(corners[:, 0], there), 1]
    assert ends.min() < ax.bbox.y0
    assert (CUT in small_print(figure)) == (diverging < 100)


def test_a_lone_mean_among_those_that_diverged_has_a_bar_and_the_axis_all_values():
    table = [[5.0, np.inf, np.inf], [6.0, 7.0, 8.0]]
    rates = {"learning_rate": [0.001, 0.05, 0.1]}
    figure = plot(
        losses(table, 0.1, optimizer=["sgd", "adam"], **rates), "learning_rate", hue="optimizer"
    )
    axes = figure.axes[0]
    (bar,) = axes.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 0].tolist() == [0.001, 0.001]
    assert segment[0, 1] < 5 < segment[1, 1]
    alone = plot(losses(table[0], 0.1, **rates), "learning_rate").axes[0]
    low, high = alone.get_xlim()
    assert low < 0.001 < 0.1 < high
