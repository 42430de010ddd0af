"""The two studies of plain losses, at toy size, and the published runs they are held against."""

import importlib.util
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import nnlab
from nnlab.lanes.devices import LAPACK, devices, one_thread_each
from nnlab.optim import FAMILIES, OPTIMIZERS
from nnlab.studies import behaviour_map, loss_map, paths
from nnlab.studies.behaviour import crossings, detour, overshoot
from nnlab.studies.surfaces import SURFACES
from nnlab.studies.verdicts import read

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"
PUBLISHED = pytest.mark.skipif(
    not (REFERENCE / "deepobs_quadratic_deep.npz").exists(),
    reason="the published DeepOBS problem is not on this machine",
)


def script(name: str):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_trajectories_study_draws_and_its_claims_hold(tmp_path):
    script("optimizer_trajectories").main(tmp_path, fast=True)
    assert all(verdict.holds for verdict in read(tmp_path))
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert {"lecture.png", "map_ellipse.png", "paths_ellipse_1.png"} <= drawn
    assert "ellipse behaviour" in (tmp_path / "learning_rates.csv").read_text()


def test_every_optimizer_belongs_to_one_family_of_at_most_seven():
    assert sum(map(len, FAMILIES.values())) == len(OPTIMIZERS)
    assert max(map(len, FAMILIES.values())) <= 7


def test_a_zigzag_is_counted_and_measured():
    y = np.array([2.0, -1.0, 0.5, -0.25, 0.0])
    path = np.stack([np.zeros(5), y], axis=1)
    assert crossings(y) == 3
    assert overshoot(y) == 1.0
    assert overshoot(np.array([2.0, 1.0])) == 0.0
    assert detour(path, (0.0, 0.0)) == (3 + 1.5 + 0.75 + 0.25) / 2


def test_a_missing_published_problem_is_one_line_that_says_what_to_give(tmp_path):
    with pytest.raises(nnlab.UsageError, match=r"has no deepobs.* give the folder") as caught:
        script("deepobs_quadratic").main(tmp_path / "out", data=tmp_path, fast=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@PUBLISHED
def test_the_deepobs_study_holds_against_the_published_runs_at_toy_size(tmp_path):
    script("deepobs_quadratic").main(tmp_path, data=REFERENCE, fast=True)
    assert [verdict.claim for verdict in read(tmp_path) if not verdict.holds] == []
    assert {"published_grid.png", "every_optimizer.png"} <= {
        path.name for path in tmp_path.glob("*.png")
    }


@PUBLISHED
def test_sgd_on_the_published_grid_diverges_and_converges_as_published():
    study = script("deepobs_quadratic")
    model, samples = study.problem(REFERENCE)
    axes = {"learning_rate": study.RATES, "seed": range(42, 46)}
    settings = {"optimizer": "sgd", "batch_size": 128, "epochs": 100, "reshuffle": False}
    found = nnlab.Sweep(model, samples, axes, **settings).run(progress=False)["test_loss"].values
    runs = json.loads((REFERENCE / study.RUNS).read_text())["runs"]
    theirs = np.array([r["final_test_loss"] for r in runs if r["seed"] == 42], float)[:, None]
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(theirs).repeat(4, 1))
    mean, kept = found.mean(1), np.isfinite(theirs[:, 0])
    np.testing.assert_allclose(mean[kept], theirs[kept, 0], rtol=0.01)


def test_paths_leave_a_mark_and_a_label_for_each_and_lost_ones_end_where_they_were_finite():
    walk = np.array([[-7.0, 2.0], [-3.0, 1.0], [np.nan, np.inf]])
    fig = paths(SURFACES["ellipse"], {"both": {"lost": walk, "kept": walk[:2]}}, "Two")
    (ax,) = fig.axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["lost", "kept"]
    ends = [line.get_xydata() for line in ax.lines if line.get_markersize() == 10]
    assert all(np.array_equal(end, [[-3.0, 1.0]]) for end in ends if len(end))


def test_maps_cross_out_what_diverged_and_name_every_optimizer():
    rates = np.array([0.01, 0.1, 1.0])
    grid = {"optimizer": ["a", "b", "c"], "learning_rate": rates}
    loss = xr.DataArray(np.arange(1.0, 10).reshape(3, 3), grid, ("optimizer", "learning_rate"))
    loss[1, 2] = np.inf
    words = xr.where(np.isfinite(loss), "converges", "diverges")
    for fig in (loss_map(loss, "Loss", "loss"), behaviour_map(words, "Words")):
        crosses = [ax.lines[0].get_xydata().tolist() for ax in fig.axes[:2]]
        assert crosses == [[[2.5, 1.5]], []]
        shown = [t.get_text() for ax in fig.axes[:2] for t in ax.get_yticklabels()]
        assert shown == ["a", "b", "c"]


def test_a_cpu_device_keeps_lapack_to_one_thread_and_gives_the_others_back():
    from threadpoolctl import threadpool_info

    jax.jit(jnp.linalg.eigh).lower(jnp.eye(2))  # loads it
    assert LAPACK in sys.modules

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with one_thread_each(devices()):
        assert set(threads()) == {1}
    before = threads()
    with one_thread_each(devices()):
        pass
    assert threads() == before
