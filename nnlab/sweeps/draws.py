"""Other initial weights of the same seed: chance, as seeds are, and nothing to choose by."""

import xarray as xr

from nnlab.sweeps.choosing import DRAW
from nnlab.sweeps.results import RUN, Results


def over_draws(results: Results) -> Results:
    """The results with their axis "draw" averaged inside each seed; without one, as they are.

    The best of several draws would flatter every number.  What diverged or is not finished with one
    draw has diverged or is not finished; what was recorded keeps the axis.
    """
    if DRAW not in results.axes:
        return results
    d = results.dataset
    at = d["diverged_at"]
    first = at.where(at > 0).min(DRAW).fillna(0)
    merged = xr.where((at < 0).any(DRAW), -1, first).astype(at.dtype)
    found = d[list(results.metrics)].mean(DRAW, skipna=False, keep_attrs=True)
    found = found.assign(diverged_at=merged.transpose(*(n for n in at.dims if n != DRAW)))
    if RUN in d:
        found = found.assign({RUN: d[RUN].isel({DRAW: 0}, drop=True)})
    return Results(found.assign_attrs(d.attrs, draws=at.sizes[DRAW]), results.recorded)
