"""Intervals over seeds, and how the values of an axis are spaced.

Seeds are the independent repetitions, so every interval is Student's t over seeds.  A run
that is missing is left out and counted out; a run that diverged is neither: its infinite
loss makes the mean infinite and the interval undefined (NaN).  One run has no spread: its
interval is undefined too, never zero.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from nnlab.errors import UsageError

ROUNDING = float(np.finfo(np.float32).eps)
"""Results hold float32 values, whose differences are known to this share of them."""


class Interval(NamedTuple):
    """A mean with its confidence limits, and the number n of runs behind it."""

    mean: NDArray
    low: NDArray
    high: NDArray
    n: NDArray


def t_interval(
    x: ArrayLike,
    confidence: float = 0.95,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Interval:
    """Student's interval for the mean of n independent, roughly normal values.

    mean ± t s / sqrt(n), with s² = Σ (x - mean)² / (n - 1) and t the (1 + confidence) / 2
    quantile of Student's distribution with n - 1 degrees of freedom.  `where` says which
    values are present (by default, those that are not NaN).
    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    if not 0 < confidence < 1:
        raise UsageError(
            f"confidence came as {confidence:g}; it lies strictly between 0 and 1; try 0.95"
        )
    x = np.asarray(x, float)
    present = ~np.isnan(x) if where is None else np.broadcast_to(np.asarray(where, bool), x.shape)
    n = present.sum(axis)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.where(present, x, 0.0).sum(axis) / n
        deviation = np.where(present, x - np.expand_dims(mean, axis), 0.0)
        variance = (deviation**2).sum(axis) / (n - 1)
        half = stdtrit(n - 1.0, (1 + confidence) / 2) * np.sqrt(variance / n)
        return Interval(mean, mean - half, mean + half, n)


def next_value(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """Where one more value of the same kind lies, beside n independent, roughly normal ones.

    mean ± t s sqrt(1 + 1/n), with s and t as in `t_interval`: the n values' mean is uncertain, and
    the next one scatters around it.
    Source: Hahn & Meeker, Statistical Intervals (1991), chapter 4.
    """
    mean, _, high, n = t_interval(x, confidence)
    half = (high - mean) * np.sqrt(n + 1)
    return Interval(mean, mean - half, mean + half, n)


def paired_interval(
    x: ArrayLike,
    y: ArrayLike,
    confidence: float = 0.95,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Interval:
    """The interval for the mean of x - y, where x_i and y_i share the seed i.

    With common random numbers var(x - y) = var(x) + var(y) - 2 cov(x, y), so what the seed does
    to both cancels.  A pair in which both losses are infinite has no difference: the mean is NaN.
    Differences that agree as far as float32 values can tell count as one, without spread.
    Source: Law, Simulation Modeling and Analysis, 5th ed. (2015), section 11.2.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    present = ~(np.isnan(x) | np.isnan(y)) if where is None else where
    with np.errstate(invalid="ignore"):
        found = t_interval(x - y, confidence, axis, present)
        beside = np.abs(x - y - np.expand_dims(found.mean, axis))
        rounding = ROUNDING * np.maximum(np.abs(x), np.abs(y))
        alike = np.all((beside <= rounding) | ~np.asarray(present), axis) & (found.n > 1)
    low, high = (np.where(alike, found.mean, end) for end in (found.low, found.high))
    return Interval(found.mean, low, high, found.n)


def p_value(found: Interval, confidence: float = 0.95) -> NDArray:
    """How likely a mean at least so far from 0 is where the true mean is 0, of `t_interval`'s kind.

    p = 2 T(-|mean| sqrt(n) / s), with T Student's distribution function with n - 1 degrees of
    freedom and s read from the interval, of that `confidence`.  NaN where there is no interval.
    Values without any spread are no normal ones: then p = 2^(1 - n), that of n equal signs.
    Source: Student, "The probable error of a mean", Biometrika 6 (1908); Dixon & Mood, "The
    statistical sign test", Journal of the American Statistical Association 41 (1946).
    """
    freedom = np.asarray(found.n, float) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (found.high - found.mean) / stdtrit(freedom, (1 + confidence) / 2)
        p = 2 * stdtr(freedom, -np.abs(found.mean / error))
    return np.where(error == 0, np.where(found.mean == 0, 1.0, 2.0**-freedom), p)


def holm(p: ArrayLike) -> NDArray:
    """The p-values of m tests as they count together: how likely any of them errs.

    The i-th smallest becomes max over j <= i of min(1, (m - j + 1) p_j).  Whoever rejects what is
    below α rejects a true hypothesis among them with probability α at most, however the tests
    depend on each other.  NaN is no test, and stays.
    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979).
    """
    p = np.asarray(p, float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    together = np.full(p.shape, np.nan)
    left = np.arange(order.size, 0, -1)
    together[order] = np.minimum(1, np.maximum.accumulate(left * p[order]))
    return together


def against_best(rows: ArrayLike, where: ArrayLike) -> NDArray:
    """The p-values of paired differences from the first of some rows [rows, seeds], their best.

    As these same numbers made it the first, each of its m - 1 differences may be any of the
    m (m - 1) / 2 between two rows: Holm's p-values, of all of these together.  NaN for itself, and
    where there is no interval.  `where` says which values are present.
    """
    x, present = np.asarray(rows, float), np.asarray(where, bool)
    pairs = [
        p_value(paired_interval(x[i], x[i + 1 :], where=present[i] & present[i + 1 :]))
        for i in range(len(x) - 1)
    ]
    together = holm(np.concatenate([[np.nan], *pairs]))
    return together[: len(x)]


Spacing = Literal["linear", "log", "symlog"]


def spacing(values: ArrayLike) -> Spacing:
    """The scale on which the values of a numeric axis lie most evenly.

    "log": positive values over a decade or more, whose median is nearer to the geometric than to
    the arithmetic middle of their range; "symlog": zero, and values spaced like that.
    """
    x = np.unique(np.asarray(values, float))
    if x.size > 2 and x[0] == 0:
        return "symlog" if spacing(x[1:]) == "log" else "linear"
    if x.size < 2 or x[0] <= 0 or x[-1] / x[0] < 10 or not np.isfinite(x).all():
        return "linear"

    def from_middle(z: NDArray) -> float:
        return abs((np.median(z) - z[0]) / (z[-1] - z[0]) - 0.5)

    return "log" if from_middle(np.log(x)) <= from_middle(x) + 1e-9 else "linear"


def labelled(
    interval: Callable[..., Interval],
    confidence: float,
    finished: xr.DataArray,
    *arrays: xr.DataArray,
) -> xr.Dataset:
    """An interval over the seeds of labelled arrays, with the remaining labels."""
    samples = [a.transpose(..., "seed") for a in arrays]
    x = samples[0]
    where = finished.broadcast_like(x).transpose(*x.dims).values
    found = interval(*(a.values for a in samples), confidence=confidence, where=where)
    template = x.isel(seed=0, drop=True)
    return xr.Dataset({name: template.copy(data=v) for name, v in found._asdict().items()})
