"""What a source found beside what we found, put into verdicts."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from nnlab.report.style import in_percent, words
from nnlab.report.table import limits, points, spoken
from nnlab.studies.verdicts import Verdict
from nnlab.sweeps.results import Results
from nnlab.sweeps.statistics import next_value, t_interval


def one_run(
    claim: str, published: float, ours: ArrayLike, metric: str, room: float, why: str = ""
) -> Verdict:
    """Whether a number published from one run fits ours [seed].

    It does where it lies as near to our mean as one more run of ours would, 95 % of the time, or
    within `room`. `why` adds to what is said where it does not.
    """
    found, runs = t_interval(ours), np.asarray(ours, float)
    half = np.fmax(next_value(ours).high - found.mean, room)
    said = f"{100 * published:.2f} %" if in_percent(metric) else f"{published:g}"
    mean, low, high = (float(end) for end in found[:3])
    span = f"it is one run's, ours span {runs.min():.4g} to {runs.max():.4g}"
    holds = bool(abs(mean - published) <= half)
    return Verdict(
        claim, said, limits(mean, low, high, metric), holds, f"{span}{'; ' * bool(why)}{why}"
    )


def improves(claim: str, published: str, gap: xr.Dataset) -> Verdict:
    """Whether a paired difference of accuracies, a cell of `Results.difference`, is above 0."""
    holds = bool(gap["low"] > 0)
    return Verdict(claim, published, points(gap), holds, "the interval over seeds is not above 0")


def less_overfitting(results: Results, knob: str, why: str) -> list[Verdict]:
    """Whether the second value of a knob keeps a network from fitting its examples by heart.

    `results` come from `with_gap`, with two values of the knob. The gap is training minus test
    accuracy after the last epoch; `why` says what was found where it does not shrink.
    """
    without, value = results.labels(knob)
    place = {knob: value}
    gap, test = (
        results.difference(metric, knob, without).sel(place)
        for metric in ("accuracy_gap", "test_accuracy")
    )
    by_heart = results.mean("train_accuracy")
    plain, kept = by_heart.sel({knob: without}), by_heart.sel(place)
    return [
        Verdict(
            f"{words(knob)} shrinks the gap between training and test",
            "smaller, in one run",
            f"the gap changes by {points(gap)}; test accuracy by {points(test)}",
            bool(gap["high"] < 0),
            why,
        ),
        Verdict(
            f"with {words(knob)} the training accuracy stays below 100 %",
            "100 % without, less with",
            f"{spoken(plain, 'accuracy')} without, {spoken(kept, 'accuracy')} with",
            bool(kept["high"] < 1 and kept["mean"] < plain["mean"]),
            "after so many epochs the training images are right with it too",
        ),
    ]
