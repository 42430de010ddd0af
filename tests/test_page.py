"""Pages: configs beside axes, settings in words, no file of others overwritten, wrong requests."""

import json
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from engine import blobs
from test_results import interrupted, random_search, synthetic

import nnlab
from nnlab.errors import UsageError
from nnlab.report import (
    cautions,
    differences,
    heatmap,
    layer_histograms,
    learning_curves,
    write,
    write_search,
)
from nnlab.report.folder import MARK
from nnlab.report.table import limits
from nnlab.sweeps.results import Results
from nnlab.sweeps.search import Range

BESIDE = {
    "words": {"activation": ["relu", "tanh"]},
    "numbers": {"weight_decay": [0.0, 1e-6, 1e-4]},
    "whole numbers": {"batch_size": [10, 100]},
    "a switch": {"batch_norm": [False, True]},
    "sizes": {"hidden": ["5x100", "2x50"]},
    "one value": {"init": ["he_normal"]},
    "two axes": {"activation": ["relu", "tanh"], "weight_decay": [0.0, 1e-6, 1e-4]},
    "draws": {"draw": [0, 1]},
    "nothing": {},
}
AT_ITS_END = Range(1e-30, 0.3)
"""Whatever was drawn from 1e-3 to 0.3 lies in its last tenth."""
KNOBS = {"optimizer": ["sgd", "adam", "sgd"], "learning_rate": [0.1, 0.003, 0.01]}


def beside(axes, knobs=KNOBS) -> Results:
    """Configs crossed with axes."""
    axes = {"config": np.arange(3), **axes}
    along = {knob: ("config", values) for knob, values in knobs.items()}
    return Results(synthetic(axes, seeds=2, epochs=2).dataset.assign_coords(along))


@pytest.mark.parametrize("case", BESIDE)
def test_a_page_shows_the_knobs_of_configs_and_every_axis_beside_them(case, tmp_path):
    axes = BESIDE[case]
    page = write(beside(axes), tmp_path / "report")
    found = {path.stem for path in page.parent.glob("*.png")}
    assert {"knob_optimizer", "knob_learning_rate", "curves_val_accuracy"} <= found
    several = [name for name, values in axes.items() if len(values) > 1 and name != "draw"]
    numbers = [name for name in several if not isinstance(axes[name][0], str | bool)]
    assert {f"response_{name}" for name in numbers} <= found
    assert ("comparison" in found) == (bool(several) and not numbers)
    assert not any("config" in name for name in found)
    html = page.read_text()
    assert "<th>configs</th><td>3</td>" in html
    assert "drawn at random" not in html
    for name in several:
        assert f"<th>{name.replace('_', ' ')}</th>" in html


def test_a_ranking_beside_configs_names_the_configs_by_their_knobs(tmp_path):
    html = write(beside(BESIDE["two axes"]), tmp_path).read_text()
    ranking = html[html.index("By activation, all else") :]
    head = ranking[: ranking.index("</thead>")]
    assert "<th>optimizer</th>" in head
    assert "<th>learning rate</th>" in head
    assert "config" not in head


def test_what_no_test_tells_apart_is_not_separated_but_what_diverged_is(tmp_path):
    axes = {"optimizer": ["sgd", "momentum", "adam"], "activation": ["relu", "tanh"]}
    html = write(synthetic(axes, seeds=1, epochs=2), tmp_path / "one").read_text()
    ranked = html[html.index("By optimizer, all else") : html.index("By activation, all else")]
    assert ranked.count(", not separated") == 2, "one seed tells nothing apart"
    d = synthetic(axes, seeds=1, epochs=2, regression=True).dataset
    lost = d.assign(test_loss=d["test_loss"].where(d["optimizer"] != "sgd", np.inf))
    html = write(Results(lost), tmp_path / "lost").read_text()
    ranked = html[html.index("By optimizer, all else") : html.index("By activation, all else")]
    assert ranked.count("<td>diverged</td>") == 2, "its loss, and its difference"
    assert ranked.count(", not separated") == 1


def test_a_random_search_has_the_ends_of_its_ranges(tmp_path):
    results = random_search(20, epochs=2)
    rates = results.labels("learning_rate")
    html = write(results, tmp_path).read_text()
    assert f"{rates.min():.3g} to {rates.max():.3g}" in html


def test_the_page_of_an_unfinished_sweep_counts_what_is_missing(tmp_path):
    axes = {"optimizer": ["sgd", "adam"], "learning_rate": np.geomspace(1e-3, 1e-1, 4)}
    results = interrupted(synthetic(axes, seeds=6), lambda seed, config: seed < 2)
    html = write(results, tmp_path).read_text()
    assert "<th>unfinished</th><td>32 of 48 runs</td>" in html
    assert "Two seeds only" in html
    assert "unfinished</th>" not in write(synthetic(axes), tmp_path).read_text()


def test_settings_are_said_once_and_in_words(tmp_path):
    results = synthetic({"optimizer": ["sgd", "adam"]}, epochs=2)
    sweep = {
        "model": "mlp 64-5x100-10", "data": "digits", "data description": "8x8 images",
        "axes": {"optimizer": ["sgd", "adam"]}, "functions": {"model": "d12ba317bfa5"},
        "reshuffle": True, "dropout": 0.0, "record": ["layers", "signs"], "betas": {"b1": 0.9},
    }  # fmt: skip
    attrs = {"sweep": json.dumps(sweep), "data_description": "8x8 images"}
    results.dataset.attrs.update(attrs)
    html = write(results, tmp_path).read_text()
    settings = html[html.index("<h2>Settings") : html.index("<h2>How to read")]
    for name in ("model", "data", "data description", "reshuffle", "device"):
        assert settings.count(f"<th>{name}</th>") == 1, name
    for raw in ("{", "[", "true", "&quot;", "d12ba317bfa5", "<th>axes</th>"):
        assert raw not in settings, raw
    assert "<th>record</th><td>layers, signs</td>" in settings
    assert "<th>reshuffle</th><td>on</td>" in settings
    assert "<th>betas</th><td>b1 0.9</td>" in settings


# Folders ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Results:
    return synthetic({"optimizer": ["sgd", "adam"]}, seeds=1, epochs=1)


@pytest.mark.parametrize("name", ["trials.csv", "index.html", "thesis.tex"])
def test_a_page_is_not_written_among_the_files_of_others(name, small, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"holds other files \({name}\); choose a new folder"):
        write(small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_the_first_of_many_files_are_named_in_one_line(small, tmp_path):
    for name in "abcde":
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=r"\(a, b, c, …\)") as caught:
        write(small, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sign", ["sweep.json", "results.nc", "stage1/sweep.json"])
def test_a_page_may_be_written_where_nnlab_has_written(sign, small, tmp_path):
    (tmp_path / sign).parent.mkdir(exist_ok=True)
    (tmp_path / sign).write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    assert MARK in write(small, tmp_path).read_text()
    (tmp_path / sign).unlink()
    assert write(small, tmp_path).exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_holds_the_figures_of_its_page_and_what_others_put_there(small, tmp_path):
    results = synthetic({"optimizer": ["sgd", "adam"], "learning_rate": [0.01, 0.1]}, epochs=2)
    names = ("curves_mine.png", "mine.png", "notes.txt")
    write(results.judged_by("val_loss"), tmp_path)
    for name in names:
        (tmp_path / name).write_text("mine")
    assert (tmp_path / "curves_val_loss.png").exists()
    for again in (results, small):
        html = write(again, tmp_path).read_text()
        shown = {path.name for path in tmp_path.glob("*.png")} - {*names}
        assert shown
        assert all(f'href="{name}"' in html for name in shown)
        assert all((tmp_path / name).read_text() == "mine" for name in names)


def test_a_page_of_others_stays_even_in_the_folder_of_a_sweep(small, tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    (tmp_path / "index.html").write_text("<h1>Mine</h1>")
    with pytest.raises(UsageError, match=r"holds other files \(index\.html\)"):
        write(small, tmp_path)


def test_hidden_files_and_drafts_make_no_folder_anothers(small, tmp_path):
    (tmp_path / ".gitkeep").write_text("")
    (tmp_path / "results.nc.7.partial").write_text("")
    assert write(small, tmp_path).exists()


@pytest.fixture(scope="module")
def search():
    ranges = {"learning_rate": (1e-3, 0.3), "optimizer": ["sgd", "adam"], "momentum": [0.5, 0.9]}
    ranges["optimizer"].append("momentum")
    model, settings = nnlab.models.mlp([4]), {"epochs": 2, "batch_size": 20, "progress": False}
    return nnlab.search(ranges, model, blobs(), trials=6, final_seeds=2, seed=3, **settings)


def test_a_search_has_a_page_with_its_winner_its_stages_its_trials_and_its_doubts(search, tmp_path):
    narrow = replace(search, spaces=({**search.spaces[0], "learning_rate": AT_ITS_END},))
    for name, found, final in (("one", search, None), ("two", search, search.final(False)),
                               ("end", narrow, None)):  # fmt: skip
        page, *files = write_search(found, tmp_path / name, final)
        assert [path.name for path in files] == ["trials.csv", "curves.png", "knobs.png"]
        text = unescape(page.read_text())
        assert MARK in text
        assert (
            f"Best of 12 configs in 2 stages: learning rate {search.best['learning_rate']:.3g}"
            in text
        )
        assert ("fresh seeds, 95 % interval" in text) == (final is not None)
        assert text.count('src="data:image/png;base64,') == 2
        assert ("Before you believe it" in text) == (name != "one")  # few seeds, or a border
    assert "search beyond it" in text
    first, last = (space["learning_rate"] for space in search.spaces)
    cells = f"<td>0.001 to 0.3</td><td>{last.low:.3g} to {last.high:.3g}</td>"
    assert (first.low, first.high) == (0.001, 0.3)
    assert cells in (tmp_path / "one" / "index.html").read_text()


def test_a_search_is_not_written_over_the_files_of_others(search, tmp_path):
    for _ in range(2):
        assert write_search(search, tmp_path / "new")
    (tmp_path / "found" / "stage1").mkdir(parents=True)
    (tmp_path / "found" / "stage1" / "sweep.json").write_text("{}")
    assert write_search(search, tmp_path / "found")
    mine = {"trials.csv": "patient,dose\n1,2\n", "index.html": "<html>mine</html>"}
    for name, words in mine.items():
        (tmp_path / "found" / name).write_text(words)
        with pytest.raises(UsageError, match=rf"holds other files \({name}\)"):
            write_search(search, tmp_path / "found")
        assert (tmp_path / "found" / name).read_text() == words
        assert write_search(search, tmp_path / "new")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "knobs.png").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files \(knobs\.png\)"):
        write_search(search, tmp_path / "other")


# What cannot be drawn ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda r: nnlab.plot(r, "learning_rate"),
        lambda r: heatmap(r, "learning_rate", "optimizer"),
        learning_curves,
        lambda r: differences(r, "optimizer", "sgd"),
        lambda r: layer_histograms(r, "optimizer", "init"),
        lambda r: write(r, "nowhere"),
    ],
)
def test_anything_but_results_is_one_line_that_says_what_is_needed(draw):
    said = r"needs the Results of a sweep.* got Dataset; try nnlab\.Results\(dataset\)$"
    with pytest.raises(UsageError, match=said):
        draw(synthetic(epochs=1).dataset)
    with pytest.raises(UsageError, match=r"got dict$"):
        draw({})


def test_a_sweep_that_learned_nothing_says_so():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    prices = (1e4 * (20 + x @ np.ones(4))).astype(np.float32)
    y = {"numbers": prices, "scaled": prices / prices.std() - prices.mean() / prices.std()}
    for name, targets in y.items():
        data = nnlab.data.from_arrays(x, targets, name=name)
        axes = {"learning_rate": [1e-3, 1e-2], "seed": [0, 1]}
        found = nnlab.Sweep(nnlab.models.mlp([8]), data, axes, epochs=20, batch_size=20)
        found = found.run(progress=False)
        mean = np.mean((data.valid.y - data.train.y.mean()) ** 2)
        constant = found.dataset.attrs["constant_val_squared_error"]
        assert constant == pytest.approx(mean, rel=1e-5)
        said = [c for c in cautions(found) if "the mean of the targets always" in c]
        assert len(said) == (name == "numbers")
    labels = rng.integers(3, size=300)
    data = nnlab.data.from_arrays(x, labels)
    most = np.bincount(data.train.y).argmax()
    found = nnlab.Sweep(
        nnlab.models.mlp([8]), data, {"seed": [0, 1]}, optimizer="sgd", learning_rate=1e-6, epochs=1
    ).run(progress=False)
    assert found.dataset.attrs["constant_test_accuracy"] == np.mean(data.test.y == most)
    worse = found.with_data(found.dataset.assign(val_accuracy=found["val_accuracy"] * 0))
    assert any("the most frequent class always" in c for c in cautions(worse))
    better = found.with_data(found.dataset.assign(val_accuracy=found["val_accuracy"] * 0 + 1))
    assert not any("nothing was learned" in c for c in cautions(better))


@pytest.mark.parametrize(
    ("mean", "low", "high", "words"),
    [
        (0.981, 0.975, 0.987, "98.1 % (97.5 to 98.7 %)"),
        (0.981, 0.981, 0.981, "98.1 % (all seeds alike)"),
        (0.981, np.nan, np.nan, "98.1 %"),
    ],
)
def test_an_interval_is_said_only_where_seeds_tell_one(mean, low, high, words):
    assert limits(mean, low, high, "accuracy") == words
