"""More seeds for a sweep that is done: train them elsewhere, and read all as one."""

from typing import Any

import xarray as xr

from nnlab.errors import UsageError
from nnlab.sweeps.results import Results

SUMS = ("train_seconds", "compile_seconds")


def join(*parts: Results) -> Results:
    """The runs of one sweep with other seeds, [..., seed], as if they had been trained together.

    A seed's runs do not depend on the other seeds of its sweep.  Raises UsageError for fewer than
    two results, for other sweeps or places in one, and for a seed that two of them have.
    """
    if len(parts) < 2 or not all(isinstance(part, Results) for part in parts):
        raise UsageError("join needs two results or more; try join(nnlab.load(a), nnlab.load(b))")
    first, *others = parts
    for other in others:
        for what, value in described(first).items():
            if described(other).get(what) != value:
                raise UsageError(
                    f"these are results of different sweeps: they differ in their {what}; "
                    "join those that differ in their seeds alone"
                )
        for what, value in places(first).variables.items():
            if not value.equals(places(other).variables.get(what)):
                raise UsageError(
                    f"these are results at other places of one sweep: they differ in their {what}; "
                    "join before selecting or tuning"
                )
    seeds = [seed for part in parts for seed in part.labels("seed").tolist()]
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise UsageError(f"seed {twice[0]} is in more than one of the results; leave it out of one")
    attrs = first.dataset.attrs | {
        name: sum(part.dataset.attrs.get(name, 0.0) for part in parts) for name in SUMS
    }
    dataset, recorded = (
        beside([getattr(part, name) for part in parts]) for name in ("dataset", "recorded")
    )
    return Results(dataset.assign_attrs(attrs), recorded)


def described(results: Results) -> dict[str, Any]:
    """What a sweep is, its seeds left out."""
    sweep = results.settings
    sweep.get("axes", {}).pop("seed", None)
    axes = {f"axis {axis}": results.labels(axis).tolist() for axis in results.axes}
    names = sorted(map(str, [*results.dataset, *results.recorded]))
    return {"axes": results.axes, **axes, **sweep, "metrics and recordings": names}


def places(results: Results) -> xr.Dataset:
    """Where in its sweep each cell lies: all coordinates but the seeds, and the runs' numbers."""
    return results.dataset.drop_vars([*results.metrics, "diverged_at", "seed"], errors="ignore")


def beside(parts: list[xr.Dataset]) -> xr.Dataset:
    """Datasets beside each other along their seeds; what has none is that of the first."""
    if "seed" not in parts[0].dims:
        return parts[0]
    return xr.concat(
        parts, "seed", data_vars="minimal", coords="minimal", compat="override", join="exact",
        combine_attrs="override",
    )  # fmt: skip
