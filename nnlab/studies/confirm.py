"""Choose with some seeds, measure with others: each value of an axis at its own best place."""

from collections.abc import Iterable
from os import PathLike

import numpy as np
import xarray as xr

from nnlab.errors import UsageError
from nnlab.sweeps.axes import CONFIG
from nnlab.sweeps.choosing import TUNED_BY
from nnlab.sweeps.labels import label
from nnlab.sweeps.results import Results
from nnlab.sweeps.sweep import Sweep


def confirm(
    sweep: Sweep,
    results: Results,
    axis: str,
    seeds: Iterable[int],
    out: str | PathLike[str] | None = None,
    progress: bool = True,
) -> Results:
    """Every value of an axis in `results`, the others at their best for it, from other seeds.

    The best place is chosen by the headline metric, on validation data. Scores of the seeds that
    chose would flatter the choice; those of fresh seeds do not. The results have the single axis
    `axis`, the chosen values as coordinates along it. Raises UsageError for a value without a best
    place, because all its runs diverged.
    """
    others = [name for name in results.axes if name != axis]
    best = results.best(over=others)
    values = {label(value): value for value in sweep.axes[axis]}
    configs = [
        {name: sweep.axes[name][place(results, best, name, axis, i)] for name in others}
        | {axis: values[written]}
        for i, written in enumerate(results.labels(axis).tolist())
    ]
    fixed = {name: sweep.knobs[name] for name in sweep.given if name != "seed"}
    again = Sweep(sweep.model, sweep.data, {CONFIG: configs, "seed": list(seeds)}, **fixed)
    found = along(again.run(out, progress=progress), axis)
    return found.with_data(found.dataset.assign_attrs({TUNED_BY: results.headline}))


def along(results: Results, knob: str) -> Results:
    """Results of configs with `knob` as their axis, which every config sets to another value."""
    names = {CONFIG: knob}
    dataset, recorded = results.dataset, results.recorded
    return Results(dataset.swap_dims(names), recorded.swap_dims(names) if recorded else recorded)


def place(results: Results, best: xr.Dataset, name: str, axis: str, i: int) -> int:
    """Where along an axis the best place of row i lies."""
    found = np.flatnonzero(results.labels(name) == best[name].values[i])
    if not found.size:
        value = results.labels(axis)[i]
        raise UsageError(f"{axis} {value} has no best {name} to confirm; leave the value out")
    return int(found[0])
