"""Results answer questions as arithmetic on known arrays says they must."""

import json
import zlib

import numpy as np
import pytest
import xarray as xr

from nnlab.errors import UsageError
from nnlab.sweeps.results import Results

OPTIMUM = {"sgd": 0.1, "momentum": 0.03, "adam": 0.003}
AXES = {
    "init": ["normal(0.01)", "xavier_normal", "he_normal"],
    "activation": ["sigmoid", "tanh", "relu"],
    "optimizer": ["sgd", "momentum", "adam"],
    "learning_rate": np.geomspace(1e-4, 1.0, 9),
}


def effect(axis, value):
    """A fixed bonus in [0, 1) of a value, the same on every machine."""
    if axis == "optimizer":
        return {"sgd": 0.1, "momentum": 0.5, "adam": 0.9}.get(value, 0.3)
    return zlib.crc32(f"{axis}={value}".encode()) % 97 / 97


def skill(config):
    """How well a config learns, in (0, 1): best at the optimizer's own learning rate."""
    rate, best = config.get("learning_rate", 1e-3), OPTIMUM.get(config.get("optimizer"), 0.01)
    words = [effect(a, v) for a, v in config.items() if not isinstance(v, float)]
    return np.exp(-0.35 * np.log10(rate / best) ** 2) * (0.6 + 0.35 * np.mean(words or [0.5]))


def synthetic(axes=AXES, seeds=3, epochs=12, regression=False, noise=0.004, diverge=20.0):
    """A sweep nobody trained: smooth in the learning rate, seeds shift all runs alike."""
    random = np.random.default_rng(0)
    shape = [len(v) for v in axes.values()]
    grid = [dict(zip(axes, row, strict=True)) for row in _product(list(axes.values()))]
    s = np.array([skill(config) for config in grid]).reshape(shape)
    lost = [
        c.get("learning_rate", 0) > diverge * OPTIMUM.get(c.get("optimizer"), 0.01) for c in grid
    ]
    shift = 0.02 * random.standard_normal(seeds)
    s = s[..., None] + shift + noise * random.standard_normal([*shape, seeds])
    lost = np.broadcast_to(np.reshape(lost, shape)[..., None], s.shape).copy()
    t = np.arange(1, epochs + 1)
    progress = s[..., None] * (1 - np.exp(-t / (epochs / 4)))
    died = np.where(lost, min(3, epochs), 0)
    gone = lost[..., None] & (t >= min(3, epochs))
    loss = np.where(gone, np.nan, 2.3 * (1 - progress).clip(0.02) ** 2)
    accuracy = np.where(gone, 0.1, (0.1 + 0.88 * progress).clip(0, 1))
    history, once = (*axes, "seed", "epoch"), (*axes, "seed")
    variables = {
        "train_loss": (history, 0.9 * loss),
        "val_loss": (history, loss),
        "val_accuracy": (history, accuracy),
        "test_loss": (once, 1.02 * loss[..., -1]),
        "test_accuracy": (once, accuracy[..., -1] - 0.005),
        "diverged_at": (once, died),
    }
    if regression:
        variables = {k: v for k, v in variables.items() if "accuracy" not in k}
    attrs = {
        "title": "A synthetic sweep",
        "description": "Nobody trained these networks.",
        "data": "digits",
        "model": "mlp 64-5x100-10",
        "nnlab": "0.1.0",
        "device": "cpu",
        "sweep": json.dumps({"epochs": epochs, "batch_size": 100}),
    }
    coords = {**axes, "seed": np.arange(seeds), "epoch": t}
    return Results(xr.Dataset(variables, coords, attrs))


def random_search(configs=60, seeds=1, **rest):
    """The same landscape seen by a random search over learning rate, weight decay and optimizer."""
    random = np.random.default_rng(1)
    knobs = {
        "learning_rate": 10 ** random.uniform(-6, -2, configs),
        "weight_decay": 10 ** random.uniform(-8, -4, configs),
        "optimizer": random.choice(["sgd", "adam"], configs),
    }
    one = [
        synthetic({k: [v[i].item()] for k, v in knobs.items()}, seeds, **rest)
        for i in range(configs)
    ]
    flat = [r.dataset.isel(dict.fromkeys(knobs, 0), drop=True) for r in one]
    together = xr.concat(flat, "config", combine_attrs="override")
    return Results(together.assign_coords({k: ("config", v) for k, v in knobs.items()}))


def interrupted(results, keep):
    """The same results with only the runs where keep(seed index, config index) finished."""
    d = results.dataset
    flat = np.arange(d["diverged_at"].size).reshape(d["diverged_at"].shape)
    seeds = d.sizes["seed"]
    done = xr.DataArray(
        np.vectorize(lambda i: keep(i % seeds, i // seeds))(flat), dims=d["diverged_at"].dims
    )
    blank = {m: d[m].where(done) for m in results.metrics}
    return Results(d.assign(**blank, diverged_at=d["diverged_at"].where(done, -1)))


def _product(values):
    if not values:
        return [()]
    return [(v, *rest) for v in values[0] for rest in _product(values[1:])]


def known(accuracy, **axes):
    """Results whose validation accuracy is an array we know; the loss is its complement."""
    accuracy = np.asarray(accuracy, float)
    dims = (*axes, "seed")
    seeds = np.arange(accuracy.shape[-1])
    loss = np.where(accuracy == 0, np.inf, 1 - accuracy)
    return Results(
        xr.Dataset(
            {
                "val_accuracy": (dims, accuracy),
                "val_loss": (dims, loss),
                "diverged_at": (dims, np.where(np.isnan(accuracy), -1, accuracy == 0).astype(int)),
            },
            {**axes, "seed": seeds},
        )
    )


RATES = [0.001, 0.01, 0.1, 1.0]


def test_best_is_the_argmax_of_the_mean_over_seeds():
    results = synthetic()
    x = results["val_accuracy"].isel(epoch=-1).mean("seed")
    table = results.best("val_accuracy", over="learning_rate")
    np.testing.assert_array_equal(table["learning_rate"], x.idxmax("learning_rate"))
    np.testing.assert_allclose(table["val_accuracy"], x.max("learning_rate"))
    everywhere = results.best("val_accuracy")
    np.testing.assert_allclose(everywhere["val_accuracy"], x.max())
    place = {name: everywhere[name].values[()] for name in AXES}
    np.testing.assert_allclose(x.sel(place), x.max())


def test_the_best_of_all_is_one_row_of_a_table():
    best = synthetic().best("val_accuracy")
    table = best[["learning_rate", "val_accuracy"]].to_dataframe()
    assert table.shape == (1, 2)
    assert table["val_accuracy"].item() == best["val_accuracy"]


def test_best_of_a_loss_is_the_argmin():
    results = known([[0.5, 0.6], [0.9, 0.8], [0.7, 0.7], [0.1, 0.1]], learning_rate=RATES)
    table = results.best("val_loss")
    assert table["learning_rate"] == 0.01
    np.testing.assert_allclose(table["val_loss"], 0.15)


def test_what_is_reported_is_measured_where_the_chosen_metric_is_best():
    results = synthetic()
    table = results.best("val_accuracy", over=["learning_rate", "init"], report="test_accuracy")
    row = table.sel(optimizer="adam", activation="relu")
    there = results.sel(
        optimizer="adam",
        activation="relu",
        init=row["init"].item(),
        learning_rate=row["learning_rate"].item(),
    )
    expected = there.mean("test_accuracy")
    for name, column in (("mean", ""), ("low", "_low"), ("high", "_high")):
        np.testing.assert_allclose(row[f"test_accuracy{column}"], expected[name])
    assert row["n"] == 3


def test_an_unfinished_cell_never_wins():
    nan = np.nan
    results = known([[0.5, 0.6], [nan, nan], [0.7, 0.7], [nan, nan]], learning_rate=RATES)
    table = results.best("val_accuracy")
    assert table["learning_rate"] == 0.1
    nothing = known([[nan, nan]] * 4, learning_rate=RATES).best("val_accuracy")
    assert np.isnan(nothing["learning_rate"])
    assert nothing["n"] == 0


def test_candidates_are_compared_on_the_seeds_that_all_of_them_finished():
    lucky_second_seed = [[0.5, np.nan], [0.4, 0.9], [0.3, np.nan], [0.2, np.nan]]
    assert known(lucky_second_seed, learning_rate=RATES).best()["learning_rate"] == 0.001
    one_candidate_unfinished = [[0.5, 0.5], [0.4, 0.9], [0.99, np.nan], [np.nan, np.nan]]
    assert known(one_candidate_unfinished, learning_rate=RATES).best()["learning_rate"] == 0.01


def test_a_diverged_seed_makes_a_mean_loss_infinite_and_it_never_wins():
    results = known([[0.5, 0.5], [0.99, 0.0], [0.0, 0.0], [0.4, 0.4]], learning_rate=RATES)
    mean = results.mean("val_loss")
    np.testing.assert_array_equal(mean["mean"] == np.inf, [False, True, True, False])
    np.testing.assert_array_equal(mean["n"], 2)
    assert results.best("val_loss")["learning_rate"] == 0.001
    lost = known([[0.0, 0.0]] * 4, learning_rate=RATES).best("val_loss")
    assert np.isnan(lost["learning_rate"])
    assert lost["diverged"] == 2


def test_a_loss_that_is_not_a_number_is_a_diverged_one_but_an_unfinished_run_is_missing():
    d = known([[0.5, 0.6]], learning_rate=[0.1]).dataset.copy(deep=True)
    d["val_loss"][0, 0] = np.nan
    d["diverged_at"][0, 0] = 1
    assert Results(d).mean("val_loss")["mean"] == np.inf
    d["diverged_at"][0, 0] = -1
    missing = Results(d).mean("val_loss")
    np.testing.assert_allclose(missing["mean"], 0.4)
    assert missing["n"] == 1


def test_a_chosen_number_that_ends_its_axis_is_flagged():
    rising = np.linspace(0.1, 0.9, 4)[:, None] * np.ones(2)
    for accuracy, flag, side in (
        (rising, True, 1),
        (rising[::-1], True, -1),
        (rising[[0, 3, 2, 1]], False, 0),
    ):
        results = known(accuracy, learning_rate=RATES)
        table = results.best()
        assert table["at_border"] == flag
        assert results.border("learning_rate", "val_accuracy", table["learning_rate"]) == side


def test_zero_words_switches_and_lone_values_are_no_borders():
    falling = np.array([[0.9, 0.9], [0.5, 0.5], [0.1, 0.1]])
    assert not known(falling, dropout=[0.0, 0.2, 0.5]).best()["at_border"]
    assert not known(falling, optimizer=["a", "b", "c"]).best()["at_border"]
    assert not known(falling[:2], batch_norm=[False, True]).best()["at_border"]
    assert not known(falling[:1], learning_rate=[0.1]).best()["at_border"]


def test_a_random_search_whose_best_configs_crowd_at_an_end_is_flagged():
    random = np.random.default_rng(0)
    rate, decay = 10 ** random.uniform(-6, -2, 100), 10 ** random.uniform(-8, -4, 100)
    d = known(np.log10(rate)[:, None] / 10 + 0.9, config=np.arange(100)).dataset
    results = Results(
        d.assign_coords(learning_rate=("config", rate), weight_decay=("config", decay))
    )
    best = results.best()
    assert best["learning_rate"] == rate.max()
    assert best["weight_decay"] == decay[rate.argmax()]
    assert best["at_border"]
    assert results.border("learning_rate", "val_accuracy", best["learning_rate"]) == 1
    assert results.border("weight_decay", "val_accuracy", best["weight_decay"]) == 0
    assert results.knobs == ("learning_rate", "weight_decay")


def test_the_mean_over_an_axis_takes_its_interval_over_seeds():
    results = synthetic()
    wide = results.mean("val_accuracy", over=["init", "seed"])
    blocks = results["val_accuracy"].isel(epoch=-1).mean("init")
    np.testing.assert_allclose(wide["mean"], blocks.mean("seed"))
    half = 4.302653 * blocks.std("seed", ddof=1) / np.sqrt(3)
    np.testing.assert_allclose((wide["high"] - wide["low"]) / 2, half, rtol=1e-6)
    assert set(wide["mean"].dims) == {"activation", "optimizer", "learning_rate"}
    assert (wide["n"] == 3).all()


def test_one_seed_has_means_and_no_intervals():
    table = synthetic(seeds=1).mean("val_accuracy")
    assert np.isfinite(table["mean"]).all()
    assert np.isnan(table["low"]).all()
    assert np.isnan(table["high"]).all()


def test_differences_are_paired_by_seed():
    results = synthetic().tuned("val_accuracy", over=["init", "activation", "learning_rate"])
    found = results.difference("val_accuracy", "optimizer", "sgd")
    x = results.values("val_accuracy")
    np.testing.assert_allclose(found["mean"], (x - x.sel(optimizer="sgd")).mean("seed"))
    own = results.mean("val_accuracy")
    width, single = found["high"] - found["low"], own["high"] - own["low"]
    assert (width.sel(optimizer="adam") < 0.5 * single.sel(optimizer="adam")).item()
    assert width.sel(optimizer="sgd") == 0


def test_tuning_first_and_asking_later_is_what_best_does():
    results = synthetic()
    tuned = results.tuned("val_accuracy", over="learning_rate")
    table = results.best("val_accuracy", over="learning_rate")
    np.testing.assert_array_equal(tuned.mean("val_accuracy")["mean"], table["val_accuracy"])
    assert tuned.axes == ("init", "activation", "optimizer")
    assert tuned["val_accuracy"].dims == ("init", "activation", "optimizer", "seed", "epoch")


def test_an_epoch_may_be_named_and_all_epochs_may_be_asked_for():
    results = synthetic(epochs=5)
    history = results.mean("val_accuracy", epoch="all")
    third = results.mean("val_accuracy", epoch=3)
    np.testing.assert_array_equal(history["mean"].sel(epoch=3), third["mean"])
    last = results.mean("val_accuracy")["mean"]
    np.testing.assert_array_equal(history["mean"].sel(epoch=5), last)
    for metric, epoch in (("val_accuracy", 6), ("test_accuracy", 3)):
        with pytest.raises(UsageError):
            results.mean(metric, epoch=epoch)


def test_where_epochs_are_swept_each_run_ends_at_its_own_last_epoch():
    dims = ("epochs", "seed", "epoch")
    loss = np.arange(1.0, 9.0).reshape(2, 1, 4)
    loss[0, :, 2:] = np.nan
    died = (dims[:2], np.zeros((2, 1), int))
    coords = {"epochs": [2, 4], "seed": [0], "epoch": [1, 2, 3, 4]}
    results = Results(xr.Dataset({"val_loss": (dims, loss), "diverged_at": died}, coords))
    np.testing.assert_array_equal(results.values("val_loss").squeeze(), [2.0, 8.0])
    history = results.values("val_loss", "all").sel(epochs=2).squeeze()
    np.testing.assert_array_equal(history, [1.0, 2.0, np.nan, np.nan])
    np.testing.assert_array_equal(
        results.mean("val_loss", epoch="all")["mean"].dims, ["epochs", "epoch"]
    )


@pytest.mark.parametrize("make", [synthetic, random_search], ids=["grid", "random search"])
def test_saving_and_opening_gives_the_same_results(make, tmp_path):
    results = make(epochs=2)
    path = results.save(tmp_path / "deep" / "results.nc")
    for again in (Results.open(path), Results.open(path.parent)):
        xr.testing.assert_identical(again.dataset, results.dataset)
    assert list(path.parent.iterdir()) == [path]


def test_switches_and_odd_attributes_survive_saving(tmp_path):
    results = known(np.full((2, 2), 0.5), batch_norm=[False, True])
    results.dataset.attrs.update(resumed=False, note=None, devices=("cpu:0", "cpu:1"))
    again = Results.open(results.save(tmp_path / "results.nc"))
    assert again.labels("batch_norm").dtype == bool
    assert again.dataset.attrs["resumed"] == "False"
    assert again.sel(batch_norm=True).mean("val_accuracy")["mean"] == 0.5


def test_switches_that_some_configs_do_not_read_survive_saving(tmp_path):
    results = random_search(epochs=1)
    configs = results.dataset.sizes["config"]
    flags = np.array([[True, False, None][i % 3] for i in range(configs)], object)
    results = results.with_data(results.dataset.assign_coords(nesterov=("config", flags)))
    again = Results.open(results.save(tmp_path / "results.nc"))
    assert again.labels("nesterov").tolist() == flags.tolist()
    assert again.to_dataframe()["nesterov"].tolist() == results.to_dataframe()["nesterov"].tolist()


def test_what_cannot_be_opened_or_written_is_said_in_one_line(tmp_path):
    (tmp_path / "letter.nc").write_text("Dear colleague")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a NetCDF"):
        Results.open(tmp_path / "letter.nc")
    with pytest.raises(UsageError, match="there is no"):
        Results.open(tmp_path / "absent.nc")
    with pytest.raises(UsageError, match="cannot write"):
        synthetic(epochs=1).save(tmp_path / "file" / "results.nc")
    with pytest.raises(UsageError, match="not the result of a sweep"):
        Results(xr.Dataset())


def test_the_tidy_table_has_a_row_per_run_or_per_run_and_epoch():
    results = synthetic(epochs=4)
    runs, epochs = results.to_dataframe(), results.to_dataframe(epoch="all")
    assert len(runs) == 729
    assert len(epochs) == 729 * 4
    assert {*AXES, "seed", "val_loss", "test_accuracy", "diverged_at"} <= set(runs.columns)
    assert "epoch" in epochs
    assert "test_accuracy" not in epochs
    assert runs["val_loss"].eq(np.inf).sum() == (runs["diverged_at"] > 0).sum() == 108
    search = random_search(10).to_dataframe()
    assert {"learning_rate", "weight_decay", "optimizer"} <= set(search.columns)
    assert len(search) == 10


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda r: r["val_acuracy"], "did you mean 'val_accuracy'"),
        (lambda r: r.best("val_accuracy", over="learning_rat"), "did you mean 'learning_rate'"),
        (lambda r: r.mean("val_accuracy", over="optimiser"), "did you mean 'optimizer'"),
        (lambda r: r.difference("val_loss", "optimizer", "adm"), "did you mean 'adam'"),
        (lambda r: r.sel(learning_rate=0.5), "unknown learning rate '0.5'"),
        (lambda r: r.labels("optimzer"), "did you mean 'optimizer'"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(ask, said):
    with pytest.raises(UsageError, match=said) as caught:
        ask(synthetic(epochs=1))
    assert "\n" not in str(caught.value)


def test_numbers_are_found_to_within_rounding():
    results = synthetic(epochs=1)
    assert results.sel(learning_rate=1e-3 * (1 + 1e-9)).axes == ("init", "activation", "optimizer")


def test_the_headline_is_the_best_validation_metric_there_is():
    assert synthetic(epochs=1).headline == "val_accuracy"
    assert synthetic(epochs=1, regression=True).headline == "val_loss"
    d = synthetic(epochs=1).dataset
    assert Results(d.drop_vars(["val_accuracy", "val_loss"])).headline == "train_loss"
    assert Results(d.assign(val_accuracy=d["val_accuracy"] * np.nan)).headline == "val_loss"


def test_printed_results_say_how_many_runs_of_what():
    assert repr(synthetic(epochs=2)) == (
        "Results: 729 runs = 3 init × 3 activation × 3 optimizer × 9 learning_rate × 3 seed, "
        "2 epochs, data digits; 729 finished, 108 of them diverged\n"
        "  metrics: train_loss, val_loss, val_accuracy, test_loss, test_accuracy"
    )
