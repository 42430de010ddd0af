"""nnlab search at a shell: what is typed, what it prints and writes, what it refuses."""

import numpy as np
import pandas as pd
import pytest
from engine import blobs
from matplotlib.colors import to_rgb
from rich.console import Console

import nnlab
from nnlab import UsageError
from nnlab.cli.plan import make_search
from nnlab.cli.search import show
from nnlab.cli.words import span
from nnlab.report.search import best_trials, trial_curves, trial_knobs
from nnlab.sweeps.search import Search, Trial
from nnlab.sweeps.space import Range

SMALL = ["--hidden", "8", "--epochs", "2", "--limit", "200", "--final-seeds", "2", "--quiet"]


@pytest.mark.parametrize(
    ("knob", "text", "read"),
    [
        ("learning_rate", "1e-6..1e-2", Range(1e-6, 1e-2)),
        ("dropout", "0..0.5:linear", Range(0, 0.5, log=False)),
        ("learning_rate", "1e-4..1:8", None),
        ("learning_rate", "0.1,0.2", None),
        ("optimizer", "sgd,adam", None),
    ],
)
def test_a_range_without_a_count_is_drawn_from(knob, text, read):
    assert span(knob, text) == read


def test_ranges_and_lists_are_drawn_and_single_values_are_fixed():
    options = {"learning_rate": "1e-3..1", "optimizer": "sgd,adam", "hidden": "8", "epochs": "2"}
    asked = make_search(options | {"set": {"eps": "1e-8..1e-4"}})
    assert asked["ranges"] == {
        "optimizer": ["sgd", "adam"],
        "learning_rate": Range(1e-3, 1),
        "eps": Range(1e-8, 1e-4),
    }
    assert (asked["epochs"], asked["model"]) == (2, nnlab.models.mlp([8]))


@pytest.mark.parametrize("name", ["trials", "final_seeds", "model", "axes", "record"])
def test_what_is_no_hyperparameter_is_not_for_set(name):
    with pytest.raises(UsageError, match=f"{name} is no hyperparameter; --set takes those"):
        make_search({"learning_rate": "1e-3..1", "set": {name: "10"}})


def test_the_lectures_best_trials_are_shown_with_a_warning_about_the_border():
    space = {"learning_rate": Range(1e-6, 1e-2), "weight_decay": Range(1e-8, 1e-4)}
    best = [(0.83, 0.0092, 3.86e-7), (0.78, 0.00956, 6.04e-7), (0.77, 0.00571, 1.27e-6)]
    trials = [
        Trial({"learning_rate": a, "weight_decay": b}, value, 1, i)
        for i, (value, a, b) in enumerate(best)
    ]
    console = Console(record=True, width=120)
    show(Search("val_accuracy", (space,), (), tuple(trials), None), console)
    printed = console.export_text()
    assert printed.splitlines()[2].split() == ["1", "83.0", "%", "0.0092", "3.86e-07", "1"]
    assert "best learning_rate, 0.0092, is near the high end of 1e-06..0.01" in printed
    assert printed.count("warning: ") == 1


def test_a_search_prints_the_best_and_the_test_and_continues(nnlab_, tmp_path):
    words = ["search", *SMALL, "--learning-rate", "1e-3..1", "--trials", "4"]
    words += ["--weight-decay", "1e-8..1e-4", "--out", tmp_path / "found"]
    status, printed, errors = nnlab_(*words)
    assert (status, errors) == (0, "")
    assert "The best 5 of 8 trials" in printed
    assert "validation accuracy  learning rate  weight decay  stage" in printed
    assert "test accuracy of the best: " in printed
    assert "2 fresh seeds, 95 % interval" in printed
    trials = pd.read_csv(tmp_path / "found" / "trials.csv")
    assert len(trials) == 8
    assert trials["val_accuracy"].is_monotonic_decreasing
    assert {p.name for p in (tmp_path / "found").iterdir()} == {
        "stage1", "stage2", "final", "index.html", "trials.csv", "curves.png", "knobs.png",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnlab.sweeps.execute.train_group", None)
        assert nnlab_(*words) == (0, printed, "")


@pytest.mark.parametrize("kept", [False, True])
def test_the_reasons_to_doubt_the_winner_are_said_wherever_it_is_kept(nnlab_, tmp_path, kept):
    words = ["search", *SMALL, "--final-seeds", "1", "--learning-rate", "1e-3..1", "--trials", "2"]
    words += ["--stages", "1", *(["--out", tmp_path / "found"] if kept else [])]
    status, printed, _ = nnlab_(*words)
    assert status == 0
    after = printed.partition("test accuracy of the best: ")[2]
    assert "warning: One seed only: nothing here has an interval" in after


@pytest.fixture(scope="module")
def found():
    return nnlab.search(
        {"learning_rate": (1e-4, 1.0), "weight_decay": (1e-6, 1e-2), "optimizer": ["sgd", "adam"]},
        nnlab.models.mlp([4]), blobs(), trials=6, stages=2, keep=0.4, epochs=3, batch_size=20,
        progress=False,
    )  # fmt: skip


def test_each_drawn_curve_ends_at_its_trials_value(found):
    (ax, bar) = trial_curves(found, most=7).axes
    ends = [line.get_ydata()[-1] for line in ax.lines[:7]]
    assert ends == pytest.approx([trial.value for trial in found.trials[:7]][::-1])
    assert bar.get_ylabel() == "learning rate"
    assert "best 7 of 12 trials" in ax.figure.get_suptitle()


def test_every_trial_is_a_dot_over_every_knob_and_borders_are_shaded(found):
    axes = trial_knobs(found).axes
    assert [ax.get_xlabel() for ax in axes] == ["learning rate", "weight decay", "optimizer"]
    for ax in axes:
        assert sum(len(dots.get_offsets()) for dots in ax.collections) == 12
    assert axes[0].get_xscale() == "log"
    low, high = axes[0].get_xlim()
    assert 5e-5 < low < 1e-4 * 0.99
    assert 1.01 < high < 2.0
    assert [len(ax.patches) for ax in axes] == [2, 2, 0]


def trials_of(space, *knobs) -> Search:
    """A search whose one stage had these configs, with an invented value each."""
    configs = [{"learning_rate": 0.1 + i / 10, "optimizer": "sgd"} for i in range(len(knobs))]
    stage = nnlab.Sweep(
        nnlab.models.mlp([]), blobs(), {"config": configs}, epochs=2, batch_size=20
    ).run(progress=False)
    trials = tuple(Trial(own, 0.9 - i / 10, 1, i) for i, own in enumerate(knobs))
    return Search("val_accuracy", (space,), (stage,), trials, None)


@pytest.mark.parametrize("log", [False, True])
def test_the_bar_of_the_curves_has_the_scale_of_its_range(log):
    found = trials_of({"dropout": Range(0.01, 0.5, log=log)}, {"dropout": 0.02}, {"dropout": 0.4})
    (_, bar) = trial_curves(found).axes
    assert bar.get_yscale() == ("log" if log else "linear")


def test_a_knob_that_a_trial_does_not_read_has_no_dot_no_colour_and_a_dash():
    space = {"momentum": Range(0.5, 0.9), "optimizer": ["adam", "momentum"], "eps": [1e-8, 1e-4]}
    found = trials_of(
        space,
        {"optimizer": "adam", "eps": 1e-8},
        {"optimizer": "momentum", "momentum": 0.6},
        {"optimizer": "momentum", "momentum": 0.8},
    )
    fig = trial_knobs(found)
    fig.canvas.draw()
    shown = [np.isfinite(ax.collections[0].get_offsets().filled(np.nan)) for ax in fig.axes]
    assert [int(dots.all(1).sum()) for dots in shown] == [2, 3, 1]
    best = trial_curves(found).axes[0].lines[2]
    assert len(set(to_rgb(best.get_color()))) == 1
    console = Console(record=True, width=120)
    show(found, console)
    assert console.export_text().splitlines()[2].split() == [
        "1", "90.0", "%", "–", "adam", "1e-08", "1",
    ]  # fmt: skip


def test_the_table_of_trials_holds_what_was_drawn(found):
    table = best_trials(found)
    assert list(table) == ["val_accuracy", "learning_rate", "weight_decay", "optimizer", "stage"]
    assert table["val_accuracy"].tolist() == [trial.value for trial in found.trials]
    assert set(table["optimizer"]) <= {"sgd", "adam"}


REFUSED = {
    "": ["a search needs a range or a list to draw from"],
    "--learning-rate 0.1": ["a search needs a range or a list"],
    "--learning-rate 1..0.1": ["--learning-rate: a range needs low < high, got 1..0.1"],
    "--learning-rate 0.1..0.1": ["a range needs low < high"],
    "--learning-rate 0..0.1": ["a log range begins above 0", "low..high:linear"],
    "--learning-rate a..0.1": ["--learning-rate needs numbers, got 'a'"],
    "--learning-rate 0.1..": ["--learning-rate '0.1..' is no range"],
    "--learning-rate 0.1..1,3": ["mixes a range with other values"],
    "--learning-rate nan..1": ["a range needs two finite numbers"],
    "--learning-rate ,": ["learning_rate has no values"],
    "--epochs 5..10": ["--epochs '5..10'", "whole numbers need a list"],
    "--hidden 5..10": ["--hidden '5..10'", "need a list"],
    "--dropout 0.5..2:linear --trials 99": ["dropout needs a probability"],
    "--set bta1=0.8..0.9": ["unknown knob 'bta1'; did you mean 'beta1'"],
    "--set learning_rate=0.8..0.9": ["use its own option --learning-rate"],
    "--set beta1": ["--set needs name=values"],
    "--momentum 0.1..0.9": ["momentum does nothing for optimizer adam"],
    "--optimizer sgd,adm": ["unknown optimizer 'adm'; did you mean 'adam'"],
    "--learning-rate 0.1..1 --trials 1": ["trials needs a whole number from 2"],
    "--learning-rate 0.1..1 --trials many": ["--trials"],
    "--learning-rate 0.1..1 --stages 0": ["stages needs a whole number from 1"],
    "--learning-rate 0.1..1 --keep 1.5": ["keep is a share between 0 and 1, got 1.5"],
    "--learning-rate 0.1..1 --seeds 0": ["seeds needs a whole number from 1"],
    "--learning-rate 0.1..1 --final-seeds 0": ["final_seeds needs"],
    "--learning-rate 0.1..1 --seed -1": ["seed needs a whole number from 0"],
    "--learning-rate 0.1..1 --data mnits": ["unknown data set 'mnits'"],
    "--learning-rate 0.1..1 --data mnist --data-dir {tmp}": ["no mnist in {tmp}", "--data-dir"],
    "--learning-rate 0.1..1 --limit 9999": ["limit=9999"],
    "--loss hinge --label-smoothing 0.01..0.3": ["label_smoothing changes nothing"],
    "--loss hinge --label-smoothing 0.01..0.3 --learning-rate 1e-3..1": ["label_smoothing changes"],
    "--hidden linear --dropout 0.5 --learning-rate 1e-3..1": ["dropout changes nothing"],
    "--loss hinge,focal:3 --by val_loss": ["val_loss of different losses", "try val_accuracy"],
    "--learning-rate 0.1..1 --out {tmp}/file": ["cannot write results to"],
    "--bogus": ["No such option"],
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_search_that_cannot_work_is_one_line_status_2_and_writes_nothing(
    nnlab_, tmp_path, monkeypatch, command
):
    monkeypatch.setattr("nnlab.sweeps.execute.train_group", None)
    (tmp_path / "file").write_text("not a directory")
    words = command.replace("{tmp}", str(tmp_path)).split()
    out = [] if "--out" in words else ["--out", tmp_path / "out"]
    status, printed, errors = nnlab_("search", *words, *out)
    assert (status, printed) == (2, "")
    assert errors.startswith("nnlab: ")
    assert errors.count("\n") == 1
    for word in REFUSED[command]:
        assert word.replace("{tmp}", str(tmp_path)) in errors
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
