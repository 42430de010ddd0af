"""Who speaks for a place, what is shown where nobody wins, and what is said of borders."""

import json
from itertools import product

import numpy as np
import pytest
import xarray as xr
from test_results import RATES, known, random_search, synthetic

from nnlab.report import cautions, ranking, write
from nnlab.sweeps.results import Results
from nnlab.sweeps.statistics import against_best

READ = {"adam": "beta1", "momentum": "momentum", "sgd": None}
AXES = {
    "optimizer": ["adam", "momentum", "sgd"],
    "beta1": [0.8, 0.9],
    "momentum": [0.5, 0.9],
    "learning_rate": [1e-6, 0.03],
}


def shared(axes=AXES, seeds=2) -> Results:
    """Cells share a run where they differ in what their optimizer does not read; SGD is the best.

    A run's accuracy grows with its number, and is small at a small learning rate.
    """
    configs = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    unread = [{"beta1", "momentum"} - {READ[config["optimizer"]]} for config in configs]
    own = [
        tuple(config[k] for k in axes if k not in rest)
        for config, rest in zip(configs, unread, strict=True)
    ]
    runs = {values: number for number, values in enumerate(dict.fromkeys(own))}
    number = np.array([runs[values] for values in own]).reshape([len(v) for v in axes.values()])
    small = np.array([c["learning_rate"] < 0.01 for c in configs]).reshape(number.shape)
    accuracy = np.where(small, 0.1, 0.5) + number / 100
    x = accuracy[..., None] + 0.001 * np.arange(seeds)
    dims = (*axes, "seed")
    found = {
        "val_accuracy": (dims, x),
        "val_loss": (dims, 1 - x),
        "diverged_at": (dims, np.zeros(x.shape, int)),
        "run": (tuple(axes), number),
    }
    return Results(xr.Dataset(found, {**axes, "seed": range(seeds)}))


def at(results, value, **place) -> Results:
    """The same results with `diverged_at` of a value somewhere."""
    d = results.dataset.copy(deep=True)
    d["diverged_at"].loc[place] = value
    return Results(d)


def test_where_nobody_reads_all_other_axes_those_compete_who_read_any():
    results = shared()
    best = results.best(over=["optimizer", "learning_rate"])
    x = results.mean("val_accuracy")["mean"]
    expected = x.sel(optimizer=["adam", "momentum"]).max(["optimizer", "learning_rate"])
    np.testing.assert_allclose(best["val_accuracy"], expected)
    assert (best["learning_rate"] == 0.03).all()
    everywhere = results.best(over=["optimizer", "learning_rate", "beta1"])
    assert everywhere["optimizer"].values.tolist() == ["momentum"] * 2
    assert results.best()["optimizer"] == "sgd"


def test_where_no_reader_is_finished_nobody_speaks_for_it():
    results = at(shared(), -1, optimizer="momentum")
    best = results.best(over=["optimizer", "learning_rate", "beta1"])
    assert (best["n"] == 0).all()
    assert best["val_accuracy"].isnull().all()
    assert best["learning_rate"].isnull().all()
    assert best["optimizer"].values.tolist() == [None, None]


def test_where_every_reader_diverged_one_of_them_is_shown_and_no_place_is_the_best():
    results = at(shared(), 1, optimizer="momentum")
    best = results.best(over=["optimizer", "learning_rate", "beta1"])
    assert (best["diverged"] == 2).all()
    assert best["learning_rate"].isnull().all()
    own = results.sel(optimizer="momentum", beta1=0.8, learning_rate=1e-6).mean("val_accuracy")
    np.testing.assert_allclose(best["val_accuracy"], own["mean"])


@pytest.mark.parametrize("value", [1, -1], ids=["diverged", "unfinished"])
def test_a_knob_whose_readers_all_failed_is_ranked_and_reported(value, tmp_path):
    axes = AXES | {"optimizer": ["adam", "momentum"]}
    results = at(shared(axes), value, optimizer="momentum")
    table = ranking(results, "momentum")
    assert sorted(table["momentum"]) == [0.5, 0.9]
    assert "momentum" in write(results, tmp_path).read_text()


def test_an_axis_that_nobody_reads_is_one_row_of_a_ranking():
    table = ranking(shared().sel(optimizer="adam"), "momentum")
    assert table["momentum"].isna().tolist() == [True]
    assert len(ranking(shared().sel(optimizer="adam"), "beta1")) == 2


def test_a_diverged_place_of_more_seeds_does_not_stand_in_the_way_of_a_sound_one():
    accuracy = [[0.1, 0.1, np.nan], [np.nan, np.nan, 0.7]]
    results = at(known(accuracy, learning_rate=RATES[:2]), 1, learning_rate=0.001, seed=[0, 1])
    best = results.best("val_accuracy")
    assert (best["learning_rate"], best["n"]) == (0.01, 1)


def test_a_ranking_counts_all_pairs_of_its_rows():
    """Whichever of 20 equal values is first by chance, it is not told apart from the others."""
    x = 0.5 + 0.01 * np.random.default_rng(0).standard_normal((20, 5))
    results = known(x, init=[f"i{k}" for k in range(20)])
    table = ranking(results, "init")
    order = np.argsort(-x.mean(-1))
    assert table["init"].tolist() == [f"i{k}" for k in order]
    np.testing.assert_allclose(table["p"], against_best(x[order], np.isfinite(x)))
    np.testing.assert_allclose(table["difference"], x[order].mean(-1) - x[order[0]].mean())


# Borders -----------------------------------------------------------------------------------------


def test_rates_that_were_chosen_are_not_taken_for_those_that_were_tried():
    tuned = synthetic().tuned(over="learning_rate")
    assert len(set(tuned.labels("learning_rate").ravel())) > 1
    assert not any("that was tried" in c for c in cautions(tuned))
    assert not tuned.best()["at_border"]
    few, many = [[0.9, 0.9], [0.1, 0.1]], [[0.1, 0.1], [0.5, 0.5]]
    d = known([few] * 5 + [many] * 35, config=np.arange(40), learning_rate=[0.01, 0.1]).dataset
    swept = Results(d.assign_attrs(sweep=json.dumps({"axes": {"learning_rate": [0.01, 0.1]}})))
    beside = swept.tuned(over="learning_rate")
    assert set(beside.labels("learning_rate")) == {0.01, 0.1}
    assert not any("tenth" in c for c in cautions(beside))


def crowded(decay) -> Results:
    """Configs that are the better the smaller a number is that most of them read."""
    good = 0.9 - np.nan_to_num(np.asarray(decay), nan=0.8)
    d = known(good[:, None] * np.ones(2), config=np.arange(len(decay))).dataset
    return Results(d.assign_coords(weight_decay=("config", decay)))


def test_the_ends_of_a_search_are_those_of_the_configs_that_read_the_knob():
    some = np.r_[np.linspace(0.01, 0.7, 40), np.nan]
    (said,) = [c for c in cautions(crowded(some)) if "tenth" in c]
    assert "lower tenth of the weight decay that was searched (0.01 to 0.7)" in said


def test_zero_is_no_limit_of_a_search_either():
    assert not any("tenth" in c for c in cautions(crowded(np.linspace(0, 0.7, 40))))


def test_a_draw_is_no_number_to_look_beyond():
    results = random_search(40)
    order = np.argsort(np.argsort(results.mean("val_accuracy")["mean"].values))
    drawn = results.with_data(results.dataset.assign_coords(draw=("config", order)))
    assert not any(" draw " in c for c in cautions(drawn))
