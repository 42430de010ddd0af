"""What of a large sweep one figure shows, and the sentence that says what it leaves out."""

from collections.abc import Sequence

import numpy as np

from nnlab.report.style import listed, text, words
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.results import DRAW, Results, larger_is_better

MOST_HUES, MOST_PANELS, MOST_CELLS = 7, 6, 12


def chooser(results: Results, metric: str) -> str:
    """The metric to choose by when `metric` is shown: never training or test data by themselves."""
    kind, _, name = metric.partition("_")
    held_out = f"val_{name}"
    usable = held_out in results.metrics and bool(results[held_out].notnull().any())
    return held_out if usable and kind != "train" else results.headline


def varied(results: Results) -> list[str]:
    """The axes with more than one value, but for draws, which are chance."""
    return [a for a in results.axes if results.dataset.sizes[a] > 1 and a != DRAW]


def most_hues(results: Results, hue: str | None, col: str | None) -> int:
    """How many hues a reader can tell apart: fewer in small panels, and with whole configs."""
    small = col is not None and results.dataset.sizes[col] > 3
    return 5 if small or hue == "config" else MOST_HUES


def top(results: Results, axis: str, most: int, metric: str) -> tuple[Results, str]:
    """The `most` values of an axis that do best with all else at its best, in their order."""
    size = results.dataset.sizes[axis]
    if size <= most:
        return results, ""
    by = chooser(results, metric)
    mean = results.tuned(by, [a for a in results.axes if a != axis]).mean(by)["mean"].values
    score = np.where(np.isfinite(mean), mean if larger_is_better(by) else -mean, -np.inf)
    order = np.argsort(-score, kind="stable")
    labels = results.labels(axis)
    note = f"{words(axis)}: the best {most} of {size} by {words(by)}"
    if axis != "config":
        note += f", without {listed([labels[i] for i in order[most:]])}"
    return Results(results.dataset.isel({axis: np.sort(order[:most])})), f"{note}."


def reduce(
    results: Results, metric: str, show: Sequence[tuple[str | None, int]], each: str = "point"
) -> tuple[Results, list[str]]:
    """Keep the top values of the axes to show; for each point, the best place along the others."""
    notes, shown = [], [(axis, most) for axis, most in show if axis is not None]
    if DRAW in results.axes and DRAW not in dict(shown):
        notes.append(f"Means of {results.dataset.sizes[DRAW]} draws of initial weights.")
        results = over_draws(results)
    for axis, most in shown:
        results, note = top(results, axis, most, metric)
        notes.append(note)
    others = [a for a in results.axes if a not in dict(shown)]
    by = chooser(results, metric)
    tuned = [words(a) for a in others if results.dataset.sizes[a] > 1]
    if tuned:
        names = " and ".join([", ".join(tuned[:-1]), tuned[-1]] if len(tuned) > 1 else tuned)
        notes.append(f"For each {each} the best {names} by {words(by)}.")
    return results.tuned(by, others), notes


def config_label(results: Results, config: int) -> str:
    """A config in words: its knobs and their values."""
    own = [k for k in results.knobs if results.dataset[k].dims == ("config",)]
    return ", ".join(f"{words(k)} {text(results.labels(k)[config])}" for k in own)
