"""How fast networks learn, and how well they fit what they were trained on and what not."""

from copy import copy
from dataclasses import replace
from os import PathLike
from pathlib import Path

import xarray as xr

from nnlab.sweeps.results import Results
from nnlab.sweeps.sweep import Sweep

PARTS = {"training": "train_accuracy", "held out": "val_accuracy"}


def run_with_fit(
    sweep: Sweep, out: str | PathLike[str] | None = None, progress: bool = True
) -> Results:
    """The sweep's results with `train_accuracy` [..., seed, epoch]: after each epoch, no dropout.

    `accuracy_gap` [..., seed] is training minus test accuracy after the last epoch.
    What a run is measured on does not change what it learns, so the same runs are trained a second
    time with the training examples in the place of the validation examples.
    """
    place = None if out is None else Path(out)
    results = sweep.run(place and place / "held_out", progress=progress)
    twin = copy(sweep)
    twin.data = replace(sweep.data, valid=sweep.data.train)
    fit = twin.run(place and place / "training", progress=progress)
    found = Results(results.dataset.assign(train_accuracy=fit.dataset["val_accuracy"]))
    gap = found.values("train_accuracy") - found.values("test_accuracy")
    return Results(found.dataset.assign(accuracy_gap=gap))


def with_mean_over_epochs(results: Results, metric: str) -> Results:
    """The results with `mean_METRIC` [..., seed]: for a loss, the smaller, the faster it fell."""
    mean = results.values(metric, epoch="all").mean("epoch")
    return Results(results.dataset.assign({f"mean_{metric}": mean}))


def by_part(results: Results) -> Results:
    """Accuracies of training and of held-out examples as one metric along an axis "part"."""
    d = results.dataset
    part = xr.DataArray(list(PARTS), dims="part")
    accuracy = xr.concat([d[name] for name in PARTS.values()], part.rename("part"))
    apart = d["diverged_at"].expand_dims(part=part)
    *axes, seed = (str(name) for name in d["diverged_at"].dims)
    order = (*axes, "part", seed)
    found = xr.Dataset(
        {"accuracy": accuracy.transpose(*order, ...), "diverged_at": apart.transpose(*order)}
    )
    return Results(found.assign_coords(part=list(PARTS)).assign_attrs(d.attrs))
