"""nnlab ablate --confirm: what it prints, keeps and refuses."""

import pytest

import nnlab
from nnlab.report.folder import is_page

TINY = ["ablate", "--hidden", "8", "--epochs", "2", "--seeds", "2", "--limit", "300", "--quiet"]
GRID = [*TINY, "--activation", "relu,tanh", "--learning-rate", "0.01,0.1"]


def test_the_best_is_tested_by_fresh_seeds_beside_what_the_choosing_ones_said(nnlab_, tmp_path):
    out = tmp_path / "runs"
    words = [*GRID, "--out", out, "--confirm", "3"]
    status, printed, errors = nnlab_(*words)
    assert (status, errors) == (0, "")
    (said,) = [line for line in printed.splitlines() if line.startswith("Chosen among")]
    assert said.startswith("Chosen among 4 configs: test accuracy ")
    assert "; on 3 fresh seeds: " in said
    place = out / "confirm" / "best_3"
    assert nnlab.load(place).labels("seed").tolist() == [2, 3, 4]
    assert is_page(place / "index.html")
    assert said in (place / "index.html").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnlab.sweeps.execute.train_group", None)
        assert nnlab_(*words) == (0, printed, "")


def test_each_value_is_confirmed_by_more_seeds_of_a_grid_that_is_there(nnlab_, tmp_path):
    out = tmp_path / "runs"
    assert nnlab_(*GRID, "--out", out)[0] == 0
    status, printed, errors = nnlab_(
        *GRID, "--out", out, "--confirm", "2", "--each", "learning-rate"
    )
    assert (status, errors) == (0, "")
    assert "Test accuracy of each learning rate at its best, of 4 configs" in printed
    assert "by 2 choosing seeds" in printed
    assert nnlab.load(out / "confirm" / "learning_rate_2").axes == ("config",)


def test_a_value_that_always_diverged_is_left_out_and_said(nnlab_):
    grid = [*TINY, "--learning-rate", "0.01,1e37", "--optimizer", "sgd"]
    status, printed, _ = nnlab_(*grid, "--confirm", "2", "--each", "learning_rate")
    assert status == 0
    assert "warning: Of learning rate 1e+37 every run diverged: not confirmed." in printed


@pytest.mark.parametrize(("more", "runs"), [([], 3), (["--each", "activation"], 6)])
def test_a_dry_run_counts_the_runs_that_would_confirm(nnlab_, more, runs):
    status, printed, _ = nnlab_(*GRID, "--confirm", "3", *more, "--dry-run")
    assert status == 0
    assert f"to confirm  {runs} runs more" in printed
    assert "to confirm" not in nnlab_(*GRID, "--dry-run")[1]


REFUSED = {
    "--confirm 0": "confirm needs a whole number from 1",
    "--each activation": "add --confirm 5",
    "--confirm 2 --each seed": "unknown axis 'seed'",
    "--confirm 2 --each activatoin": "did you mean 'activation'",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_confirmed_is_refused_before_anything_is_trained(
    nnlab_, tmp_path, monkeypatch, words
):
    monkeypatch.setattr("nnlab.sweeps.execute.train_group", None)
    status, printed, errors = nnlab_(*GRID, "--out", tmp_path / "out", *words.split())
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert REFUSED[words] in errors
    assert not (tmp_path / "out").exists()
