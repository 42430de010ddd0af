"""Intervals end where means do: at 0 and 1, at 0, or nowhere."""

import json

import numpy as np
import pytest
from test_results import RATES, known, synthetic

import nnlab
from nnlab.report import table
from nnlab.sweeps.results import Results

OWN = {"functions": {"loss cross_entropy": "5c7d396489a2"}}


def wide(sweep=None, **coordinates) -> Results:
    """Two seeds, two configs, losses that differ as widely as they can; a sweep that says which."""
    d = known([[1.0, 0.1], [0.2, 0.9]], learning_rate=RATES[:2]).dataset
    d = d.assign(val_squared_error=d["val_loss"], val_mine=d["val_loss"]).assign_coords(coordinates)
    return Results(d.assign_attrs({} if sweep is None else {"sweep": json.dumps(sweep)}))


def test_an_interval_of_accuracies_ends_where_accuracies_do():
    found = known([[1.0, 0.98], [0.02, 0.0]], learning_rate=RATES[:2]).mean("val_accuracy")
    half = 12.706205 * 0.01  # Student's t for one degree of freedom, times s / sqrt(2)
    np.testing.assert_allclose(found["low"], [0.99 - half, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found["high"], [1.0, 0.01 + half], rtol=1e-6)


@pytest.mark.parametrize(
    ("results", "metric", "ends"),
    [
        (wide({"loss": "cross_entropy"}), "val_loss", True),
        (wide({"loss": "huber(2)"}), "val_loss", True),
        (wide({"loss": "squared_error"}), "val_mine", False),
        (wide(), "val_squared_error", True),
        (wide(), "val_loss", False),
        (wide({"loss": "mine"}), "val_loss", False),
        (wide({"loss": "cross_entropy"} | OWN), "val_loss", False),
        (wide(loss=("learning_rate", ["huber(1)", "cross_entropy"])), "val_loss", True),
        (wide(loss=("learning_rate", ["huber(1)", "mine"])), "val_loss", False),
        (wide("no table"), "val_loss", False),
    ],
)
def test_the_interval_of_a_loss_ends_at_zero_if_it_is_known_to_be_never_negative(
    results, metric, ends
):
    found = results.mean(metric)
    assert (found["low"] == 0).all() if ends else (found["low"] < 0).all()
    assert (found["high"] > found["mean"]).all()


def test_a_sweep_says_itself_whether_its_loss_is_never_negative():
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    data = nnlab.data.from_arrays(x, x @ np.ones((2, 1), np.float32))
    axes = {"loss": ["squared_error", "absolute_error"], "seed": [0, 1]}
    results = nnlab.Sweep(nnlab.models.mlp([2]), data, axes, epochs=1).run(progress=False)
    assert (results.mean("val_loss", confidence=0.9999)["low"] == 0).all()
    own = {"loss": {"absolute_error": lambda z, y: -((z - y) ** 2).sum()}}
    results = nnlab.Sweep(nnlab.models.mlp([2]), data, {"seed": [0, 1]}, epochs=1, **own).run(
        progress=False
    )
    assert (results.mean("val_loss", confidence=0.9999)["low"] < 0).all()


def test_the_headline_of_a_loss_tells_no_impossible_limit():
    d = synthetic({"optimizer": ["adam"]}, seeds=2, epochs=1, regression=True, noise=0.2).dataset
    d["val_loss"][..., 1, :] = 40.0
    d.attrs["sweep"] = json.dumps({"loss": "squared_error"})
    assert " (0.00 to " in table.headline(Results(d))
