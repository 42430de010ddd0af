"""What counts as the same training: steady runs, chaotic ones, and dropout masks of one's own."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks are beside the package

from benchmarks.agreement import DisagreementError, check
from benchmarks.workloads import WORKLOADS, Losses, toy

WORKS = {work.name: work for work in WORKLOADS}
TOY = replace(toy(WORKS["W2"]), rates=tuple(np.geomspace(1e-4, 1e-2, 4).tolist()))


def losses(final):
    """A record whose final training losses are these."""
    column = np.array(final, np.float32)[:, None]
    return Losses(column, column, column[:, 0])


FINAL = np.array([2.0, 1.5, 1.0, 0.5])


def test_equal_losses_agree_and_a_hundredth_does_not():
    same = check(TOY, losses(FINAL), [losses(FINAL)], losses(FINAL), range(4))
    assert same == (4, 4, 0, 0.0, 0.0, None)
    near = check(TOY, losses(FINAL), [losses(FINAL)], losses(FINAL * 1.005), range(4))
    assert near.exceptions == 0
    assert near.largest == pytest.approx(0.005, rel=1e-3)
    with pytest.raises(DisagreementError, match="1 of 4 steady runs"):
        check(TOY, losses(FINAL), [losses(FINAL)], losses(FINAL * [1, 1, 1.02, 1]), range(4))


def test_a_run_that_diverges_for_one_peer_alone_is_a_disagreement():
    lost = FINAL.copy()
    lost[3] = np.nan
    assert check(TOY, losses(lost), [losses(lost)], losses(lost), range(4)).exceptions == 0
    with pytest.raises(DisagreementError):
        check(TOY, losses(FINAL), [losses(FINAL)], losses(lost), range(4))


def test_a_chaotic_run_is_counted_and_not_compared():
    twins = [losses(FINAL), losses(FINAL * [1, 1, 1, 1.1])]
    for pair in (twins, twins[::-1]):
        found = check(TOY, losses(FINAL), pair, losses(FINAL * [1, 1, 1, 2]), range(4))
        assert (found.configs, found.steady, found.exceptions) == (4, 3, 0)


def test_runs_that_part_before_they_both_diverge_are_chaotic():
    expected, twin, found = (losses([1.0, 1.0, 1.0, np.nan]) for _ in range(3))
    histories = [
        np.column_stack([[1, 1, 1, first], r.train])
        for first, r in ((2.0, expected), (2.1, twin), (2.2, found))
    ]
    expected, twin, found = (
        r._replace(train=h) for r, h in zip((expected, twin, found), histories, strict=True)
    )
    assert check(TOY, expected, [twin], found, range(4)).steady == 3


def test_a_kind_of_run_without_a_steady_one_is_refused():
    with pytest.raises(DisagreementError, match="no steady run"):
        check(TOY, losses(FINAL), [losses(FINAL * 1.1)], losses(FINAL), range(4))


def test_peers_that_train_some_configs_are_compared_on_those():
    some = Losses(*(a[[1, 3]] for a in losses(FINAL)))
    assert check(TOY, losses(FINAL), [losses(FINAL)], some, (1, 3)).configs == 2
    with pytest.raises(DisagreementError):
        check(TOY, losses(FINAL), [losses(FINAL)], some, (0, 2))


def test_masks_of_ones_own_are_judged_by_the_mean_over_configs():
    wobbly = losses(FINAL * [1.1, 0.9, 1.1, 0.9])
    found = check(TOY, losses(FINAL), [losses(FINAL)], wobbly, range(4), own_noise=True)
    assert found.mean == pytest.approx(0.02, rel=1e-3)
    assert found.largest == pytest.approx(0.1, rel=1e-3)
    with pytest.raises(DisagreementError, match="masks of its own"):
        check(TOY, losses(FINAL), [losses(FINAL)], losses(FINAL * 1.05), range(4), own_noise=True)
    with pytest.raises(DisagreementError):
        check(TOY, losses(FINAL), [losses(FINAL)], losses(FINAL * np.nan), range(4), own_noise=True)
