"""Figures carry their labels and scales, nothing is shown in silence, the page tells its doubts."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from test_results import AXES, interrupted, random_search, synthetic

from nnlab.errors import UsageError
from nnlab.report import (
    cautions,
    configs,
    headline,
    heatmap,
    leaders,
    learning_curves,
    plot,
    ranking,
    response,
    style,
    write,
)
from nnlab.sweeps.results import Results

RATES = np.geomspace(1e-4, 1.0, 9)
MANY = {"optimizer": [f"rule_{i}" for i in range(12)], "learning_rate": RATES}


@pytest.fixture(scope="module")
def sweep():
    return synthetic()


def small_print(fig):
    return fig._supxlabel.get_text().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


def legend(fig):
    return [t.get_text() for t in fig.legends[0].get_texts()] if fig.legends else []


def drawn(fig):
    """Every text that a figure shows, with its place, after laying it out."""
    fig.draw_without_rendering()
    hidden = set()
    for axis in (axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    texts = fig.findobj(lambda a: isinstance(a, Text) and a.get_visible() and a.get_text())
    return [(t.get_text(), t.get_window_extent()) for t in texts if t not in hidden]


def test_a_response_has_labels_a_log_rate_and_a_line_per_optimizer(sweep):
    fig = response(sweep)
    (ax,) = fig.axes
    assert ax.get_xlabel() == "learning rate"
    assert ax.get_ylabel() == "validation accuracy"
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == "linear"
    assert legend(fig) == ["sgd", "momentum", "adam", "a seed diverged"]
    line = ax.lines[2]
    expected = sweep.tuned("val_accuracy", ["init", "activation"]).mean("val_accuracy")["mean"]
    np.testing.assert_allclose(line.get_xdata(), RATES)
    np.testing.assert_allclose(line.get_ydata(), expected.sel(optimizer="adam"))
    assert "best init and activation by validation accuracy" in small_print(fig)
    assert "3 seeds, 95 % intervals" in small_print(fig)


def test_a_loss_is_drawn_on_a_log_scale_without_its_diverged_places(sweep):
    fig = response(sweep, "val_loss", col="init")
    assert [ax.get_title(loc="left") for ax in fig.axes] == AXES["init"]
    for ax in fig.axes:
        assert ax.get_yscale() == "log"
        adam = ax.lines[2].get_ydata()
        np.testing.assert_array_equal(np.isnan(adam), RATES > 0.06)
        crosses = [line for line in ax.lines if line.get_marker() == "x"]
        assert [len(line.get_xdata()) for line in crosses] == [1, 3]


def test_a_line_is_drawn_at_the_same_places_as_its_band(sweep):
    fig = learning_curves(sweep, hue="optimizer")
    tuned = sweep.tuned("val_accuracy", ["init", "activation", "learning_rate"])
    table = tuned.mean("val_accuracy", epoch="all").sel(optimizer="sgd")
    (ax,) = fig.axes
    vertices = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(vertices[:, 1].min(), table["low"].min())
    np.testing.assert_allclose(vertices[:, 1].max(), table["high"].max())
    assert ax.get_xlabel() == "epoch"


def test_a_loss_far_above_the_others_is_marked_above_the_frame():
    d = synthetic({"learning_rate": RATES[:5]}).dataset
    results = Results(d.assign(val_loss=d["val_loss"].where(d["learning_rate"] != RATES[1], 1e9)))
    fig = plot(results, "learning_rate", "val_loss")
    assert fig.axes[0].get_ylim()[1] < 1e4
    assert legend(fig) == ["a seed diverged,\nor above the frame"]
    np.testing.assert_allclose(fig.axes[0].lines[-1].get_xdata(), RATES[1])


def test_a_curve_ends_with_a_cross_where_its_loss_diverges():
    results = synthetic({"optimizer": ["adam", "sgd"], "learning_rate": [1.0]})
    fig = learning_curves(results, "val_loss", hue="optimizer")
    (cross,) = [line for line in fig.axes[0].lines if line.get_marker() == "x"]
    assert list(cross.get_xdata()) == [2]
    assert "a seed diverged" in legend(fig)


def test_a_heat_map_shows_every_mean_with_its_half_interval(sweep):
    fig = heatmap(sweep, "activation", "init")
    ax = fig.axes[0]
    mean = sweep.tuned(None, ["optimizer", "learning_rate"]).mean("val_accuracy")
    mean = mean.transpose("init", "activation")
    half = 100 * (mean["high"] - mean["low"]).values / 2
    expected = [
        f"{100 * m:.1f}\n±{h:.1f}" for m, h in zip(mean["mean"].values.flat, half.flat, strict=True)
    ]
    assert [t.get_text() for t in ax.texts] == expected
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("activation", "init")
    assert [t.get_text() for t in ax.get_yticklabels()] == AXES["init"]


def test_numbers_on_a_heat_map_are_readable_on_their_cell(sweep):
    fig = heatmap(sweep, "learning_rate", "optimizer", "val_loss")
    ax = fig.axes[0]
    image = ax.images[0]
    colours = image.cmap(image.norm(image.get_array()))[..., :3].reshape(-1, 3)
    for text, cell in zip(ax.texts, colours, strict=True):
        assert contrast(to_rgb(text.get_color()), cell) > 4.5
    assert sum(t.get_text() == "diverged" for t in ax.texts) == 4


def contrast(a, b):
    """Contrast ratio of WCAG 2.1; 4.5 is asked for text."""

    def luminance(rgb):
        rgb = np.asarray(rgb)
        linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_too_many_hues_are_cut_to_the_best_and_the_rest_is_named():
    results = synthetic(MANY, seeds=2, epochs=3)
    fig = response(results)
    shown = [label for label in legend(fig) if label.startswith("rule")]
    best = results.tuned(None, "learning_rate").mean("val_accuracy")["mean"]
    expected = set(best["optimizer"].values[np.argsort(-best.values)[:7]])
    assert set(shown) == expected
    assert "the best 7 of 12 by validation accuracy, without" in small_print(fig)
    for name in set(MANY["optimizer"]) - expected:
        assert name in small_print(fig)


def test_hues_differ_in_colour_marker_and_line():
    fig = response(synthetic(MANY, seeds=1, epochs=2))
    lines = [line for line in fig.axes[0].lines if len(line.get_xdata()) == 9][:7]
    for look in ("get_color", "get_marker", "_dash_pattern"):
        values = [getattr(line, look) for line in lines]
        assert len({str(v() if callable(v) else v) for v in values}) == 7


def test_words_along_x_stand_side_by_side_with_bars(sweep):
    fig = plot(sweep, "init", "val_accuracy", hue="optimizer", col="activation")
    assert len(fig.axes) == 3
    ax = fig.axes[0]
    assert [t.get_text().replace("\n", "") for t in ax.get_xticklabels()] == AXES["init"]
    places = np.array([c.lines[0].get_xdata() for c in ax.containers])
    assert len(np.unique(places)) == 9
    np.testing.assert_array_equal(places.round(), [[0, 1, 2]] * 3)


def test_a_random_search_is_a_dot_per_config():
    search = random_search(30, epochs=3)
    for hue in (None, "weight_decay", "optimizer"):
        fig = plot(search, "learning_rate", "val_accuracy", hue=hue)
        ax = fig.axes[0]
        assert ax.get_xscale() == "log"
        assert sum(len(c.get_offsets()) for c in ax.collections) == 30
        assert "One dot per config, one seed." in small_print(fig)
    assert legend(fig) == ["adam", "sgd"]
    curves = learning_curves(search, hue="config")
    assert len(legend(curves)) == 5
    assert "the best 5 of 30" in small_print(curves)


def test_no_text_of_a_figure_is_cut_off_or_covers_another():
    names = {"init": [f"a_rather_long_initializer_{i}" for i in range(5)], **MANY}
    results = synthetic(names, seeds=2, epochs=4)
    figures = [
        response(results, col="init"),
        plot(results, "init", hue="optimizer"),
        heatmap(results, "init", "optimizer"),
        heatmap(results, "learning_rate", "init", "val_loss"),
        learning_curves(results, "train_loss", hue="learning_rate", col="init"),
        learning_curves(random_search(20, epochs=3), hue="config"),
    ]
    for fig in figures:
        page = fig.bbox
        texts = [(t, b) for t, b in drawn(fig) if b.width > 0]
        for text, box in texts:
            assert box.x0 >= page.x0 - 1, text
            assert box.x1 <= page.x1 + 1, text
            assert box.y0 >= page.y0 - 1, text
            assert box.y1 <= page.y1 + 1, text
        level = [(t, b) for t, b in texts if t not in names["init"]]
        for i, (text, box) in enumerate(level):
            for other, second in level[i + 1 :]:
                assert not (box.padded(-2).overlaps(second.padded(-2))), (text, other)


def test_drawing_leaves_the_callers_settings_alone(sweep):
    before = dict(rcParams)
    response(sweep)
    assert dict(rcParams) == before


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda r: plot(r, "learning_rat"), "did you mean 'learning_rate'"),
        (
            lambda r: plot(r, "learning_rate", "accuracy"),
            "did you mean 'val_accuracy'|unknown metric",
        ),
        (lambda r: plot(r, "learning_rate", hue="learning_rate"), "different axes"),
        (lambda r: learning_curves(r, "test_loss"), "no history"),
        (lambda r: learning_curves(r, hue="optimiser"), "did you mean 'optimizer'"),
        (lambda r: heatmap(r, "init", "init"), "two different axes"),
        (lambda r: heatmap(r, "init", "actvation"), "did you mean 'activation'"),
    ],
)
def test_a_figure_that_cannot_be_drawn_says_why(sweep, draw, said):
    with pytest.raises(UsageError, match=said):
        draw(sweep)


def test_importing_the_report_does_not_load_matplotlib():
    code = "import sys, nnlab.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Tables and cautions -----------------------------------------------------------------------------


def test_a_ranking_compares_each_value_at_its_best_with_the_best_value(sweep):
    table = ranking(sweep, "optimizer")
    assert table["optimizer"].tolist() == ["adam", "momentum", "sgd"]
    assert table["val_accuracy"].is_monotonic_decreasing
    gap = table["test_accuracy"] - table["test_accuracy"][0]
    np.testing.assert_allclose(table["difference"], gap, atol=1e-12)
    assert (table["high"][1:] < 0).all()


def test_the_table_of_configs_has_each_config_once_and_the_best_first(sweep):
    table = configs(sweep)
    assert len(table) == 243
    assert not table.duplicated([*AXES]).any()
    assert table["val_accuracy"].is_monotonic_decreasing
    losses = configs(synthetic(regression=True))["val_loss"]
    assert losses.is_monotonic_increasing
    assert np.isinf(losses.iloc[-1])


def test_leaders_are_tuned_over_the_learning_rate_where_other_axes_vary(sweep):
    assert len(leaders(sweep)) == 27
    assert len(leaders(synthetic({"learning_rate": RATES}))) == 9
    assert len(leaders(random_search(10))) == 10


def test_a_clean_sweep_gives_no_reason_to_doubt():
    assert cautions(synthetic({"learning_rate": np.geomspace(1e-4, 1e-1, 7)})) == []


def test_each_reason_to_doubt_is_said_aloud():
    rates = {"learning_rate": np.geomspace(1e-5, 1e-3, 3), "optimizer": ["sgd", "adam"]}
    low = cautions(synthetic(rates, seeds=1))
    assert any("One seed only" in c for c in low)
    assert any("best learning rate, 0.001, is the largest that was tried" in c for c in low)
    assert any("2 of 2 settings" in c for c in low)
    cut = cautions(interrupted(synthetic(), lambda seed, config: seed < 2))
    assert any("243 of 729 runs are not finished" in c for c in cut)
    assert any(
        "72 of 486 finished runs diverged (14.8 %), most often at learning rate 1 (66.7 %)" in c
        for c in cut
    )
    assert any("12.7" in c for c in cautions(synthetic(seeds=2)))
    lost = cautions(synthetic({"learning_rate": [1.0, 10.0]}, diverge=0))
    assert any("Every finished run diverged" in c for c in lost)
    assert not any("best" in c for c in lost)


def test_the_headline_names_the_best_config_and_its_test_score(sweep):
    best = sweep.best(report="test_accuracy")
    said = headline(sweep)
    assert said.startswith(
        "Best of 243 configs: init normal(0.01), activation tanh, optimizer adam"
    )
    assert f"{100 * float(best['test_accuracy']):.1f} %" in said
    assert "3 seeds" in said


# The page ----------------------------------------------------------------------------------------

SMALL = {
    "init": ["xavier_normal", "he_normal"],
    "optimizer": ["sgd", "adam"],
    "learning_rate": RATES[::2],
}
LOST = {"learning_rate": [1.0, 10.0]}
SIZES = {
    "batch_norm": [False, True],
    "hidden": ["5x100", "2x50"],
    "weight_decay": [0.0, 1e-6, 1e-4],
}


def part(*names):
    return synthetic({name: SMALL[name] for name in names}, epochs=4)


CASES = {
    "many axes": lambda: synthetic(epochs=4),
    "one axis": lambda: part("learning_rate"),
    "no learning rate": lambda: part("init", "optimizer"),
    "no optimizer": lambda: part("init", "learning_rate"),
    "no axis": lambda: part(),
    "axes of one value": lambda: synthetic(
        {"optimizer": ["adam"], "learning_rate": [0.01]}, epochs=4
    ),
    "random search": lambda: random_search(20, seeds=2, epochs=4),
    "regression": lambda: synthetic(SMALL, epochs=4, regression=True),
    "one seed": lambda: synthetic(SMALL, epochs=4, seeds=1),
    "one epoch": lambda: synthetic(SMALL, epochs=1),
    "all diverged": lambda: synthetic(LOST, diverge=0, epochs=4),
    "all losses diverged": lambda: synthetic(LOST, diverge=0, epochs=4, regression=True),
    "interrupted": lambda: interrupted(
        synthetic(SMALL), lambda seed, config: seed == 0 and config < 9
    ),
    "nothing finished": lambda: interrupted(synthetic(SMALL), lambda seed, config: False),
    "switches and sizes": lambda: synthetic(SIZES, epochs=4),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_of_any_sweep_says_everything(case, tmp_path):
    results = CASES[case]()
    page = write(results, tmp_path / "report")
    html = page.read_text()
    assert page == tmp_path / "report" / "index.html"
    assert headline(results).replace("'", "&#x27;") in html
    for caution in cautions(results):
        assert caution in html
    assert "mlp 64-5x100-10" in html
    assert "batch size" in html
    pictures = sorted(p.name for p in page.parent.glob("*.png"))
    assert bool(pictures) == (case != "nothing finished")
    assert html.count("data:image/png;base64,") == len(pictures)
    table = pd.read_csv(page.parent / "table.csv")
    assert len(table) == results.finished.size / results.dataset.sizes["seed"]
    assert repr(Results.open(page.parent)) == repr(results)
    assert "nan" not in html.split("<h2>Figures")[0].lower()


def test_a_page_escapes_what_people_write(tmp_path):
    results = synthetic({"optimizer": ["<b>bold</b>", "a & b"]}, epochs=2)
    results.dataset.attrs["title"] = "<script>alert(1)</script>"
    html = write(results, tmp_path).read_text()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "a &amp; b" in html


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose a folder"):
        write(synthetic(epochs=1), tmp_path / "file" / "report")


@pytest.mark.parametrize(
    ("value", "metric", "said"),
    [
        (0.97153, "val_accuracy", "97.2 %"),
        (0.031622, "val_loss", "0.0316"),
        (353.4468, "val_loss", "353"),
        (np.inf, "val_loss", "diverged"),
        (np.nan, "val_loss", "–"),
    ],
)
def test_numbers_are_printed_with_the_digits_a_reader_needs(value, metric, said):
    assert style.number(value, metric) == said
