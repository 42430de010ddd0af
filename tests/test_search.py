"""Random search: the draws' law, the narrowing rule, and a known best place that it finds."""

import numpy as np
import pytest
from engine import blobs
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import nnlab
from nnlab.errors import UsageError
from nnlab.report.page import write
from nnlab.report.search import best_trials, trial_curves
from nnlab.report.search_page import winner
from nnlab.sweeps.search import Search, Trial, ranked
from nnlab.sweeps.space import Range, draw, narrow

ENDS = st.tuples(st.floats(1e-6, 1e-2), st.floats(2e-2, 1e3))


def test_draws_are_log_uniform_and_linear_ones_uniform() -> None:
    random = np.random.default_rng(0)
    logs = np.log10(Range(1e-6, 1e-2).draw(random, 2000))
    assert stats.kstest(logs, stats.uniform(-6, 4).cdf).pvalue > 0.01
    flat = Range(-1.0, 3.0, log=False).draw(random, 2000)
    assert stats.kstest(flat, stats.uniform(-1, 4).cdf).pvalue > 0.01


@given(ENDS, st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_a_narrowed_range_holds_the_best_stays_inside_and_shrinks(ends, shares) -> None:
    old = Range(*ends)
    width = np.log(old.high / old.low)
    best = [old.low * np.exp(share * width) for share in shares]
    new = old.narrowed(best)
    assert old.low * (1 - 1e-5) <= new.low <= min(best) * (1 + 1e-5)
    assert max(best) * (1 - 1e-5) <= new.high <= old.high * (1 + 1e-5)
    spread = np.log(max(best) / min(best))
    assert np.log(new.high / new.low) <= spread + 0.2 * width + 1e-4


def test_of_a_list_the_choices_of_the_best_remain() -> None:
    space = {"optimizer": ["sgd", "adam", "lion"], "learning_rate": Range(1e-3, 1.0)}
    best = [
        {"optimizer": "adam", "learning_rate": 0.01},
        {"optimizer": "sgd", "learning_rate": 0.1},
    ]
    new = narrow(space, best)
    assert new["optimizer"] == ["sgd", "adam"]
    assert set(draw(new, 4, np.random.default_rng(0))[0]) == set(space)


def test_what_none_of_the_best_reads_stays_as_wide_as_it_was() -> None:
    space = {"optimizer": ["adam", "momentum"], "momentum": Range(0.5, 0.9)}
    new = narrow(space, [{"optimizer": "adam"}, {"optimizer": "adam"}])
    assert new == {"optimizer": ["adam"], "momentum": Range(0.5, 0.9)}


def test_diverged_trials_come_last_whatever_the_metric() -> None:
    trials = [
        Trial({"k": k}, v, 1, k) for k, v in enumerate([0.5, float("nan"), 0.7, float("inf")])
    ]
    assert [t.knobs["k"] for t in ranked(trials, "val_accuracy")][:2] == [2, 0]
    assert [t.knobs["k"] for t in ranked(trials, "val_loss")][:2] == [0, 2]


def test_a_trial_whose_every_run_diverged_is_the_best_of_none_and_narrows_nothing() -> None:
    def run(rates, **more):
        return nnlab.search(
            {"learning_rate": rates}, nnlab.models.mlp([4]), blobs(), optimizer="sgd", trials=6,
            epochs=1, batch_size=20, progress=False, **more,
        )  # fmt: skip

    found = run([1e-9, 1e30], seeds=2)
    lost = [trial for trial in found.trials if trial.diverged]
    assert {trial.knobs["learning_rate"] for trial in lost} == {1e30}
    assert list(found.trials[-len(lost) :]) == lost
    assert found.best == {"learning_rate": 1e-9}
    assert len(found.stages) == 1, "narrowed to what learned, one config"
    table = best_trials(found)
    assert table["diverged"].tolist() == [trial.diverged for trial in found.trials]
    none = run((1e30, 1e33), stages=1)
    (warning,) = none.warnings()
    assert "none of 6 configs learned" in warning
    assert warning in repr(none)
    assert winner(none) == "No config learned: there is no best one."
    with pytest.raises(UsageError, match="none of 6 configs learned"):
        none.final(progress=False)


def test_a_search_finds_the_rates_that_learn_and_looks_at_test_data_once(tmp_path) -> None:
    def run():
        return nnlab.search(
            {"learning_rate": (1e-7, 1.0), "optimizer": ["sgd", "adam"]},
            nnlab.models.mlp([8]), blobs(), trials=16, stages=2, keep=0.25, final_seeds=2,
            epochs=3, batch_size=20, out=tmp_path, progress=False,
        )  # fmt: skip

    found = run()
    coarse, fine = (space["learning_rate"] for space in found.spaces)
    assert fine.high / fine.low < 0.2 * coarse.high / coarse.low
    assert found.best["learning_rate"] > 1e-3
    assert found.metric == "val_accuracy"
    for results in found.stages:
        assert not [name for name in results.metrics if name.startswith("test_")]
    assert found.trials[0].value >= max(trial.value for trial in found.trials)
    assert repr(found).startswith("Search: learning_rate ")
    assert f" is best of {len(found.trials)} configs, val_accuracy" in repr(found)
    again = run()
    assert again.trials == found.trials, "kept stages are not trained again"
    final = found.final(progress=False)
    assert final["test_accuracy"].sizes["seed"] == 2
    assert list(final.labels("seed")) == [1, 2]


def test_trials_share_their_weights_unless_each_draws_its_own() -> None:
    def first_losses(**more):
        found = nnlab.search(
            {"learning_rate": (1e-9, 2e-9)}, nnlab.models.mlp([8]), blobs(), trials=4, stages=1,
            epochs=1, batch_size=20, progress=False, **more,
        )  # fmt: skip
        (stage,) = found.stages
        return stage["val_loss"].values.ravel()

    assert np.ptp(first_losses()) < 1e-5
    apart = first_losses(own_weights=True)
    assert np.diff(np.sort(apart)).min() > 1e-4


def test_a_draw_changes_the_weights_and_the_seeds_own_is_the_first() -> None:
    sweep = {"model": nnlab.models.mlp([8]), "data": blobs(), "epochs": 1, "batch_size": 20}
    axes = {"draw": [0, 1], "seed": [0, 1]}
    both = nnlab.Sweep(axes=axes, **sweep).run(progress=False)["train_loss"].values
    own = nnlab.Sweep(axes={"seed": [0, 1]}, **sweep).run(progress=False)["train_loss"].values
    np.testing.assert_allclose(both[0], own, rtol=1e-5)
    assert np.abs(both[1] - both[0]).min() > 1e-4
    fixed = nnlab.models.from_loss(lambda w, _: (w**2).sum(), np.ones(2))
    with pytest.raises(nnlab.UsageError, match="draw changes nothing"):
        nnlab.Sweep(fixed, axes={"draw": [0, 1]}).run(progress=False)


def test_of_many_configs_the_best_few_have_to_be_near_a_border_to_say_so() -> None:
    space = {"learning_rate": Range(1e-6, 1e-3)}

    def said(*best: float) -> list[str]:
        rates = [*best, *[3e-5] * (100 - len(best))]
        trials = tuple(Trial({"learning_rate": r}, 0.9, 1, i) for i, r in enumerate(rates))
        return Search("val_accuracy", (space,), (), trials, None).warnings()

    assert said(9e-4) == []
    assert said(9e-4, 8e-4) == []
    assert said(9e-4, 8e-4, 9.5e-4, 7e-4, 1.1e-6) == []
    assert len(said(9e-4, 8e-4, 9.5e-4, 7e-4, 6e-4)) == 1


def test_a_best_value_near_a_border_is_said() -> None:
    space = {"learning_rate": Range(1e-6, 1e-3), "optimizer": ["sgd"]}
    for rate, said in [(9e-4, "near the high end of 1e-06..0.001"), (1.2e-6, "near the low end")]:
        best = Trial({"learning_rate": rate, "optimizer": "sgd"}, 0.9, 1, 0)
        assert Search("val_accuracy", (space,), (), (best,), None).warnings() == []
        (warning,) = Search("val_accuracy", (space,), (), (best, best), None).warnings()
        assert said in warning
        assert "search beyond it" in warning
    middle = Trial({"learning_rate": 3e-5, "optimizer": "sgd"}, 0.9, 1, 0)
    assert Search("val_accuracy", (space,), (), (best, middle), None).warnings() == []
    lost = best._replace(value=float("nan"))
    assert Search("val_accuracy", (space,), (), (best, lost), None).warnings() == []


def test_little_is_no_border_where_a_range_begins_at_0() -> None:
    for low, said in [(0, 0), (0.001, 1)]:
        space = {"dropout": Range(low, 0.5, log=False)}
        trials = tuple(Trial({"dropout": 0.002}, 0.9, 1, i) for i in range(3))
        found = Search("val_accuracy", (space,), (), trials, None)
        assert len(found.warnings()) == said
        most = tuple(trial._replace(knobs={"dropout": 0.49}) for trial in trials)
        (warning,) = Search("val_accuracy", (space,), (), most, None).warnings()
        assert "near the high end" in warning


def test_a_range_of_one_number_is_refused() -> None:
    with pytest.raises(nnlab.UsageError, match="differ in their first 6 digits"):
        Range(0.01, 0.01 + 1e-9)
    assert len(set(Range(0.01, 0.01001).draw(np.random.default_rng(0), 9))) > 1


def test_the_stages_of_a_search_keep_what_they_recorded_but_nothing_of_test_data(tmp_path) -> None:
    found = nnlab.search(
        {"learning_rate": (0.01, 0.1)}, nnlab.models.mlp([4]), blobs(), trials=2, stages=1,
        epochs=1, batch_size=20, record=["layers", "test_outputs"], metrics="brier",
        out=tmp_path, progress=False,
    )  # fmt: skip
    for stage in (*found.stages, nnlab.load(tmp_path / "stage1")):
        assert stage.recorded.data_vars
        names = [*stage.dataset, *stage.dataset.attrs, *stage.recorded, *stage.recorded.dims]
        assert not [name for name in names if "test" in str(name)]
    kept = [key for file in (tmp_path / "stage1").rglob("*.npz") for key in np.load(file)]
    assert kept
    assert not [key for key in kept if "test" in key]
    final = found.final(progress=False)
    assert {"test_accuracy", "test_brier"} <= set(final.metrics)
    assert "test_outputs" in final.recorded


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({}, "a search needs"),
        ({"learning_rate": ()}, "needs a pair"),
        ({"learning_rate": (1.0, 0.1)}, "low < high, got 1..0.1"),
        ({"learning_rate": (0.0, 0.1)}, "a log range begins above 0"),
        ({"learning_rate": (0.1, float("inf"))}, "two finite numbers"),
        ({"learnin_rate": (0.01, 0.1)}, "did you mean 'learning_rate'"),
        ({"optimizer": []}, "needs a pair"),
        ({"optimizer": ["adam"], "momentum": (0.5, 0.9)}, "for optimizer adam; it belongs to"),
    ],
)
def test_an_impossible_space_is_one_line(ranges, said) -> None:
    with pytest.raises(nnlab.UsageError, match=said) as caught:
        nnlab.search(ranges, nnlab.models.mlp([8]), blobs(), trials=2, batch_size=20)
    assert "\n" not in str(caught.value)


def test_a_search_that_has_narrowed_to_one_config_is_at_its_end() -> None:
    found = nnlab.search(
        {"activation": ["relu", "tanh"]}, nnlab.models.mlp([4]), blobs(), trials=4, stages=3,
        epochs=1, batch_size=20, final_seeds=1, progress=False,
    )  # fmt: skip
    assert len(found.stages) == 1
    assert found.best["activation"] in ("relu", "tanh")


def test_draws_that_are_all_alike_are_drawn_anew() -> None:
    space = {"activation": ["relu", "tanh"]}
    for seed in range(20):
        one, other = draw(space, 2, np.random.default_rng(seed))
        assert one != other
    alone = {"activation": ["relu"]}
    assert draw(alone, 2, np.random.default_rng(0)) == [{"activation": "relu"}] * 2


def test_optimizers_that_do_not_have_a_knob_are_searched_beside_those_that_have() -> None:
    found = nnlab.search(
        {"optimizer": ["sgd", "momentum"], "momentum": Range(0.5, 0.9, log=False)},
        nnlab.models.mlp([4]), blobs(), trials=6, stages=1, epochs=1, batch_size=20,
        final_seeds=1, progress=False,
    )  # fmt: skip
    assert {trial.knobs["optimizer"] for trial in found.trials} == {"sgd", "momentum"}


UNREAD = {
    "momentum": ({"optimizer": ["momentum", "adam"], "momentum": (0.5, 0.9)}, {}),
    "a fixed momentum": ({"optimizer": ["momentum", "adam"]}, {"momentum": 0.5}),
    "activation": ({"hidden": [(), (1,)], "activation": ["relu", "tanh"]}, {}),
    "dropout": (
        {"hidden": [(), (1,)], "dropout": Range(0.5, 0.9, log=False)},
        {"learning_rate": 0.05},
    ),
    "label_smoothing": (
        {"loss": ["cross_entropy", "hinge"], "label_smoothing": (0.9, 0.99)},
        {"by": "val_accuracy", "learning_rate": 0.05},
    ),
}


@pytest.mark.parametrize("knob", UNREAD)
def test_a_winner_that_does_not_read_a_searched_knob_is_trained_without_it(knob) -> None:
    ranges, more = UNREAD[knob]
    found = nnlab.search(
        ranges, nnlab.models.mlp([4]), blobs(), trials=8, epochs=2, batch_size=20, final_seeds=1,
        progress=False, **more,
    )  # fmt: skip
    assert knob not in found.best
    assert len({frozenset(trial.knobs) for trial in found.trials}) == 1 + (knob in ranges)
    assert found.warnings() == []
    assert found.final(progress=False)["test_accuracy"].size == 1


def test_a_knob_is_missing_along_the_configs_that_do_not_read_it(tmp_path) -> None:
    ranges = {"optimizer": ["momentum", "adam"], "momentum": (0.5, 0.9)}
    ranges |= {"hidden": [(), (1,)], "activation": ["relu", "tanh"]}
    nnlab.search(
        ranges, nnlab.models.mlp([4]), blobs(), trials=12, stages=1, epochs=2, batch_size=20,
        out=tmp_path, progress=False,
    )  # fmt: skip
    stage = nnlab.load(tmp_path / "stage1")
    owners = {"momentum": ("optimizer", "adam"), "activation": ("hidden", "linear")}
    for knob, (owner, does_not_read) in owners.items():
        unread = stage.labels(owner) == does_not_read
        assert unread.any()
        np.testing.assert_array_equal(stage.dataset[knob].isnull(), unread)
    again = nnlab.Results.open(stage.save(tmp_path / "stage.nc"))
    np.testing.assert_array_equal(again.labels("momentum"), stage.labels("momentum"))
    best, said = stage.best(), nnlab.report.headline(stage)
    for knob in owners:
        assert (f", {knob} " in said) == bool(best[knob].notnull())
    write(stage, tmp_path / "page")


def test_a_knob_that_a_listed_config_does_not_read_is_missing_in_its_results() -> None:
    configs = [{"optimizer": "adam", "momentum": 0.9}, {"optimizer": "momentum", "momentum": 0.9}]
    stage = nnlab.Sweep(
        nnlab.models.mlp([4]), blobs(), {"config": configs}, epochs=1, batch_size=20
    ).run(progress=False)
    np.testing.assert_array_equal(stage.labels("momentum"), [np.nan, 0.9])


def test_each_trial_has_the_curve_of_its_own_weights() -> None:
    found = nnlab.search(
        {"activation": ["relu", "tanh"]}, nnlab.models.mlp([4]), blobs(), trials=6, stages=1,
        own_weights=True, epochs=2, batch_size=20, final_seeds=1, progress=False,
    )  # fmt: skip
    axes = trial_curves(found).axes[0]
    ends = sorted(line.get_ydata()[-1] for line in axes.lines if len(line.get_ydata()))
    values = [float(trial.value) for trial in found.trials]
    assert len(set(values)) > 2
    np.testing.assert_allclose(ends, sorted(values), rtol=1e-6)


@pytest.mark.parametrize("by", ["val_loss", "train_loss"])
def test_losses_of_several_kinds_are_not_ranked_by_their_own_values(by) -> None:
    ranges = {"loss": ["cross_entropy", "focal:3", "hinge"], "learning_rate": (1e-3, 1e-1)}
    said = rf"{by} of different losses \(cross_entropy, focal:3, hinge\) .*try val_accuracy"
    with pytest.raises(nnlab.UsageError, match=said) as caught:
        nnlab.search(ranges, nnlab.models.mlp([8]), blobs(), by=by, batch_size=20)
    assert "\n" not in str(caught.value)


NEVER_READ = [
    ("label_smoothing", {"label_smoothing": (0.01, 0.3), "learning_rate": (1e-3, 1)}, "hinge"),
    ("label_smoothing", {"label_smoothing": (0.01, 0.3)}, "hinge"),
    ("label_smoothing", {"loss": ["hinge", "squared_hinge"], "label_smoothing": [0.1, 0.2]}, None),
    ("dropout", {"hidden": [()], "dropout": [0.1, 0.2]}, None),
]


@pytest.mark.parametrize(("name", "ranges", "loss"), NEVER_READ)
def test_a_knob_that_no_config_reads_is_refused(name, ranges, loss) -> None:
    said = f"^{name} changes nothing: .*; leave it out$"
    for searched in (True, False):
        fixed = {} if loss is None else {"loss": loss}
        asked = dict(ranges)
        if not searched:
            low, *_ = asked.pop(name)
            fixed[name], asked["learning_rate"] = low, (1e-3, 1.0)
        with pytest.raises(nnlab.UsageError, match=said):
            nnlab.search(asked, nnlab.models.mlp([8]), blobs(), trials=2, batch_size=20, **fixed)


def test_weights_of_their_own_are_for_models_that_draw_them() -> None:
    fixed = nnlab.models.from_loss(lambda w, _: (w**2).sum(), np.ones(2))
    with pytest.raises(nnlab.UsageError, match="draw changes nothing"):
        nnlab.search({"learning_rate": (1e-3, 1)}, fixed, trials=2, own_weights=True)


def test_a_knob_counts_that_one_combination_of_choices_reads() -> None:
    ranges = {"hidden": [(), (2,)], "optimizer": ["sgd", "adam"], "dropout": [0.1, 0.2]}
    ranges |= {"beta1": [0.8, 0.9]}
    found = nnlab.search(
        ranges, nnlab.models.mlp(), blobs(), trials=9, stages=1, epochs=1, batch_size=20,
        final_seeds=1, progress=False,
    )  # fmt: skip
    read = [frozenset(trial.knobs) & {"dropout", "beta1"} for trial in found.trials]
    assert len(set(read)) > 1
