"""The studies of layers and of the MNIST ladder, at toy size, and the figures they draw."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nnlab
from nnlab import UsageError
from nnlab.report.layers import histograms, layer_histograms
from nnlab.studies.comparison import beside
from nnlab.studies.verdicts import read
from nnlab.sweeps.statistics import t_interval

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    import activation_histograms

    out = tmp_path_factory.mktemp("study")
    activation_histograms.main(out, "normal", seeds=1, fast=True)
    return out


@pytest.fixture(scope="module")
def found(study) -> nnlab.Results:
    return nnlab.load(study / "runs")


CLAIMS = {
    "sigmoid, std 1": "piles up at 0 and 1",
    "sigmoid, std 0.01": "piles up at 0.5",
    "sigmoid, Xavier": "spreads",
    "ReLU, std 0.01": "dies out",
    "ReLU, Xavier": "shrinks with depth",
    "ReLU, He": "keeps its width",
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_lectures_conclusions_about_initial_weights_hold(study, claim):
    (verdict,) = [v for v in read(study) if v.claim == claim]
    assert verdict.published == CLAIMS[claim]
    assert verdict.holds, verdict.ours


def test_relu_keeps_half_its_units_mass_at_zero_whatever_the_weights_scale(found):
    flat = found.recorded["layer_saturated"].sel(activation="relu", epoch=0, layer=1)
    np.testing.assert_allclose(flat, 0.5, atol=0.05)


def test_saturation_follows_the_scale_of_the_weights(found):
    flat = found.recorded["layer_saturated"].sel(epoch=0, layer=1, seed=0)
    for activation in ("sigmoid", "tanh"):
        wide, small = (
            flat.sel(activation=activation, init=i) for i in ("normal(1)", "normal(0.01)")
        )
        assert wide > 0.7
        assert small == 0


def test_the_study_leaves_figures_and_a_table_of_every_layer(study):
    for name in ("lecture", "more"):
        assert (study / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(study / "layers.csv")
    assert len(table) == 5 * 4 * 5
    assert {"layer_mean", "layer_std", "layer_dead", "layer_saturated"} <= set(table)


def test_a_figures_histograms_count_every_activation_of_every_seed(found):
    counts = histograms(found, "init", "activation", epoch=0)
    assert counts.dims == ("init", "activation", "layer", "value")
    assert (counts.sum("value") == 200 * 100).all()


def test_layers_are_drawn_one_panel_for_each_pair(found):
    fig = layer_histograms(found.sel(activation=["relu", "tanh"]), "init", "activation", epoch=1)
    assert len(fig.axes) == 8
    assert fig.get_suptitle() == "Activations after epoch 1, by init and activation"
    assert [ax.get_title(loc="left") for ax in fig.axes[:2]] == ["relu", "tanh"]
    assert [ax.get_ylabel() for ax in fig.axes[::2]] == list(found.labels("init"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("init", "init"), "row and col must be different axes, got init twice"),
        (("init", "seed"), "need one activation; choose it with results.sel"),
        (("init", "optimizer"), "unknown axis 'optimizer'"),
        (("init", "activation", 5), r"epoch 5 was not recorded; choose from 0..1"),
    ],
)
def test_a_figure_of_layers_that_cannot_be_drawn_says_what_to_choose(found, asked, words):
    with pytest.raises(UsageError, match=words):
        layer_histograms(found, *asked)
    with pytest.raises(UsageError, match="train with record='layers'"):
        layer_histograms(nnlab.Results(found.dataset), "init", "activation")


def test_the_ladder_runs_from_softmax_to_an_ensemble_of_the_seeds(tmp_path, capsys):
    import mnist_ladder

    mnist_ladder.main(tmp_path, "digits", seeds=2, fast=True)
    table = pd.read_csv(tmp_path / "ladder.csv")
    assert sorted(table["config"]) == list(range(len(mnist_ladder.RUNGS)))
    assert (table["n"] == 2).all()
    together = pd.read_csv(tmp_path / "ensembles.csv").pivot_table("loss", "config", "members")
    assert (together[2] < together[1]).all()
    verdicts = read(tmp_path)
    assert len(verdicts) == 5 * 3 + 5 + 1
    assert all("toy size" in v.why for v in verdicts[:15])
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")
    assert "an ensemble" in " ".join(capsys.readouterr().out.split())


def test_found_numbers_stand_beside_others_in_rows_from_the_top():
    runs = t_interval([[0.9, 0.88], [0.98, 0.97]])._asdict()
    found = xr.Dataset({name: ("config", values) for name, values in runs.items()})
    fig = beside(["a", "b"], found, {"lab": [0.89, np.nan]}, "test_accuracy", "Errors")
    (ax,) = fig.axes
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_yticks()[0] > ax.get_yticks()[1]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["ours, 2 seeds", "lab"]
    with pytest.raises(UsageError, match="lab has 1 numbers for 2 names"):
        beside(["a", "b"], found, {"lab": [0.1]}, "test_accuracy", "Errors")
    ours, lab = ax.lines[0].get_xdata(), ax.lines[-1].get_xdata()
    np.testing.assert_allclose(ours, [0.11, 0.025])
    np.testing.assert_allclose(lab, [0.11, np.nan])
