"""Doubts that are counted in runs, not in cells, and the luck of the best of many."""

import numpy as np
import pytest
from test_choosing import AXES, at, shared
from test_page import beside
from test_results import synthetic

from nnlab.report import cautions, write
from nnlab.sweeps.results import Results

RUNS = 2 * (2 * 2 + 2 * 2 + 2)
"""Of two seeds and two rates: adam reads beta1, momentum its own, SGD neither."""


@pytest.mark.parametrize(
    ("configs", "seeds", "said"), [(31, 3, True), (30, 3, False), (11, 1, True), (20, 2, False)]
)
def test_the_best_of_more_than_ten_configs_a_seed_is_called_lucky(configs, seeds, said):
    results = synthetic({"learning_rate": np.geomspace(1e-4, 1e-1, configs)}, seeds=seeds)
    found = [c for c in cautions(results) if "lucky" in c]
    assert len(found) == said
    if said:
        assert found[0].startswith(f"The best of {configs} configs by {seeds} seed")
        assert "nnlab.confirm" in found[0]
    assert not any("lucky" in c for c in cautions(results, confirming=True))


def test_draws_are_no_configs_that_luck_may_choose_from():
    axes = {"learning_rate": np.geomspace(1e-4, 1e-1, 20), "draw": np.arange(3)}
    assert not any("lucky" in c for c in cautions(synthetic(axes, seeds=2)))


def test_a_page_does_not_call_the_winners_test_score_unbiased(tmp_path):
    html = write(synthetic({"learning_rate": [0.01, 0.1]}, epochs=2), tmp_path).read_text()
    assert "score does not" not in html
    assert "the trained networks are those that chose" in html
    assert "nnlab.confirm" in html


def test_runs_that_cells_share_are_counted_once(tmp_path):
    results = shared()
    assert results.runs == RUNS < results.finished.size
    assert repr(results).startswith(f"Results: {RUNS} runs in 48 cells = 3 optimizer ×")
    lost = at(results, 1, optimizer="sgd", learning_rate=0.03)
    assert lost.count(lost.diverged) == 2
    (said,) = [c for c in cautions(lost) if "diverged" in c]
    assert f"2 of {RUNS} finished runs diverged (10 %)" in said
    assert "most often at optimizer sgd (50 %)" in said
    missing = at(results, -1, optimizer="adam", beta1=0.8, learning_rate=0.03)
    assert any(f"2 of {RUNS} runs are not finished" in c for c in cautions(missing))
    html = write(missing, tmp_path).read_text()
    assert f"<th>runs</th><td>{RUNS}</td>" in html
    assert f"<th>unfinished</th><td>2 of {RUNS} runs</td>" in html


def test_only_the_runs_that_read_a_knob_diverge_because_of_it():
    """Half of those that read momentum 0.5 diverged; Adam, which does not, says nothing of it."""
    axes = AXES | {"optimizer": ["adam", "momentum"]}
    lost = at(shared(axes), 1, optimizer="momentum", momentum=0.5, learning_rate=0.03)
    assert any("most often at momentum 0.5 (50 %)" in c for c in cautions(lost))


def test_a_page_counts_the_runs_of_every_draw(tmp_path):
    results = beside({"draw": [0, 1]})
    html = write(results, tmp_path).read_text()
    assert "<th>runs</th><td>12</td>" in html
    assert "<th>draw</th><td>0, 1</td>" in html
    d = results.dataset.copy(deep=True)
    d["diverged_at"][0, 0, 0] = -1
    html = write(Results(d), tmp_path).read_text()
    assert "<th>unfinished</th><td>1 of 12 runs</td>" in html
    assert "1 of 12 runs are not finished" in html
