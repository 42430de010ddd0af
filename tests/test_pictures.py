"""What a picture shows where a sweep is unusual: configs beside axes, nothing finite, one point."""

import numpy as np
import pytest
import xarray as xr
from test_report import drawn, small_print
from test_results import interrupted, random_search, synthetic

import nnlab
from nnlab.errors import UsageError
from nnlab.report import differences, heatmap, labels, learning_curves
from nnlab.studies import paths
from nnlab.studies.surfaces import SURFACES
from nnlab.sweeps.results import Results


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
    said = [tick.get_text().replace("\n", " ") for tick in along.get_xticklabels()]
    assert said == expected
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


def test_half_an_interval_on_a_heat_map_reaches_no_further_than_accuracies_do():
    axes = {"learning_rate": np.array([0.1, 1.0]), "init": np.array(["he", "xavier"])}
    results = synthetic(axes, seeds=2)
    accuracy = results["val_accuracy"].copy()
    accuracy[..., 0, :], accuracy[..., 1, :] = 0.7, 0.9
    finished = xr.zeros_like(results["diverged_at"])
    results = Results(results.dataset.assign(val_accuracy=accuracy, diverged_at=finished))
    said = {t.get_text() for t in heatmap(results, "learning_rate", "init").axes[0].texts}
    assert said == {"80.0\n±80.0"}  # Student's 80 ± 127


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


# Labels that fit ---------------------------------------------------------------------------------

LONG = ["adam(beta1=0.8, beta2=0.99, eps=1e-6)", "adam(beta1=0.95, beta2=0.9999, eps=1e-8)"]
LONG += ["momentum(0.95)"]
WORDS = {"optimizer": LONG, "init": ["he_normal", "xavier_normal"], "activation": ["relu", "tanh"]}


def long_configs(count: int) -> Results:
    """Configs whose names are longer than any place along x."""
    axes = {"config": np.arange(count), "activation": np.array(["relu", "tanh"])}
    knobs = {
        "optimizer": ("config", [LONG[i % 3] for i in range(count)]),
        "learning_rate": ("config", np.geomspace(1e-3, 1e-1, count)),
        "weight_decay": ("config", np.full(count, 1e-4)),
    }
    return Results(synthetic(axes, seeds=2, epochs=2).dataset.assign_coords(knobs))


def panels(figure) -> list:
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def touching(figure) -> list:
    """The pairs of texts that lie on each other, measured after laying the figure out."""
    found = [(text, box) for text, box in drawn(figure) if box.width > 0]
    return [
        (text, other)
        for i, (text, box) in enumerate(found)
        for other, second in found[i + 1 :]
        if box.padded(-2).overlaps(second.padded(-2))
    ]


CROWDED = {
    "words in panels": lambda: nnlab.plot(
        synthetic(WORDS, epochs=2), "optimizer", hue="init", col="activation"
    ),
    "words in many panels": lambda: nnlab.plot(
        synthetic(WORDS | {"batch_size": [1, 2, 3, 4, 5, 6]}, epochs=2),
        "optimizer", hue="init", col="batch_size",
    ),
    "few configs": lambda: nnlab.plot(long_configs(3), "config", hue="activation"),
    "many configs": lambda: nnlab.plot(long_configs(12), "config", hue="activation"),
    "knobs of configs": lambda: nnlab.plot(long_configs(12), "optimizer", hue="learning_rate"),
    "words by words": lambda: nnlab.plot(
        random_of_words(), "optimizer", hue="activation"
    ),
    "columns of a map": lambda: heatmap(synthetic(WORDS, epochs=2), "optimizer", "init"),
    "rows of a map": lambda: heatmap(synthetic(WORDS, epochs=2), "init", "optimizer"),
    "configs of a map": lambda: heatmap(long_configs(12), "config", "activation"),
    "rows of configs": lambda: heatmap(long_configs(12), "activation", "config"),
}  # fmt: skip


def random_of_words() -> Results:
    """A random search over long words."""
    results = random_search(12, seeds=2, epochs=2)
    knobs = {"optimizer": ("config", LONG * 4), "activation": ("config", ["relu", "tanh"] * 6)}
    return Results(results.dataset.assign_coords(knobs))


@pytest.mark.parametrize("case", CROWDED)
def test_long_labels_leave_the_panels_their_room_and_touch_nothing(case):
    figure = CROWDED[case]()
    assert touching(figure) == []
    columns = panels(figure)[0].get_subplotspec().get_gridspec().ncols
    rows = panels(figure)[0].get_subplotspec().get_gridspec().nrows
    for ax in panels(figure):
        box = ax.get_position()
        assert box.width > 0.5 / columns, box
        assert box.height > 0.4 / rows, box
    page = figure.bbox
    for text, box in drawn(figure):
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1, text


def test_labels_without_room_are_numbers_whose_key_says_every_one():
    results = long_configs(12)
    figure = nnlab.plot(results, "config", hue="activation")
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(i) for i in range(1, 13)]
    said = small_print(figure)
    assert "Config (optimizer, learning rate, weight decay) 1: " in said
    for i, rate in enumerate(results.labels("learning_rate"), 1):
        assert f"{i}: {LONG[(i - 1) % 3]}, {rate:.3g}, 0.0001" in said


def test_a_label_is_broken_between_its_parts_only():
    assert labels.broken("adam(beta1=0.8, eps=1e-6)", 16) == "adam(beta1=0.8,\neps=1e-6)"
    assert labels.broken("xavier_normal", 8) == "xavier_\nnormal"
    assert labels.broken("relu", 3) is None


@pytest.mark.parametrize("count", [3, 5, 6, 8, 20])
def test_numbers_along_narrow_panels_do_not_touch_and_keep_the_powers_of_ten(count):
    axes = {"activation": ["relu", "tanh", "elu"], "optimizer": ["sgd", "adam"]}
    axes["learning_rate"] = np.geomspace(1e-3, 1e-1, count)
    figure = nnlab.plot(
        synthetic(axes, epochs=2), "learning_rate", hue="optimizer", col="activation"
    )
    assert touching(figure) == []
    shown = figure.axes[0].get_xticks()
    assert {1e-3, 1e-1} <= {float(f"{x:.6g}") for x in shown}
    assert count % 2 == 0 or 1e-2 in shown.round(6)


def test_crosses_above_one_panel_leave_all_titles_at_one_height():
    axes = {"init": np.array(["he", "unit"]), "learning_rate": np.geomspace(1e-4, 1e-2, 5)}
    lost = synthetic(axes, diverge=1e9).dataset.copy(deep=True)
    lost["diverged_at"][1, -1] = 1
    figure = nnlab.plot(Results(lost), "learning_rate", "val_accuracy", col="init")
    crosses = [[line for line in ax.lines if line.get_marker() == "x"] for ax in figure.axes]
    assert [len(lines) for lines in crosses] == [0, 1]
    heights = {text: box.y0 for text, box in drawn(figure) if text in ("he", "unit")}
    assert heights["he"] == pytest.approx(heights["unit"])


def test_a_series_has_its_row_of_crosses_in_every_panel():
    axes = {"init": ["he", "unit"], "optimizer": ["sgd", "adam"], "learning_rate": [0.1, 1.0]}
    lost = synthetic(axes, diverge=1e9).dataset.copy(deep=True)
    lost["diverged_at"][0, :, -1] = lost["diverged_at"][1, 1, -1] = 1
    figure = nnlab.plot(Results(lost), "learning_rate", "val_accuracy", hue="optimizer", col="init")
    figure.draw_without_rendering()
    rows = [
        {line.get_color(): line.get_window_extent().y0 for line in ax.lines if _is_cross(line)}
        for ax in figure.axes
    ]
    (shared,) = set(rows[0]) & set(rows[1])
    assert rows[0][shared] == pytest.approx(rows[1][shared])


def _is_cross(line) -> bool:
    return line.get_marker() == "x"


# What the small print owes ----------------------------------------------------------------------


def unfinished() -> Results:
    axes = {"optimizer": ["sgd", "adam"], "learning_rate": np.geomspace(1e-3, 1e-1, 4)}
    axes["init"] = ["he", "unit"]
    return interrupted(synthetic(axes, seeds=6), lambda seed, config: seed < 2 - config // 12)


@pytest.mark.parametrize(
    "draw",
    [
        lambda r: nnlab.plot(r, "learning_rate", hue="optimizer"),
        lambda r: learning_curves(r, hue="optimizer"),
        lambda r: heatmap(r, "learning_rate", "optimizer"),
    ],
)
def test_an_unfinished_sweep_says_how_much_of_it_is_there(draw):
    said = small_print(draw(unfinished()))
    assert "Unfinished: 68 of 96 runs." in said
    assert "2 seeds, 95 % intervals" in said
    assert "6 seeds" not in said


def test_a_sweep_of_which_one_seed_is_finished_has_no_intervals():
    results = interrupted(synthetic({"optimizer": ["sgd", "adam"]}), lambda seed, config: seed == 0)
    assert "One seed: no intervals." in small_print(nnlab.plot(results, "optimizer"))


def test_a_figure_of_tuned_results_says_what_was_tuned_and_by_what():
    axes = {"optimizer": ["sgd", "adam"], "init": ["he", "unit"]}
    results = synthetic(axes | {"learning_rate": [0.01, 0.1], "batch_size": [10, 100]})
    tuned = results.tuned("val_loss", over="learning_rate")
    figure = nnlab.plot(tuned, "init", "test_accuracy", hue="optimizer")
    assert "The learning rate was tuned for each point by validation loss." in small_print(figure)
    assert "best batch size by validation accuracy" in small_print(figure)
    said = small_print(heatmap(tuned, "init", "optimizer"))
    assert "The learning rate was tuned for each cell by validation loss." in said
    del tuned.dataset.attrs["tuned_by"]  # as where a person paired optimizers with rates
    assert "The learning rate was" not in small_print(heatmap(tuned, "init", "optimizer"))
    both = results.tuned("val_loss", over=("learning_rate", "batch_size"))
    said = small_print(nnlab.plot(both, "init", hue="optimizer"))
    assert "The learning rate and batch size were tuned for each point by validation loss." in said
    one = results.tuned("val_loss", over=("learning_rate", "batch_size", "init"))
    assert "by validation loss" in small_print(differences(one, "optimizer", "sgd"))
    assert "tuned" not in small_print(nnlab.plot(results, "init", hue="optimizer"))


def test_knobs_that_configs_set_were_not_tuned(mixed):
    assert "tuned" not in small_print(nnlab.plot(mixed, "config", "val_loss"))


def test_the_star_of_a_minimum_lies_above_the_contours():
    walk = np.array([[-7.0, 2.0], [-3.0, 1.0]])
    (ax,) = paths(SURFACES["ellipse"], {"one": {"sgd": walk}}, "Paths").axes
    (star,) = [line for line in ax.lines if line.get_marker() == "*"]
    assert star.get_zorder() > max(drawn.get_zorder() for drawn in ax.collections)
