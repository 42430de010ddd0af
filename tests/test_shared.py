"""Knobs that a run does not read, losses that cannot be compared, seeds that come later."""

import numpy as np
import pytest
from engine import blobs

import nnlab
from nnlab import UsageError
from nnlab.report import table

KNOBS = {"epochs": 2, "batch_size": 20}


@pytest.fixture(scope="module")
def mixed() -> nnlab.Results:
    """Adam reads beta1, momentum reads momentum, SGD neither."""
    axes = {
        "optimizer": ["adam", "momentum", "sgd"],
        "beta1": [0.8, 0.9],
        "momentum": [0.5, 0.9],
        "learning_rate": [0.003, 0.03],
        "seed": [0, 1, 2],
    }
    return nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, **KNOBS).run(progress=False)


def test_cells_that_share_their_runs_are_one_config(mixed):
    assert mixed.configs == 2 * (2 + 2 + 1)
    assert mixed.sel(optimizer="sgd").configs == 2
    assert mixed.sel(optimizer="adam").configs == 4


def test_an_axis_is_read_where_it_makes_a_difference(mixed):
    assert "run" not in mixed.metrics
    read = mixed.reads("momentum").any(["beta1", "learning_rate"])
    assert read.values.tolist() == [False, True, False]
    assert mixed.reads("learning_rate").all()
    fixed = mixed.sel(momentum=[0.9])
    assert fixed.reads("momentum").all(), "nothing to tell it by"


def test_what_the_best_run_does_not_read_is_missing_and_at_no_border(mixed):
    for optimizer, read in {"adam": "beta1", "momentum": "momentum", "sgd": ""}.items():
        best = mixed.sel(optimizer=optimizer).best()
        for knob in ("beta1", "momentum"):
            assert np.isnan(best[knob]) == (knob != read)
    sgd = mixed.sel(optimizer="sgd", learning_rate=[0.003]).best()
    assert not sgd["at_border"]


def test_only_runs_that_read_a_knob_speak_for_its_values(mixed):
    by_momentum = mixed.best(over=["optimizer", "beta1", "learning_rate"])
    assert by_momentum["optimizer"].values.tolist() == ["momentum"] * 2
    kept = mixed.best(over="learning_rate").sel(optimizer="adam")
    assert kept["val_accuracy"].notnull().all(), "a row that nobody reads keeps its run"


def test_tables_have_every_config_once_and_blanks_where_it_reads_nothing(mixed):
    rows = table.configs(mixed)
    assert len(rows) == mixed.configs
    unread = {"adam": "momentum", "momentum": "beta1", "sgd": "momentum"}
    for optimizer, knob in unread.items():
        assert rows[rows["optimizer"] == optimizer][knob].isna().all()
    assert len(table.leaders(mixed)) == 2 + 2 + 1
    assert f"Best of {mixed.configs} configs" in table.headline(mixed)
    best = mixed.best()
    for knob in ("beta1", "momentum"):
        assert (f"{knob} " in table.headline(mixed)) == (not np.isnan(best[knob]))


def test_configs_that_come_to_the_same_keep_a_row_each():
    configs = [{"optimizer": "adam", "momentum": m} for m in (0.5, 0.9)]
    configs += [{"optimizer": "momentum", "momentum": 0.9}]
    sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), {"config": configs}, **KNOBS)
    results = sweep.run(progress=False)
    assert results.configs == 2
    assert sorted(table.configs(results)["config"]) == [0, 1, 2]


def regression() -> nnlab.data.Dataset:
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    return nnlab.data.from_arrays(x, np.sin(x[:, 0]) + 0.1 * x[:, 1], name="waves")


def test_losses_of_different_kinds_are_compared_by_squared_error():
    axes = {"loss": ["squared_error", "huber", "absolute_error"], "learning_rate": [0.01, 0.1]}
    results = nnlab.Sweep(nnlab.models.mlp([8]), regression(), axes, **KNOBS).run(progress=False)
    assert results.headline == "val_squared_error"
    with pytest.raises(UsageError, match=r"val_loss of different losses .*try val_squared_error"):
        results.judged_by("val_loss")
    assert results.sel(loss="huber").judged_by("val_loss").headline == "val_loss"
    squared = results.sel(loss="squared_error")
    np.testing.assert_allclose(squared["val_squared_error"], squared["val_loss"], rtol=1e-5)
    for ask in (
        lambda: results.best("val_loss"),
        lambda: results.tuned("test_loss", over="loss"),
        lambda: results.difference("val_loss", "loss", "huber"),
    ):
        with pytest.raises(UsageError, match=r"of different losses .*huber.*val_squared_error"):
            ask()
    each = results.best("val_loss", over="learning_rate")
    assert each["val_loss"].sizes == {"loss": 3}
    assert squared.headline == "val_loss"
    assert len(table.ranking(results, "loss")) == 3


@pytest.mark.parametrize("axis", ["loss", "config"])
def test_a_sweep_of_several_losses_is_not_trained_to_be_judged_by_them(axis, tmp_path):
    kinds = ["squared_error", "huber"]
    values = kinds if axis == "loss" else [{"loss": kind} for kind in kinds]
    sweep = nnlab.Sweep(nnlab.models.mlp([8]), regression(), {axis: values}, **KNOBS)
    assert sweep.losses == (*kinds,)
    for by in ("val_loss", "train_loss"):
        with pytest.raises(UsageError, match=f"{by} of different losses .*try val_squared_error"):
            sweep.run(tmp_path / "runs", progress=False, by=by)
    assert not (tmp_path / "runs").exists()


def test_a_tidy_table_has_each_run_once_and_blanks_where_it_reads_nothing():
    axes = {"optimizer": ["sgd", "momentum"], "momentum": [0.5, 0.9, 0.99], "seed": [0]}
    sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, **KNOBS)
    results = sweep.run(progress=False)
    runs, epochs = results.to_dataframe(), results.to_dataframe(epoch="all")
    assert sweep.summary().trained == len(runs) == results.runs == 4
    assert len(epochs) == 4 * KNOBS["epochs"]
    for table_ in (runs, epochs):
        assert table_[table_["optimizer"] == "sgd"]["momentum"].isna().all()
        own = table_[table_["optimizer"] == "momentum"]["momentum"]
        assert set(own) == {0.5, 0.9, 0.99}
        assert "run" not in table_
    assert runs.index.tolist() == list(range(4))


def test_seeds_that_came_later_join_those_of_before(mixed):
    def run(*seeds, **knobs):
        axes = {"learning_rate": [0.01, 0.1], "optimizer": ["sgd", "adam"], "seed": list(seeds)}
        sweep = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, record="layers", **KNOBS | knobs)
        return sweep.run(progress=False)

    both, together = nnlab.join(run(0, 1), run(5)), run(0, 1, 5)
    assert both.labels("seed").tolist() == [0, 1, 5]
    for name in together.metrics:
        np.testing.assert_allclose(both[name], together[name], rtol=1e-4, atol=1e-5)
    assert set(both.recorded) == set(together.recorded)
    assert both.recorded.sizes == together.recorded.sizes
    with pytest.raises(UsageError, match="seed 1 is in more than one"):
        nnlab.join(run(0, 1), run(1, 2))
    with pytest.raises(UsageError, match="they differ in their batch_size"):
        nnlab.join(run(0), run(1, batch_size=10))
    with pytest.raises(UsageError, match="two results or more"):
        nnlab.join(mixed)
    first, second = run(0, 1), run(5)
    for a, b in (
        (first.sel(learning_rate=0.1), second.sel(learning_rate=0.01)),
        (elsewhere(first), elsewhere(second, reverse=True)),
    ):
        with pytest.raises(UsageError, match="differ in their learning_rate; join before") as error:
            nnlab.join(a, b)
        assert "\n" not in str(error.value)
    alike = nnlab.join(first.sel(learning_rate=0.1), second.sel(learning_rate=0.1))
    assert alike.labels("seed").tolist() == [0, 1, 5]


def elsewhere(results: nnlab.Results, reverse: bool = False) -> nnlab.Results:
    """The results tuned by a metric that likes the smallest rate, or the largest."""
    rate = results.dataset["learning_rate"].broadcast_like(results.finished)
    liked = results.dataset.assign(liked_score=rate if reverse else -rate)
    return results.with_data(liked).tuned("liked_score", over="learning_rate")


def test_features_of_vectors_are_scaled_each_by_itself_and_images_as_a_whole():
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], 50)
    table_ = random.normal(size=(100, 2)) * [1, 1000] + [0, 5000]
    assert nnlab.data.from_arrays(table_, y).scale.shape == (2,)
    assert nnlab.data.from_arrays(table_, y, scaling="standard").scale.shape == ()
    for x in (random.integers(0, 256, (100, 9), np.uint8), random.normal(size=(100, 3, 3))):
        assert nnlab.data.from_arrays(x, y).scale.shape == ()


def test_a_default_batch_is_no_larger_than_the_data():
    loss = nnlab.models.from_loss(lambda w, _: (w**2).sum(), np.ones(2))
    assert nnlab.Sweep(loss, epochs=1).knobs["batch_size"] == 1
    assert nnlab.Sweep(nnlab.models.mlp([4]), blobs()).knobs["batch_size"] == 100
    with pytest.raises(UsageError, match="batch_size 5 is larger than the 1"):
        nnlab.Sweep(loss, epochs=1, batch_size=5).groups()


def test_sizes_are_selected_as_they_were_given():
    axes = {"hidden": [(), (4,), (4, 4)]}
    results = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, **KNOBS).run(progress=False)
    assert results.sel(hidden=(4, 4)).axes == ()
    assert results.sel(hidden=[(4,), ()]).labels("hidden").tolist() == ["4", "linear"]
    assert results.sel(hidden=("4", "linear")).dataset.sizes["hidden"] == 2


def test_a_search_refuses_ends_that_no_draw_may_be_and_folders_of_others(tmp_path):
    with pytest.raises(UsageError, match=r"dropout needs a probability.*2"):
        nnlab.search({"dropout": (0.1, 2)}, nnlab.models.mlp([4]), blobs(), trials=2)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UsageError, match="not empty and holds no search"):
        nnlab.search({"learning_rate": (0.1, 1)}, data=blobs(), out=tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_sweep_says_how_many_runs_of_what(mixed):
    sweep = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), {"learning_rate": [0.1, 0.2], "seed": [1]})
    assert repr(sweep).startswith("Sweep: 2 runs = 2 learning_rate × 1 seed of MLP(")
    assert repr(sweep).endswith("on blobs")
