"""Who competes with whom, who wins, and whether a better one may lie beyond what was tried."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nnlab.sweeps.border import crowded
from nnlab.sweeps.metrics import check_comparable, score
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
    check_comparable(metric, results.losses(over), results.metrics)
    good, n = judged(results, metric, competing(results, over), over)
    found = (good > -np.inf).any(over)
    places = largest(good.where(found, n), over)
    labelled = results.dataset.assign_coords({a: (a, results.labels(a)) for a in over})
    rest = [axis for axis in results.axes if axis not in over]
    chosen = labelled.isel(places).transpose(*rest, "seed", ...)
    known = {}
    for knob in results.along(over):
        read = results.reads(knob) if knob in over else xr.DataArray(True)
        here = read.isel({a: place for a, place in places.items() if a in read.dims})
        known[knob] = where(xr.DataArray(found.variable & here.variable), chosen[knob])
    return replace(
        results,
        dataset=chosen.assign_coords(known).assign_attrs({TUNED_BY: metric}),
        recorded=results.recorded.isel(places, missing_dims="ignore"),
    )


def competing(results: "Results", over: list[str]) -> xr.DataArray:
    """[axis, ...], True for those along `over` who speak for a place along the other axes.

    Adam says nothing about momentum 0.5: only those do who read every other axis that anybody
    reads. Where nobody reads all of them, as a momentum and a beta1, those speak who read any.
    """
    all_of_them = xr.ones_like(results.finished.isel(seed=0, drop=True))
    any_of_them = ~all_of_them
    for axis in results.axes:
        if axis not in over:
            read = results.reads(axis)
            all_of_them &= read | ~read.any(over)
            any_of_them |= read & ~read.all(over)
    return all_of_them.where(all_of_them.any(over), any_of_them)


def judged(
    results: "Results", metric: str, candidates: xr.DataArray, over: list[str]
) -> tuple[xr.DataArray, xr.DataArray]:
    """[axis, ...], how good each candidate is, -inf for one that cannot win; and by how many seeds.

    These are the seeds that all of them finished; where there is none, each has its own, and those
    with the most compete. The number is -1 for who is no candidate.
    """
    ran = results.finished & candidates
    shared = (ran | ~candidates).all(over)
    used = ran & (shared | ~shared.any("seed"))
    n = used.sum("seed")
    mean = results.values(metric).where(used, 0).sum("seed", skipna=False) / n
    sound = (used & ~results.diverged).any("seed")
    most = n == n.where(sound, 0).max(over)
    good = mean.copy(data=score(mean.values, metric)).where(sound & most, -np.inf)
    return good, n.where(candidates, -1)


def largest(values: xr.DataArray, over: list[str]) -> dict[str, xr.DataArray]:
    """The place along each of the `over` axes of the largest value, the first of several."""
    rest = [name for name in values.dims if name not in over]
    ordered = values.transpose(*rest, *over).values
    shape, sizes = ordered.shape[: len(rest)], ordered.shape[len(rest) :]
    places = np.unravel_index(ordered.reshape(*shape, -1).argmax(-1), sizes)
    return {axis: xr.DataArray(i, dims=rest) for axis, i in zip(over, places, strict=True)}


def where(found: xr.DataArray, coordinate: xr.DataArray) -> xr.DataArray:
    """The coordinate where something was found; elsewhere NaN for numbers and None for words."""
    if bool(found.all()):
        return coordinate
    if np.issubdtype(coordinate.dtype, np.number):
        return coordinate.where(found)
    return coordinate.astype(object).where(found, None)


def at_border(results: "Results", knob: str, metric: str, chosen: xr.DataArray) -> xr.DataArray:
    """-1 where a chosen number is the lower border of what was tried, 1 the upper, else 0."""
    labels = results.labels(knob)
    number = np.issubdtype(labels.dtype, np.number)
    tried = labels[np.isfinite(labels)] if number else labels[:0]
    if np.unique(tried).size < 2 or knob in ("config", DRAW, *tuned_knobs(results)):
        return xr.zeros_like(chosen, dtype=int)
    if knob in results.axes:
        side = (chosen == tried.max()).astype(int) - (chosen == tried.min()).astype(int)
    else:
        side = xr.full_like(chosen, crowding(results, labels.astype(float), metric), dtype=int)
    return side.clip(min=0) if tried.min() == 0 else side


def tuned_knobs(results: "Results") -> list[str]:
    """The knobs that were chosen for each place before: they lie along the axes that are left."""
    swept = results.settings.get("axes", {})
    beside = [knob for knob in results.knobs if knob not in results.axes]
    return [k for k in beside if results.dataset[k].dims != ("config",) or k in swept]


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
