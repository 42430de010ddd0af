"""Tables of a sweep: every config, the best configs, and each axis at its best."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nnlab.report.select import varied
from nnlab.report.style import capital, number, text, words
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.metrics import score
from nnlab.sweeps.results import Results
from nnlab.sweeps.rows import rows
from nnlab.sweeps.statistics import against_best

PARTS = {"difference": "mean", "low": "low", "high": "high", "pairs": "n"}
"""The columns of a table that say what `Results.difference` found."""


def shown_metric(results: Results) -> str:
    """What to report when the headline chooses: the same on test data, where it was measured."""
    test = f"test_{results.headline.split('_', 1)[-1]}"
    measured = test in results.metrics and bool(results[test].notnull().any())
    return test if measured else results.headline


def configs(results: Results) -> pd.DataFrame:
    """One row per config, best first: knobs, every final metric with its interval, n, diverged."""
    return _rows(results, (), results.metrics).reset_index(drop=True)


def leaders(results: Results) -> pd.DataFrame:
    """The best configs first, each with its learning rate tuned where other axes vary too."""
    results = over_draws(results)
    others = [a for a in varied(results) if a != "learning_rate"]
    over = ["learning_rate"] if "learning_rate" in varied(results) and others else []
    return _rows(results, over, [shown_metric(results)]).reset_index(drop=True)


def ranking(results: Results, axis: str, confidence: float = 0.95) -> pd.DataFrame:
    """Each value of an axis with all other axes at their best for it, best first.

    Columns: the chosen places, the shown metric, and `difference`, `low`, `high`, `pairs`: the
    shown metric minus that of the best value, paired by seed; `p`, of all rows together, as in
    `against_best`.  Chosen on validation data, shown on test data.
    """
    results = over_draws(results)
    metric, shown = results.headline, shown_metric(results)
    others = [a for a in results.axes if a != axis]
    table = _rows(results, others, [shown], confidence)
    chosen = results.tuned(metric, others)
    ranked = chosen.with_data(chosen.dataset.isel({axis: table.index}))
    gap = ranked.difference(shown, axis, ranked.labels(axis)[0], confidence)
    for name, part in PARTS.items():
        table[name] = gap[part].values
    scores, present = (a.transpose(axis, "seed") for a in (ranked.values(shown), ranked.finished))
    table["p"] = against_best(scores, present)
    return table.reset_index(drop=True)


def headline(results: Results) -> str:
    """The best config in one or two sentences."""
    if not bool(results.finished.any()):
        return "No run is finished: there is nothing to report yet."
    if bool((results.diverged | ~results.finished).all()):
        return "Every finished run diverged: there is no best config."
    results = over_draws(results)
    metric, shown = results.headline, shown_metric(results)
    best = results.best(metric, report=shown)
    if not abs(float(best[metric])) < float("inf"):
        return f"No config has a finite {words(metric)}: there is no best one."
    knobs = [k for k in results.knobs if len(set(results.labels(k).tolist())) > 1]
    read = [k for k in knobs if not pd.isna(best[k].values[()])]
    place = ", ".join(f"{words(k)} {text(best[k].values[()])}" for k in read)
    n = int(best["n"])
    sentence = f"{capital(words(metric))} {interval(best, metric)}, {n} seed{'s' * (n != 1)}"
    if shown != metric:
        sentence += f"; {words(shown)} {interval(best, shown)}"
    return f"Best of {results.configs:,} configs: {place}. {sentence}." if place else f"{sentence}."


def interval(row: Any, metric: str) -> str:
    """A mean with its limits in words, such as 97.1 % (96.8-97.4 %)."""
    mean, low, high = (float(row[f"{metric}{end}"]) for end in ("", "_low", "_high"))
    return limits(mean, low, high, metric)


def limits(mean: float, low: float, high: float, metric: str) -> str:
    """A mean, and in brackets what it may be; without brackets where there is no interval.

    Values that are all the same have no spread to tell an interval from: that is said instead.
    """
    if not low <= high < float("inf"):
        return number(mean, metric)
    if low == high:
        return f"{number(mean, metric)} (all seeds alike)"
    bounds = f"{number(low, metric).removesuffix(' %')} to {number(high, metric)}"
    return f"{number(mean, metric)} ({bounds})"


def spoken(found: xr.Dataset, metric: str) -> str:
    """One cell of `Results.mean` or `difference` as `limits` says it."""
    mean, low, high = (float(found[name]) for name in ("mean", "low", "high"))
    return limits(mean, low, high, metric)


def points(found: xr.Dataset) -> str:
    """A difference of two accuracies in percentage points: 4.1 points (3.0 to 5.2)."""
    mean, low, high = (100 * float(found[name]) for name in ("mean", "low", "high"))
    return f"{mean:.1f} points" + f" ({low:.1f} to {high:.1f})" * (low <= high)


def _rows(
    results: Results, over: Sequence[str], report: Sequence[str], confidence: float = 0.95
) -> pd.DataFrame:
    """A table of `best`, as of `sweeps.rows`: the best mean first, what is not finite last."""
    metric = results.headline
    best = results.best(metric, over, report, confidence)
    if not best.dims:
        return pd.DataFrame([{str(k): v.values[()] for k, v in best.variables.items()}])
    table = rows(results.tuned(metric, over), best)
    good = score(table[metric].to_numpy(), metric)
    return table.take(np.argsort(-good, kind="stable"))
