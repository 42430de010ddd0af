"""Who competes with whom, who wins, and whether a better one may lie beyond what was tried."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nnlab.errors import UsageError
from nnlab.sweeps.border import crowded
from nnlab.sweeps.metrics import score
from nnlab.sweeps.statistics import spacing

if TYPE_CHECKING:
    from nnlab.sweeps.results import Results

DRAW = "draw"
"""The axis of other initial weights: what is chosen is never the best of them."""
TUNED_BY = "tuned_by"
"""The attribute that holds the metric by which places along axes were chosen."""


def tuned(results: "Results", metric: str, over: list[str]) -> "Results":
    """The results at the best place along the `over` axes, see `Results.tuned`."""
    if not over:
        return results
    comparable(results, metric, over)
    shared = results.finished.all(over)
    used = results.finished & (shared | ~shared.any("seed"))
    n = used.sum("seed")
    x = results.values(metric)
    mean = x.where(used).mean("seed").where(~(x.isnull() & used).any("seed"))
    sound = (used & ~results.diverged).any("seed")
    for axis in set(results.axes) - set(over):
        read = results.reads(axis)
        sound &= read | ~read.any([name for name in over if name in read.dims])
    good = mean.copy(data=score(mean.values, metric))
    good = good.where(sound & (n == n.max(over)), -np.inf).transpose(..., *over)
    rest, shape = good.dims[: -len(over)], good.shape[-len(over) :]
    flat = good.values.reshape(*good.shape[: -len(over)], -1)
    winner = np.unravel_index(flat.argmax(-1), shape)
    places = {a: xr.DataArray(w, dims=rest) for a, w in zip(over, winner, strict=True)}
    labelled = results.dataset.assign_coords({a: (a, results.labels(a)) for a in over})
    chosen = labelled.isel(places).transpose(*rest, "seed", ...)
    found = xr.DataArray(np.isfinite(flat.max(-1)), dims=rest)
    known = {}
    for k in results.along(over):
        read = results.reads(k) if k in over else xr.DataArray(True)
        here = read.isel({a: i for a, i in places.items() if a in read.dims})
        known[k] = where(found & here.drop_vars(here.coords), chosen[k])
    return replace(
        results,
        dataset=chosen.assign_coords(known).assign_attrs({TUNED_BY: metric}),
        recorded=results.recorded.isel(places, missing_dims="ignore"),
    )


def comparable(results: "Results", metric: str, axes: list[str]) -> None:
    """Raise UsageError for losses of different kinds: they are on different scales."""
    if metric.endswith("loss") and len(kinds := results.losses(axes)) > 1:
        raise UsageError(
            f"{metric} of different losses ({', '.join(kinds)}) cannot be compared; "
            f"try {results.headline!r}"
        )


def where(found: xr.DataArray, coordinate: xr.DataArray) -> xr.DataArray:
    """The coordinate where something was found; elsewhere NaN for numbers and None for words."""
    if bool(found.all()):
        return coordinate
    if np.issubdtype(coordinate.dtype, np.number):
        return coordinate.where(found)
    return coordinate.astype(object).where(found, None)


def at_border(results: "Results", knob: str, metric: str, chosen: xr.DataArray) -> xr.DataArray:
    """-1 where a chosen number is the lower border of what was tried, 1 the upper, else 0."""
    tried = results.labels(knob)
    number = np.issubdtype(tried.dtype, np.number)
    if knob == "config" or not number or np.unique(tried[np.isfinite(tried)]).size < 2:
        return xr.zeros_like(chosen, dtype=int)
    if results.dataset[knob].dims == ("config",):
        return xr.full_like(chosen, crowding(results, tried.astype(float), metric), dtype=int)
    lower = (chosen == tried.min()) & (tried.min() != 0)
    return (chosen == tried.max()).astype(int) - lower.astype(int)


def crowding(results: "Results", tried: np.ndarray, metric: str) -> int:
    """-1 or 1 where the best configs all lie in that outer tenth of what was tried, else 0."""
    others = [axis for axis in results.axes if axis not in ("config", DRAW)]
    over = [axis for axis in (DRAW,) if axis in results.axes]
    mean = results.tuned(metric, others).mean(metric, over)["mean"].values
    read = np.isfinite(tried)
    tried, good = tried[read], score(mean, metric)[read]
    order = np.argsort(-good)[: np.isfinite(good).sum()]
    log = spacing(tried) == "log"
    return crowded(tried[order].tolist(), tried.min(), tried.max(), log)
