"""What of a large sweep one figure shows, and the sentence that says what it leaves out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.report.labels import key_of
from nnlab.report.style import listed, texts, words
from nnlab.sweeps.choosing import DRAW, TUNED_BY, tuned_knobs
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.metrics import score
from nnlab.sweeps.results import Results

MOST_HUES, MOST_PANELS, MOST_CELLS = 7, 6, 12


def needs_results(came: Any) -> None:
    """Raises UsageError for anything but results."""
    if isinstance(came, Results):
        return
    wrap = "; try nnlab.Results(dataset)" * (type(came).__name__ == "Dataset")
    raise UsageError(
        f"needs the Results of a sweep, what its run returns, got {type(came).__name__}{wrap}"
    )


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
    order = np.argsort(-score(mean, by), kind="stable")
    labels = results.labels(axis)
    note = f"{words(axis)}: the best {most} of {size} by {words(by)}"
    if axis != "config":
        note += f", without {listed([labels[i] for i in order[most:]])}"
    return Results(results.dataset.isel({axis: np.sort(order[:most])})), f"{note}."


def reduce(
    results: Results, metric: str, show: Sequence[tuple[str | None, int]], each: str = "point"
) -> tuple[Results, list[str]]:
    """Keep the top values of the axes to show; for each point, the best place along the others."""
    notes = [unfinished(results), tuned_before(results, each)]
    shown = [(axis, most) for axis, most in show if axis is not None]
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
        notes.append(f"For each {each} the best {together(tuned)} by {words(by)}.")
    return results.tuned(by, others), notes


def unfinished(results: Results) -> str:
    """How many runs are missing, where some are."""
    missing = results.count(~results.finished)
    return f"Unfinished: {missing:,} of {results.runs:,} runs." if missing else ""


def most_seeds(results: Results) -> tuple[int, bool]:
    """The most seeds that any place has finished, and whether all places have as many."""
    counts = results.finished.sum("seed")
    return int(counts.max()), bool((counts == counts.max()).all())


def tuned_before(results: Results, each: str) -> str:
    """That knobs were chosen for each place before: they lie along the axes that are left."""
    chosen = [words(knob) for knob in tuned_knobs(results)]
    by = results.dataset.attrs.get(TUNED_BY)
    if not chosen or by is None:  # configs that a person paired were not chosen
        return ""
    were = "was" if len(chosen) == 1 else "were"
    return f"The {together(chosen)} {were} tuned for each {each} by {words(str(by))}."


def together(names: Sequence[str]) -> str:
    """Names as a sentence lists them: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def along_configs(results: Results) -> list[str]:
    """The knobs that a config sets."""
    return [k for k in results.knobs if results.dataset[k].dims == ("config",)]


def names(results: Results, axis: str) -> list[str]:
    """The values of an axis in words: a config is its knobs, and its number where two are alike."""
    if axis != "config":
        return texts(results.labels(axis))
    said = [", ".join(map(" ".join, config.items())) for config in _configs(results)]
    if len(set(said)) == len(said):
        return said
    numbers = results.labels(axis)
    return [f"{name} ({number})" for name, number in zip(said, numbers, strict=True)]


def key(results: Results, axis: str) -> str:
    """What the numbers 1, 2, … stand for where there is no room for `names`."""
    if axis != "config":
        return key_of(words(axis), names(results, axis))
    configs = _configs(results)
    head = f"config ({', '.join(configs[0])})" if configs[0] else "config"
    return key_of(head, [", ".join(config.values()) for config in configs])


def _configs(results: Results) -> list[dict[str, str]]:
    """Each config's knobs and values in words."""
    columns = {words(k): texts(results.labels(k)) for k in along_configs(results)}
    return [
        {knob: column[i] for knob, column in columns.items()}
        for i in range(results.dataset.sizes["config"])
    ]
