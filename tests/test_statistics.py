"""Intervals cover what they promise, and scales are what a reader would choose."""

import numpy as np
import pytest
from scipy import stats

from nnlab.errors import UsageError
from nnlab.studies.published import one_run
from nnlab.sweeps.statistics import (
    against_best,
    holm,
    next_value,
    p_value,
    paired_interval,
    spacing,
    t_interval,
)


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_a_t_interval_covers_the_true_mean_as_often_as_its_confidence(n, confidence):
    x = np.random.default_rng(n).normal(3.0, 2.0, (20_000, n))
    found = t_interval(x, confidence)
    covered = np.mean((found.low <= 3.0) & (found.high >= 3.0))
    standard_error = np.sqrt(confidence * (1 - confidence) / 20_000)
    assert abs(covered - confidence) < 4 * standard_error


def test_a_t_interval_is_the_one_of_scipy():
    x = np.array([0.91, 0.94, 0.93, 0.90, 0.95])
    expected = stats.ttest_1samp(x, 0.0).confidence_interval(0.9)
    found = t_interval(x, 0.9)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])
    assert found.n == 5


def test_one_run_has_a_mean_but_no_interval_and_no_run_has_neither():
    one, none = t_interval([[0.7]]), t_interval([[np.nan, np.nan]])
    assert one.mean == 0.7
    assert one.n == 1
    assert np.isnan([one.low, one.high]).all()
    assert np.isnan([none.mean, none.low, none.high]).all()
    assert none.n == 0


def test_missing_runs_are_as_if_never_asked_for():
    with_gaps = t_interval([1.0, np.nan, 2.0, 4.0, np.nan])
    without = t_interval([1.0, 2.0, 4.0])
    np.testing.assert_array_equal(with_gaps, without)


def test_an_infinite_loss_makes_the_mean_infinite_and_the_interval_undefined():
    found = t_interval([0.1, np.inf, 0.2])
    assert found.mean == np.inf
    assert np.isnan([found.low, found.high]).all()
    assert found.n == 3


def test_a_value_that_is_present_but_undefined_is_never_dropped():
    found = t_interval([0.1, np.nan], where=[True, True])
    assert np.isnan(found.mean)
    assert found.n == 2


def test_a_p_value_is_scipys_read_from_the_interval_of_any_confidence():
    x = np.random.default_rng(1).normal(0.3, 1.0, (50, 6))
    expected = stats.ttest_1samp(x, 0.0, axis=-1).pvalue
    for confidence in (0.5, 0.95):
        np.testing.assert_allclose(p_value(t_interval(x, confidence), confidence), expected)


def test_values_without_spread_are_judged_by_their_signs_and_one_run_not_at_all():
    for n in (2, 5, 8):
        expected = stats.binomtest(n, n, 0.5).pvalue
        np.testing.assert_allclose(p_value(t_interval([0.2] * n)), expected)
    assert p_value(t_interval([0.0, 0.0])) == 1
    assert np.isnan(p_value(t_interval([0.2])))


def test_differences_that_float32_cannot_tell_apart_have_no_spread():
    x, y = np.float32([0.95, 0.85, 0.45]), np.float32([0.9, 0.8, 0.4])
    found = paired_interval(x, y)
    assert len(set(x.astype(float) - y)) > 1
    assert found.low == found.mean == found.high
    assert p_value(found) == 0.25
    one_image = paired_interval(np.float32([0.95, 0.8501, 0.45]), y)
    assert one_image.low < one_image.mean < one_image.high
    diverged = paired_interval([np.inf, np.inf], [1.0, 2.0])
    assert np.isinf(diverged.mean)
    assert np.isnan(diverged.high)


def test_holms_p_values_are_those_of_his_procedure():
    p = [0.01, np.nan, 0.04, 0.03, 0.005, np.nan]  # 4 x .005, 3 x .01, 2 x .03, at least that
    np.testing.assert_allclose(holm(p), [0.03, np.nan, 0.06, 0.06, 0.02, np.nan])
    assert holm([0.7, 0.6]).tolist() == [1, 1]
    assert holm([]).size == 0


def test_where_nothing_differs_any_of_many_rows_seems_to_as_rarely_as_one():
    """20 rows that share a reference, as a comparison's do: Holm needs no independence."""
    random = np.random.default_rng(2)
    families, rows, seeds = 2_000, 20, 5
    noise = random.normal(size=(families, rows, seeds)) - random.normal(size=(families, 1, seeds))
    p = p_value(t_interval(noise))
    alone = np.mean((p < 0.05).any(-1))
    together = np.mean([(holm(family) < 0.05).any() for family in p])
    assert alone > 0.2
    assert together < 0.05 + 4 * np.sqrt(0.05 * 0.95 / families)


def best_first(families: int, rows: int, seeds: int) -> list:
    """Families of rows without a difference, each with the row first that seems the best."""
    x = np.random.default_rng(3).normal(size=(families, rows, seeds))
    return [family[np.argsort(-family.mean(-1))] for family in x]


def test_the_best_of_equal_rows_seems_apart_from_any_as_rarely_as_is_said():
    families = best_first(500, 20, 5)
    found = [against_best(rows, np.isfinite(rows)) for rows in families]
    beforehand = [holm(p_value(paired_interval(rows[0], rows[1:]))) for rows in families]
    assert np.mean([(p < 0.05).any() for p in beforehand]) > 0.1, "as if it had been named before"
    assert np.mean([(p[1:] < 0.05).any() for p in found]) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


def test_the_best_row_is_compared_as_one_of_all_pairs():
    (x,) = best_first(1, 4, 6)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    expected = holm([stats.ttest_rel(x[i], x[j]).pvalue for i, j in pairs])
    np.testing.assert_allclose(against_best(x, np.isfinite(x)), [np.nan, *expected[:3]])
    gone = np.ones(x.shape, bool)
    gone[2, 1:] = False
    left = against_best(x, gone)
    assert np.isnan(left).tolist() == [True, False, True, False]
    np.testing.assert_allclose(left[[1, 3]], against_best(x[[0, 1, 3]], gone[[0, 1, 3]])[1:])
    assert np.isnan(against_best(x[:1], gone[:1])).tolist() == [True]


def test_pairing_removes_the_noise_that_two_configs_share():
    random = np.random.default_rng(0)
    shared = random.normal(0.0, 1.0, 8)
    x = shared + random.normal(0.3, 0.1, 8)
    y = shared + random.normal(0.0, 0.1, 8)
    paired = paired_interval(x, y)
    unpaired = stats.ttest_ind(x, y).confidence_interval()
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 4
    np.testing.assert_allclose(paired.mean, x.mean() - y.mean())
    assert paired.low > 0


def test_two_infinite_losses_have_no_difference_and_still_count():
    found = paired_interval([np.inf, 1.0], [np.inf, 2.0], where=[True, True])
    assert np.isnan(found.mean)
    assert found.n == 2


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_confidence_lies_strictly_between_zero_and_one(confidence):
    with pytest.raises(UsageError, match="between 0 and 1"):
        t_interval([1.0, 2.0], confidence)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.geomspace(1e-4, 1, 9), "log"),
        ([0.001, 0.01], "log"),
        (10 ** np.random.default_rng(0).uniform(-6, -2, 100), "log"),
        (np.random.default_rng(0).uniform(0, 1, 100), "linear"),
        (np.linspace(0.1, 1.0, 10), "linear"),
        ([0.0, 0.25, 0.5], "linear"),
        ([0.0, 1e-6, 1e-4, 1e-2], "symlog"),
        ([-1.0, 10.0, 100.0], "linear"),
        ([0.1], "linear"),
    ],
)
def test_values_are_read_on_the_scale_on_which_they_lie_evenly(values, scale):
    assert spacing(values) == scale


def test_one_more_value_lies_in_its_interval_as_often_as_is_said() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (20_000, 5))
    found = next_value(draws[:, :4])
    inside = (found.low <= draws[:, 4]) & (draws[:, 4] <= found.high)
    assert abs(inside.mean() - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 20_000)


def test_a_single_published_run_fits_where_one_more_of_ours_might_lie() -> None:
    ours = [0.90, 0.91, 0.92]
    reach = stats.t.ppf(0.975, 2) * 0.01 * np.sqrt(4 / 3)
    for gap, room, holds in ((reach - 1e-4, 0, True), (reach + 1e-4, 0, False), (0.08, 0.09, True)):
        found = one_run("it", 0.91 + gap, ours, "test_accuracy", room, "looked into")
        assert found.holds == holds
    assert found.published == "99.00 %"
    assert found.why == "it is one run's, ours span 0.9 to 0.92; looked into"
