"""Choose with some seeds, measure with others: the best config, or each value at its best."""

import json
from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nnlab.errors import UsageError, unknown
from nnlab.sweeps.again import again, only
from nnlab.sweeps.axes import CONFIG, whole
from nnlab.sweeps.choosing import DRAW, TUNED_BY
from nnlab.sweeps.describe import settings
from nnlab.sweeps.draws import over_draws
from nnlab.sweeps.labels import label, place_of
from nnlab.sweeps.results import Results
from nnlab.sweeps.sweep import Sweep

CHANCE = ("seed", DRAW)
"""Axes along which nothing is chosen."""
BESIDE = ("axes", "functions", "record")
"""Settings that are compared part by part, or not at all."""


def confirm(
    sweep: Sweep,
    results: Results,
    axis: str | None = None,
    seeds: int | Iterable[int] = 5,
    out: str | PathLike[str] | None = None,
    progress: bool = True,
) -> Results:
    """The best config of a sweep, trained and tested from seeds that did not choose it.

    With `axis`, every value of it in `results`, all else at its best for it: the results have that
    single axis, and the chosen values as coordinates along it. The best is chosen by the headline
    metric, on validation data. Scores of the seeds that chose flatter the choice; those of fresh
    seeds do not. `seeds` are how many, counted on from the last that chose, or which. Knobs that no
    chosen config reads are left out. Raises UsageError for the results of another sweep, for a seed
    that chose, and for a value of which every run diverged.
    """
    check_axis(sweep, axis)
    check_results(sweep, results)
    best = best_places(sweep, results, axis)
    cells = [best] if axis is None else [best.isel({axis: i}) for i in range(best.sizes[axis])]
    for cell in cells:
        if not cell["sound"]:
            what, hint = "", "try smaller learning rates"
            if axis is not None:
                what, hint = f" of {axis} {cell[axis].values}", "leave it out"
            raise UsageError(f"no run{what} finished without diverging, nothing to confirm; {hint}")
    configs = [config_at(sweep, cell) for cell in cells]
    read = set().union(*map(sweep.reads, configs))
    others = {DRAW: sweep.axes[DRAW]} if DRAW in sweep.axes else {}
    others["seed"] = fresh(seeds, results.labels("seed").tolist())
    if axis is None:
        anew = again(sweep, others, read, **configs[0])
    else:
        listed = [only(read | {axis}, config) for config in configs]
        anew = again(sweep, {CONFIG: listed, **others}, read)
    by = results.headline if results.headline in anew.metrics else None
    found = anew.run(out, progress=progress, by=by)
    found = found if axis is None else along(found, axis)
    return found.with_data(found.dataset.assign_attrs({TUNED_BY: results.headline}))


def learned(sweep: Sweep, results: Results, axis: str) -> Results:
    """The results without the values of an axis of which every run diverged; all, if all did."""
    best = best_places(sweep, results, axis)
    sound = best[axis].values[best["sound"].values].tolist()
    return results.sel(**{axis: sound}) if sound else results


def check_axis(sweep: Sweep, axis: str | None) -> None:
    """Raise UsageError for what is no axis of a sweep along which a choice is made."""
    names = [name for name in sweep.axes if name not in CHANCE]
    if axis is not None and axis not in names:
        raise unknown("axis", axis, names)


def check_results(sweep: Sweep, results: Results) -> None:
    """Raise UsageError for the results of another sweep; seeds and recordings may be others."""
    said, own = results.settings, json.loads(json.dumps(settings(sweep)))
    pairs = [(said.get("functions", {}), own["functions"]), (said, own)]
    for theirs, ours in pairs:
        for what in [what for what in ours if what in theirs and what not in BESIDE]:
            if theirs[what] != ours[what]:
                raise UsageError(
                    f"these are results of another sweep: they differ in their {what}; "
                    "confirm with the sweep that found them"
                )
    for axis in [name for name in sweep.axes if name in results.axes and name != CONFIG]:
        known = [label(value) for value in sweep.axes[axis]]
        for value in results.labels(axis).tolist():
            if value not in known:
                raise UsageError(
                    f"these are results of another sweep: theirs has {axis} {value}; "
                    "confirm with the sweep that found them"
                )


def best_places(sweep: Sweep, results: Results, axis: str | None) -> xr.Dataset:
    """`Results.best` for each value of an axis, or over all; "sound" where some run learned."""
    merged = over_draws(results)
    names = tuple(name for name in sweep.axes if name not in CHANCE)
    if set(merged.axes) != set(names):
        came, needed = (", ".join(axes) or "no axes" for axes in (merged.axes, names))
        raise UsageError(
            f"confirm needs the results of this sweep, with {needed}; these have {came}; "
            "a choice of values keeps its axis as a list: results.sel(optimizer=['adam'])"
        )
    best = merged.best(over=[name for name in names if name != axis])
    finite = np.isfinite(best[merged.headline])
    return best.assign(sound=finite & (best["n"] > best["diverged"]))


def config_at(sweep: Sweep, cell: xr.Dataset) -> dict[str, Any]:
    """The config of a cell of `best_places`; what its run does not read has any value."""
    found = {}
    for name, values in sweep.axes.items():
        if name not in CHANCE:
            written = cell[name].values[()]
            labels = np.array([i if name == CONFIG else label(v) for i, v in enumerate(values)])
            found[name] = values[0 if pd.isna(written) else place_of(written, labels, name)]
    together = found.pop(CONFIG, {})
    return found | together


def fresh(seeds: int | Iterable[int], known: list[int]) -> list[int]:
    """So many seeds after the known ones, or these; UsageError for one that is known."""
    if not isinstance(seeds, Iterable):
        first = max(known) + 1
        return list(range(first, first + whole("seeds", seeds, range(1, 10**6))))
    found = list(seeds)
    if used := sorted(set(found) & set(known)):
        raise UsageError(
            f"seed {used[0]} helped to choose, and would flatter the choice; give others, or how "
            "many: seeds=5"
        )
    return found


def along(results: Results, knob: str) -> Results:
    """Results of configs with `knob` as their axis, which every config sets to another value."""
    names = {CONFIG: knob}
    dataset, recorded = results.dataset, results.recorded
    return Results(dataset.swap_dims(names), recorded.swap_dims(names) if recorded else recorded)
