"""Metrics made of others: how fast networks learn, how well they fit what they saw and did not."""

import xarray as xr

from nnlab.sweeps.results import Results

PARTS = {"training": "train_accuracy", "held out": "val_accuracy"}


def with_gap(results: Results) -> Results:
    """The results with `accuracy_gap` [..., seed]: training minus test accuracy at the end.

    For those of a sweep that records "train_accuracy".
    """
    gap = results.values("train_accuracy") - results.values("test_accuracy")
    return results.with_data(results.dataset.assign(accuracy_gap=gap))


def with_mean_over_epochs(results: Results, metric: str) -> Results:
    """The results with `mean_METRIC` [..., seed]: for a loss, the smaller, the faster it fell."""
    mean = results.values(metric, epoch="all").mean("epoch")
    return results.with_data(results.dataset.assign({f"mean_{metric}": mean}))


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
