"""What the studies are made of: fit, excerpts, paired differences."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from engine import blobs
from scipy import stats
from test_results import synthetic

import nnlab
from nnlab.data import epochs_for, excerpt
from nnlab.errors import UsageError
from nnlab.report import against, differences, learning_curves
from nnlab.report.drawing import columns_for
from nnlab.report.table import points, spoken
from nnlab.studies import Verdict
from nnlab.studies.derived import by_part, with_gap, with_mean_over_epochs
from nnlab.studies.verdicts import keep, read, verdict_rows
from nnlab.sweeps.results import Results


@pytest.fixture(scope="module")
def sweep():
    axes = {"activation": ["tanh", "relu"], "learning_rate": [1e-5, 0.03], "seed": [0, 1]}
    return nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, epochs=3, batch_size=20, dropout=0.5)


@pytest.fixture(scope="module")
def fitted(sweep):
    told = nnlab.Sweep(
        sweep.model, sweep.data, sweep.axes, record="train_accuracy", epochs=3, batch_size=20,
        dropout=0.5,
    )  # fmt: skip
    return with_gap(told.run(progress=False))


def test_a_run_that_is_measured_on_its_training_examples_learns_the_same(sweep, fitted):
    plain = sweep.run(progress=False)
    for metric in ("train_loss", "val_accuracy", "test_accuracy"):
        np.testing.assert_allclose(fitted[metric], plain[metric], rtol=1e-5)
    assert fitted["train_accuracy"].dims == plain["val_accuracy"].dims
    swapped = copy(sweep)
    swapped.data = replace(sweep.data, valid=sweep.data.train)
    twin = swapped.run(progress=False)["val_accuracy"]
    np.testing.assert_allclose(fitted["train_accuracy"], twin, atol=1e-6)
    share = fitted["train_accuracy"].values * len(sweep.data.train.y)
    np.testing.assert_allclose(share, share.round(), atol=1e-3)


def test_the_gap_is_the_last_training_accuracy_minus_the_test_accuracy(fitted):
    gap = fitted["train_accuracy"].isel(epoch=-1, drop=True) - fitted["test_accuracy"]
    np.testing.assert_allclose(fitted["accuracy_gap"], gap, rtol=1e-6)


def test_both_parts_of_the_data_are_an_axis_of_their_own(fitted):
    parts = by_part(fitted)
    assert parts.axes == ("activation", "learning_rate", "part")
    for part, metric in (("training", "train_accuracy"), ("held out", "val_accuracy")):
        np.testing.assert_array_equal(parts.sel(part=part)["accuracy"], fitted[metric])
    figure = learning_curves(parts, "accuracy", hue="part", col="activation")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["tanh", "relu"]


def test_no_panel_is_cut_at_the_height_of_another():
    shape = {"activation": ["tanh", "relu"], "learning_rate": [0.1]}
    d = synthetic(shape).dataset
    low = np.linspace(0.1, 0.2, d.sizes["epoch"])
    rows = np.stack([low, 4 * low])[:, None, None] + np.zeros(d["val_accuracy"].shape)
    results = Results(d.assign(val_accuracy=(d["val_accuracy"].dims, rows)))
    figure = learning_curves(results, "val_accuracy", col="activation")
    assert figure.axes[0].get_ylim()[1] > 0.8


def test_the_mean_over_epochs_is_small_where_the_loss_fell_fast(fitted):
    results = with_mean_over_epochs(fitted, "train_loss")
    np.testing.assert_allclose(
        results["mean_train_loss"], fitted["train_loss"].mean("epoch"), rtol=1e-6
    )
    assert float(results.difference("mean_train_loss", "learning_rate", 1e-5)["mean"].min()) < 0


@pytest.mark.parametrize("count", [0, -5, 2.5, True])
def test_an_excerpt_of_no_whole_number_is_refused(count):
    with pytest.raises(UsageError, match="excerpt needs a whole number of valid examples from 1"):
        excerpt(blobs(), valid=count)


def test_an_excerpt_is_the_first_examples_under_the_same_scaling():
    data = blobs()
    part = excerpt(data, 50, 10)
    assert [len(p.y) for p in (part.train, part.valid, part.test)] == [50, 10, 30]
    np.testing.assert_array_equal(part.train.x, data.train.x[:50])
    np.testing.assert_array_equal(part.scale, data.scale)
    assert "first 50, 10, 30" in part.description
    assert len(excerpt(data, 10**6).train.y) == len(data.train.y)
    assert part.fingerprint() != data.fingerprint()


@pytest.mark.parametrize(
    ("steps", "batch", "epochs"), [(10, 20, 2), (12, 20, 2), (13, 20, 3), (1, 120, 1)]
)
def test_epochs_hold_at_least_the_steps_asked_for(steps, batch, epochs):
    data = excerpt(blobs(), 120)
    assert epochs_for(data, steps, batch) == epochs


# Differences --------------------------------------------------------------------------------------


@pytest.fixture
def scores():
    """Four values with known differences from "b": -0.5, 0, +0.1 +- little, and a noisy one."""
    base, little = np.array([0.80, 0.82, 0.84]), np.array([0.001, 0.0, -0.001])
    noisy = np.array([0.1, -0.1, 0.01])
    rows = np.stack([base - 0.5 + little, base, base + 0.1 + little, base + noisy])
    return Results(
        xr.Dataset(
            {
                "test_accuracy": (("act", "seed"), rows),
                "val_accuracy": (("act", "seed"), rows),
                "diverged_at": (("act", "seed"), np.zeros((4, 3), int)),
            },
            {"act": ["a", "b", "c", "d"], "seed": [0, 1, 2]},
        )
    )


def test_a_value_is_better_or_worse_only_where_its_interval_leaves_zero(scores):
    table = against(scores, "act", "b").set_index("act")
    assert table["verdict"].to_dict() == {
        "a": "worse", "b": "reference", "c": "better", "d": "not separated",
    }  # fmt: skip
    assert table.index[0] == "c"
    np.testing.assert_allclose(table["difference"].loc[["a", "b", "c"]], [-0.5, 0, 0.1], atol=1e-7)


def test_verdicts_hold_for_all_rows_together(scores):
    """A row that is apart by itself, p = 0.03, is not where it is one of three."""
    base = np.array([0.80, 0.82, 0.84])
    rows = scores.dataset["test_accuracy"].values.copy()
    rows[0], rows[2] = np.add(base, [0.1, 0.15, 0.2]), np.add(base, [0.0, 0.2, -0.1])
    varied = scores.with_data(scores.dataset.assign(test_accuracy=(("act", "seed"), rows)))
    table = against(varied, "act", "b").set_index("act")
    assert table["low"]["a"] > 0
    assert table["p"]["a"] == pytest.approx(3 * stats.ttest_1samp([0.1, 0.15, 0.2], 0).pvalue)
    assert table["verdict"]["a"] == "not separated"
    alone = against(varied.sel(act=["a", "b"]), "act", "b").set_index("act")
    assert alone["verdict"]["a"] == "better"
    assert np.isnan(table["p"]["b"])


def test_three_equal_differences_are_no_proof(scores):
    rows = scores.dataset["test_accuracy"].values.copy()
    rows[2] = rows[1] + 0.1
    alike = scores.with_data(scores.dataset.assign(test_accuracy=(("act", "seed"), rows)))
    table = against(alike.sel(act=["b", "c"]), "act", "b").set_index("act")
    assert (table["p"]["c"], table["verdict"]["c"]) == (0.25, "not separated")


def test_for_a_loss_smaller_is_better(scores):
    lower = Results(scores.dataset.rename(test_accuracy="test_loss"))
    table = against(lower, "act", "b", "test_loss").set_index("act")
    assert (table["verdict"]["a"], table["verdict"]["c"]) == ("better", "worse")
    assert table.index[0] == "a"


def test_what_diverged_is_worse_than_what_did_not(scores):
    rows = scores.dataset["test_accuracy"].values.copy()
    rows[0] = np.inf
    lower = Results(scores.dataset.rename(test_accuracy="test_loss"))
    lower.dataset["test_loss"] = (("act", "seed"), rows)
    verdicts = {
        name: against(lower, "act", name, "test_loss").set_index("act")["verdict"].to_dict()
        for name in "ab"
    }
    assert verdicts["b"]["a"] == "worse"
    assert {verdicts["a"][name] for name in "bcd"} == {"better"}
    (ax,) = differences(lower, "act", "b", "test_loss").axes
    assert "diverged" in {text.get_text() for text in ax.texts}


def test_differences_are_drawn_in_points_sorted_with_far_ones_at_the_edge(scores):
    (ax,) = differences(scores, "act", "b").axes
    assert [label.get_text() for label in ax.get_yticklabels()][-1] == "c"
    assert ax.get_xlabel() == "percentage points"
    dots = {round(float(x), 6) for line in ax.lines for x in line.get_xdata()}
    assert {0.0, 10.0} <= dots


def test_a_comparison_over_several_axes_is_refused():
    with pytest.raises(nnlab.UsageError, match="needs optimizer as the only axis"):
        against(synthetic(), "optimizer", "sgd")


# Verdicts -----------------------------------------------------------------------------------------


def test_verdicts_are_read_as_they_were_kept_and_a_failing_one_says_why(tmp_path):
    kept = [Verdict("a", "1", "1.1 (1.0 to 1.2)", True), Verdict("b", "2", "3", False, "too few")]
    keep(kept, tmp_path)
    assert read(tmp_path) == kept
    words = [row[-1] for row in verdict_rows([("study", kept)])]
    assert words == ["holds", "FAILS: too few"]
    with pytest.raises(nnlab.UsageError, match="holds no verdicts"):
        read(tmp_path / "none")


def test_a_difference_is_said_in_points_and_a_mean_in_percent(scores):
    change = scores.difference("test_accuracy", "act", "b").sel(act="a")
    assert points(change) == "-50.0 points (-50.2 to -49.8)"
    assert spoken(scores.mean("test_accuracy").sel(act="b"), "accuracy").startswith("82.0 % (")


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (6, 3), (9, 3), (16, 4)])
def test_sixteen_panels_stand_in_four_rows(count, columns):
    assert columns_for(count) == columns
