"""Ensembles of finished runs: the mean probability, judged."""

import numpy as np
import pytest
from engine import blobs
from scipy.special import softmax

import nnlab
from nnlab import UsageError
from nnlab.sweeps.ensembles import grown

AXES = {"learning_rate": [0.001, 0.05], "seed": [0, 1, 2]}
SMALL = {"epochs": 2, "batch_size": 20, "activation": "tanh"}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> nnlab.Results:
    both = ["test_outputs", "val_outputs"]
    sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), AXES, record=both, **SMALL)
    return sweep.run(tmp_path_factory.mktemp("runs") / "ensemble", progress=False)


def test_kept_outputs_have_the_accuracy_that_was_measured(results):
    z = results.recorded["test_outputs"].values
    y = blobs().test.y
    np.testing.assert_array_equal(results.recorded["test_targets"], y)
    np.testing.assert_allclose((z.argmax(-1) == y).mean(-1), results["test_accuracy"], rtol=1e-6)


def test_an_ensemble_of_one_is_the_mean_of_its_members(results):
    for split in ("test", "val"):
        found = nnlab.ensemble(results, split=split).sel(members=1)
        for metric in ("accuracy", "loss"):
            alone = results.mean(f"{split}_{metric}")["mean"]
            np.testing.assert_allclose(found[metric], alone, rtol=1e-5)


def test_the_whole_ensemble_is_the_mean_probability(results):
    z = results.recorded["test_outputs"].values.astype(float)
    p, y = softmax(z, axis=-1).mean(1), blobs().test.y
    found = nnlab.ensemble(results).sel(members=3)
    np.testing.assert_allclose(found["accuracy"], (p.argmax(-1) == y).mean(-1))
    np.testing.assert_allclose(found["loss"], -np.log(p[:, np.arange(len(y)), y]).mean(-1))


def test_more_members_never_lose_more_on_average(results):
    """Jensen's inequality for -log, over sets in which every member appears equally often."""
    loss = nnlab.ensemble(results, over=["learning_rate", "seed"])["loss"].values
    assert loss.shape == (6,)
    assert loss[-1] < loss[0]
    assert loss[-1] <= loss.min() + 1e-12


def test_the_order_of_members_does_not_change_the_whole():
    z = np.random.default_rng(0).normal(size=(5, 20, 3))
    y = np.arange(20) % 3
    np.testing.assert_allclose(grown(z, y)[[0, -1]], grown(z[[3, 0, 4, 2, 1]], y)[[0, -1]])


def test_probabilities_too_small_for_floats_are_still_judged():
    z = np.array([[[0.0, 2000.0]], [[0.0, 2000.0]]])
    np.testing.assert_allclose(grown(z, np.array([0])), [[0, 2000], [0, 2000]])


def test_a_member_that_is_not_finite_spoils_its_ensembles_and_no_other():
    z = np.zeros((2, 4, 2))
    z[..., 0], z[1] = 1.0, np.nan
    found = grown(z, np.zeros(4, int))
    np.testing.assert_allclose(found[:, 0], [0.5, 0])
    assert np.isinf(found[:, 1]).all()


def test_an_unfinished_run_is_no_member(results):
    part = results.dataset.copy(deep=True)
    part["diverged_at"][0, 1] = -1
    found = nnlab.ensemble(nnlab.Results(part, results.recorded))
    assert found["n"].values.tolist() == [2, 3]
    assert np.isnan(found["loss"].values[0]).tolist() == [False, False, True]
    two = nnlab.ensemble(results.sel(learning_rate=0.001), over="seed")
    assert found["loss"].values[0, 1] != two["loss"].values[1]


def test_results_that_kept_no_outputs_say_what_to_record(results):
    bare = nnlab.Results(results.dataset)
    with pytest.raises(UsageError, match=r"no test_outputs; train with record='test_outputs'"):
        nnlab.ensemble(bare)
    with pytest.raises(UsageError, match="cannot average over 'epoch'; choose from learning_rate"):
        nnlab.ensemble(results, over="epoch")


def test_outputs_that_are_no_softmax_are_refused():
    axes = {"loss": ["cross_entropy", "hinge"], "seed": [0, 1]}
    sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, record="test_outputs", **SMALL)
    results = sweep.run(progress=False)
    with pytest.raises(UsageError, match="softmax probabilities, which loss hinge does not train"):
        nnlab.ensemble(results)
    assert nnlab.ensemble(results.sel(loss="cross_entropy")).sizes["members"] == 2


def test_numbers_have_no_probabilities_to_average():
    x = np.linspace(-1, 1, 60, dtype=np.float32)[:, None]
    line = nnlab.data.from_arrays(x, 3 * x[:, 0], name="line")
    found = nnlab.Sweep(nnlab.models.mlp([]), line, record="test_outputs", epochs=1, batch_size=20)
    results = found.run(progress=False)
    assert results.recorded["test_outputs"].dims == ("seed", "test_example", "output")
    with pytest.raises(UsageError, match="probabilities of classes"):
        nnlab.ensemble(results)
