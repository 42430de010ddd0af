"""Optimizers walking on a surface: every path of a sweep from one call."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np
import xarray as xr

from nnlab.models.loss import from_loss
from nnlab.studies.behaviour import trajectory
from nnlab.studies.surfaces import Surface
from nnlab.sweeps.sweep import Sweep


def walk(
    surface: Surface, axes: Mapping[str, Any], updates: int
) -> tuple[xr.DataArray, xr.DataArray]:
    """Paths [axes..., update, measure (x, y)] and losses [axes..., update], from the start on.

    `axes` are those of a `Sweep`, one seed; gradients are exact.
    """
    measures = {"x": itemgetter(0), "y": itemgetter(1), "f": surface.loss}
    model = from_loss(
        lambda w, _: surface.loss(w), np.array(surface.start), measures, surface.loss.__name__
    )
    results = Sweep(model, axes=dict(axes), epochs=updates, batch_size=1).run()
    found = trajectory(results, "x", "y", "f").isel(seed=0, drop=True)
    return found.isel(measure=slice(2)), found.isel(measure=2, drop=True)
